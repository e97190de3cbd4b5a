"""Starts have the rank that is asked for, are balanced, and lie where f is lower than at the origin."""

import torch

from ufm.models import DeepLinear
from ufm.models.deep_starts import scattered


def test_starts_go_through_every_rank_and_are_balanced():
    model = DeepLinear((3, 1, 2, 1), 5, 4, 1e-3)
    roots = model.free.landscape(collapsed=True).roots
    for seed in range(8):
        start = model.start(seed)
        assert start.dim == 4 - seed % 4
        W1, W2, W3 = start.layers
        scaled = roots * start.H
        for left, right in ((W1.T @ W1, scaled.T @ scaled), (W2.T @ W2, W1 @ W1.T), (W3.T @ W3, W2 @ W2.T)):
            torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)
    full = model.start(0).padded(5)
    assert float(model.objective(full)) < float(model.objective(model.origin()))
    assert DeepLinear((3, 1, 2, 1), 5, 2, 1e-3).start(3).dim == 4


def test_scattered_starts_have_features_apart_from_their_types():
    model = DeepLinear((3, 1, 2), 3, 3, 1e-3)
    start = model.start(1).padded(3)
    one, again = (scattered(start, model.free.labels, 1) for _ in range(2))
    assert torch.equal(one.H, again.H)
    moved = one.H - start.H[model.free.labels]
    assert float((moved[0] - moved[1]).norm()) > 0.01 * float(start.H.norm())
    assert float(moved.norm()) < 0.2 * float(start.H[model.free.labels].norm())
