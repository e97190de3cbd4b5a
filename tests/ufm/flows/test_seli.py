"""Minimisers at small decays beside the largest margin: by scipy, by the notes' numbers, and by the rate's constant."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ufm import InputError, NoClosedForm
from ufm.flows import approach, extrapolated, rate
from ufm.models import Ridgeless


def test_the_angle_is_that_of_scipys_minimiser():
    counts, decay = (4, 2, 1), 1e-3
    n, K = np.array(counts), 3

    def value(x):
        z = torch.from_numpy(x).requires_grad_()
        W, H = z.view(2, K, K)
        loss = torch.nn.functional.cross_entropy(H @ W.T, torch.arange(K), reduction="none") @ torch.from_numpy(n / 7)
        f = loss + decay / 2 * (W.square().sum() + (torch.from_numpy(n)[:, None] * H.square()).sum())
        return f.item(), torch.autograd.grad(f, z)[0].numpy()

    starts = [np.random.default_rng(seed).normal(size=18) for seed in range(2)]
    ends = [minimize(value, start, jac=True, method="BFGS", options={"gtol": 1e-9}) for start in starts]
    W, H = min(ends, key=lambda end: end.fun).x.reshape(2, K, K)
    Z, form = np.sqrt(n)[:, None] * (H @ W.T), np.sqrt(n)[:, None] * (np.eye(K) - 1 / K)
    cosine = (Z * form).sum() / np.linalg.norm(Z) / np.linalg.norm(form)
    (found,) = approach(Ridgeless(counts, 3), [decay])
    assert found.distance == pytest.approx(1 - cosine, rel=1e-2)
    assert found.level == pytest.approx((Z * form).sum() / (form**2).sum(), rel=1e-4)


def test_the_convergence_is_logarithmic_with_the_known_numbers():
    """.0038, .0014 and .0006 at 1e-3, 1e-5 and 1e-8: for class counts 5, 5, 1, 1."""
    found = approach(Ridgeless((5, 5, 1, 1), 4), [1e-3, 1e-5, 1e-8])
    assert [round(one.distance, 4) for one in found] == [0.0038, 0.0014, 0.0006]
    assert all(one.converged for one in found)


@pytest.mark.parametrize(("counts", "ratio"), [((3, 2, 1), 1.0), ((100, 10, 1), 4.0), ((5, 4, 3, 2, 1), 1.0)])
def test_the_rate_is_that_of_theory(counts, ratio):
    model = Ridgeless(counts, len(counts) - 1, ratio)
    found = approach(model, [1e-5, 1e-7, 1e-9, 1e-11])
    assert extrapolated(found) == pytest.approx(rate(model), rel=5e-3)
    assert found[-1].tangent * found[-1].level != pytest.approx(rate(model), rel=5e-3)


def test_balanced_classes_are_there_at_every_decay():
    found = approach(Ridgeless((2, 2, 2), 3), [1e-2, 1e-8])
    assert max(one.tangent for one in found) < 1e-9
    assert rate(Ridgeless((2, 2, 2), 3)) < 1e-12


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="at least one"):
        approach(Ridgeless((1, 2), 2), [])
    with pytest.raises(NoClosedForm):
        approach(Ridgeless((1, 2, 3, 4), 2), [1e-3])


def test_it_is_written_and_read_again():
    (found,) = approach(Ridgeless((2, 1), 2), [1e-3])
    again = type(found).from_plain(found.plain())
    assert again.level == found.level
    assert found.plain()["distance"] == found.distance
