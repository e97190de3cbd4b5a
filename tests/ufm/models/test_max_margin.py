"""Margins by loops, their multipliers by scipy's optimality, the augmented Lagrangian by autograd."""

import numpy as np
import pytest
import torch

from ufm import InputError, Problem
from ufm.models.max_margin import Augmented, Margins
from ufm.solvers.minimize import random_point

PROBLEM = Problem((3, 1, 2), 3, 1.0, 1.0, bias=False)


def at_random(collapsed, seed=0):
    f = PROBLEM.landscape(collapsed=collapsed)
    point = random_point(PROBLEM, seed)
    point = PROBLEM.class_means(point) if collapsed else point
    return Margins(f), f.pack(point.W, point.H, point.b), point


def by_loops(W, H, labels):
    return torch.stack(
        [torch.stack([(W[y] - W[c]) @ h for c in range(3) if c != y]) for h, y in zip(H, labels, strict=True)]
    )


@pytest.mark.parametrize("collapsed", [True, False])
def test_margins_and_their_gradients_are_those_of_loops(collapsed):
    margins, x, point = at_random(collapsed)
    labels = range(3) if collapsed else [0, 0, 0, 1, 2, 2]
    torch.testing.assert_close(margins.of(x), by_loops(point.W, point.H, labels))

    def of(x):
        W, H, _ = margins.f.unpack(x)
        return by_loops(W, H, labels).reshape(-1)

    jacobian = torch.autograd.functional.jacobian(of, x)
    torch.testing.assert_close(margins.gradients(x), jacobian, rtol=1e-12, atol=1e-13)
    v = torch.randn(len(x), dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(margins.change(x, v).reshape(-1), jacobian @ v, rtol=1e-12, atol=1e-12)


def test_the_augmented_lagrangian_is_expanded_as_by_autograd():
    margins, x, _ = at_random(True)
    multipliers = torch.rand(3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def value(x):
        shifted = (multipliers + 7 * (1 - margins.of(x))).clamp_min(0)
        return x.square().sum() / 2 + (shifted.square() - multipliers.square()).sum() / 14

    jet = Augmented(margins, multipliers, 7.0).jet(x)
    assert float(jet.value) == pytest.approx(float(value(x)), rel=1e-13)
    torch.testing.assert_close(jet.gradient, torch.autograd.functional.jacobian(value, x), rtol=1e-11, atol=1e-11)
    H = torch.autograd.functional.hessian(value, x)
    v = torch.randn(len(x), dtype=x.dtype, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(jet.hvp(v), H @ v, rtol=1e-11, atol=1e-11)


def test_multipliers_are_the_best_nonnegative_ones():
    """No projected step improves the residual that they have: the optimality of least squares over mu >= 0."""
    margins, x, _ = at_random(True)
    f = margins.f
    W = torch.eye(3, dtype=torch.float64)
    x = f.pack(W + 0.1 * f.split(x)[0], W + 0.1 * f.split(x)[0], f.split(x)[2])
    x = x / float(margins.of(x).min()) ** 0.5
    mu, residual = margins.multipliers(x)
    J, slack = margins.gradients(x).numpy(), (margins.of(x) - 1).numpy().reshape(-1)
    flat = mu.numpy().reshape(-1)
    error, slope = x.numpy() - J.T @ flat, -J @ (x.numpy() - J.T @ flat) + slack**2 * flat
    size = np.hypot(np.linalg.norm(error), np.linalg.norm(slack * flat)) / float(x.norm())
    assert residual == pytest.approx(size, rel=1e-10)
    assert (flat >= 0).all()
    assert np.abs(np.where(flat > 0, slope, np.minimum(slope, 0))).max() < 1e-10
    assert residual > 1e-3


def test_a_point_that_does_not_separate_and_too_many_margins_are_refused():
    margins, x, _ = at_random(True)
    with pytest.raises(InputError, match="does not separate"):
        margins.multipliers(0 * x)
    with pytest.raises(InputError, match="take class means"):
        Margins(Problem((2000, 2), 2, 1.0, 1.0, bias=False).landscape(labels=torch.zeros(4002, dtype=torch.int64)))
