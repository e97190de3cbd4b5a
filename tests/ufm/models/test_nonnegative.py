"""Nonnegative features: scipy's minimisers, the dual bound by brute force, the closed form and its thresholds."""

import math
from itertools import product

import numpy as np
import pytest
import torch

import ufm
from tests.ufm.losses.naive import NAIVE
from ufm import InputError, NoClosedForm, Point
from ufm.losses import MeanSquare
from ufm.models import Nonnegative

EACH = pytest.mark.parametrize("name", ["cross-entropy", "label smoothing", "mse", "bce", "scales"])


def random_point(model: Nonnegative, seed: int, scale: float = 1.0) -> Point:
    generator = torch.Generator().manual_seed(seed)
    K, T, d = model.free.num_classes, model.free.num_types, model.dim
    W, H = (scale * torch.randn(n, d, generator=generator, dtype=torch.float64) for n in (K, T))
    return Point(W, H.abs(), torch.zeros(K, dtype=torch.float64))


@EACH
@pytest.mark.parametrize("settings", [{}, {"bias": True, "lambda_b": 2e-2}], ids=["no bias", "bias"])
def test_some_descent_is_certified_and_none_is_below_the_bound(name, settings):
    model = Nonnegative((3, 2, 1), 4, 1e-2, 2e-2, loss=NAIVE[name][0], **settings)
    ends = [model.minimize(seed) for seed in range(4)]
    assert all(end.converged for end in ends)
    judged = [model.certify(end.point) for end in ends]
    best = min(ends, key=lambda end: end.value)
    assert model.certify(best.point).verdict == "global minimizer"
    assert max(j.lower_bound for j in judged) <= best.value + 1e-10
    for seed in range(5):
        assert model.lower_bound(random_point(model, seed)) <= best.value + 1e-12
    assert float(best.point.H.min()) >= 0


@EACH
def test_the_first_order_conditions_hold_by_autograd(name):
    """Gradient 0 where a variable is free, and >= 0 where a feature is 0, over all N features."""
    model = Nonnegative((3, 2, 1), 4, 1e-2, 2e-2, loss=NAIVE[name][0])
    point = model.free.expand(model.minimize(1).point)
    W, H = point.W.clone().requires_grad_(), point.H.clone().requires_grad_()
    types = model.free.labels.tolist()
    loss = sum(NAIVE[name][1](W @ h, t) for h, t in zip(H, types, strict=True)) / len(types)
    f = loss + model.lambda_w / 2 * W.square().sum() + model.lambda_h / 2 * H.square().sum()
    in_W, in_H = torch.autograd.grad(f, (W, H))
    assert float(in_W.norm()) < 1e-9
    assert float(in_H[point.H > 0].norm()) < 1e-9
    assert float(in_H.min()) > -1e-9


def test_the_spectrum_is_autograds_over_what_is_free():
    model = Nonnegative((3, 2, 1), 3, 1e-2, 2e-2)
    point = model.free.expand(model.minimize(1).point)
    f, x = model.free.landscape_at(point)
    dense = torch.autograd.functional.hessian(f.value, x)
    free = torch.cat([torch.ones(9, dtype=torch.bool), point.H.reshape(-1) > 0])
    values = torch.linalg.eigvalsh(dense[free][:, free])
    torch.testing.assert_close(model.spectrum(point).expanded(), values, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("counts", "decay"), [((3, 3, 3), 1e-2), ((9, 4, 1), 2e-2), ((20, 20, 1, 1), 4e-2)])
def test_the_closed_form_is_the_least_of_many_descents_and_certified(counts, decay):
    model = Nonnegative(counts, len(counts), decay, 2 * decay)
    form = model.closed_form()
    value = float(model.objective(form))
    assert model.residual(form) < 1e-12
    assert model.certify(form).verdict == "global minimizer"
    assert min(model.minimize(seed).value for seed in range(6)) == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_a_class_vanishes_at_the_threshold(factor):
    """n_k = N^2 lW lH K/(K - 1), approached from both sides, in the closed form and in a free descent."""
    counts, K = (12, 12, 2), 3
    decay = factor * math.sqrt(2 * (K - 1) / K) / sum(counts)
    model = Nonnegative(counts, 4, decay, decay)
    best = min((model.minimize(seed) for seed in range(4)), key=lambda end: end.value)
    length = float(best.point.H[2].norm())
    assert model.vanishing() == ([2] if factor > 1 else [])
    assert float(model.closed_form().H[2].norm()) == pytest.approx(length, abs=1e-6)
    assert (length < 1e-6) == (factor > 1)


def test_the_bound_is_that_of_the_largest_cosine_over_nonnegative_vectors():
    """t |G~^T u| <= rho |u| on a fine grid of u >= 0, and the bound is below f there, too."""
    model = Nonnegative((3, 2, 1), 3, 5e-2, 5e-2)
    for seed in range(5):
        point = random_point(model, seed, 2.0)
        jet = model.free.jet(point)
        M = (jet.G @ jet.G.T).numpy()
        grid = np.array([u for u in product(np.linspace(0, 1, 21), repeat=3) if any(u)])
        cosines = np.sqrt(np.einsum("ui,ij,uj->u", grid, M, grid)) / np.linalg.norm(grid, axis=1)
        t = min(1.0, model.free.ridge / cosines.max())
        tight = float(jet.landscape.counts @ model.loss.negative_conjugate(t * jet.slopes, jet.landscape.labels)) / 6
        assert model.lower_bound(point) <= tight + 1e-12 or t == 1


def test_with_equal_counts_a_bias_stays_at_zero():
    model = Nonnegative((3, 3, 3), 3, 1e-2, 2e-2, 1e-2, bias=True)
    form = model.closed_form()
    assert model.certify(form).verdict == "global minimizer"
    found = min((model.minimize(seed) for seed in range(3)), key=lambda end: end.value)
    assert found.value == pytest.approx(float(model.objective(form)), rel=1e-11)
    assert float(found.point.b.abs().max()) < 1e-8


def test_planted_errors_are_caught():
    """A feature below 0 is refused, a moved point is not critical, the free minimiser is better than any here."""
    model = Nonnegative((3, 3, 3), 4, 1e-2, 1e-2)
    form = model.closed_form()
    with pytest.raises(InputError, match="must be >= 0"):
        model.objective(Point(form.W, form.H - 1e-3, form.b))
    assert model.certify(Point(1.001 * form.W, form.H, form.b)).verdict == "not critical"
    assert ufm.minimize(model.free).value < float(model.objective(form)) - 1e-3


def test_no_closed_form_says_why():
    for model, words in (
        (Nonnegative((1, 2), 1, 1e-2, 1e-2), "d = 1 < K = 2"),
        (Nonnegative((1, 2), 2, 1e-2, 1e-2, bias=True), "a bias and imbalanced"),
        (Nonnegative((1, 2), 2, 1e-2, 1e-2, loss=MeanSquare()), "'mse'"),
    ):
        with pytest.raises(NoClosedForm, match=words):
            model.closed_form()


def test_the_origin_is_no_local_minimiser():
    """A feature and a column of W that are 0: f is flat there at first order, and falls along both together."""
    model = Nonnegative((3, 3, 3), 4, 1e-2, 1e-2)
    zero = torch.zeros(3, 4, dtype=torch.float64)
    judged = model.certify(Point(zero, zero.clone(), zero[:, 0].clone()))
    assert judged.residual == 0
    assert judged.verdict == "strict saddle"
    W, H = zero.clone(), zero.clone()
    W[:, 0], H[0, 0] = torch.tensor([0.02, -0.01, -0.01]), 0.02
    assert float(model.objective(Point(W, H, zero[:, 0].clone()))) < judged.value


def test_a_vanished_class_is_told_from_a_flat_bound():
    """A minimiser all of whose bounds are strict is one locally, without its bound: the dual is spoiled here."""
    model = Nonnegative((3, 2, 1), 3, 1e-2, 2e-2)
    assert model._second_order(model.closed_form()) == "local minimizer"


def test_a_descent_escapes_from_a_trap_where_units_are_parallel():
    """K = 4, imbalanced, d = 12: a local minimiser with two parallel units; merged, one is dead and f falls."""
    model = Nonnegative((20, 20, 1, 1), 12, 2e-2, 2e-2)
    trapped = model.minimize(0, escape=False)
    judged = model.certify(trapped.point)
    assert judged.verdict == "local minimizer"
    assert judged.duality_gap > 1e-3
    merged = model.merged(trapped.point)
    assert float(model.objective(merged)) == pytest.approx(trapped.value, rel=1e-12)
    assert max(len(group) for group in model.parallel(trapped.point)) > 1
    assert model.certify(merged).verdict == "strict saddle"
    found = model.minimize(0)
    assert found.value == pytest.approx(float(model.objective(model.closed_form())), rel=1e-11)
    assert model.certify(found.point).verdict == "global minimizer"


def test_without_a_unit_to_spare_there_is_a_trap():
    """K = 4, balanced, d = 3: every direction at the end rises, by its Hessian and its slopes at the bounds."""
    model = Nonnegative((2, 2, 2, 2), 3, 5e-3, 5e-3)
    ends = [model.minimize(seed) for seed in range(8)]
    least = min(end.value for end in ends)
    trapped = next(end for end in ends if end.value > least * 1.001)
    assert all(len(group) == 1 for group in model.parallel(trapped.point))
    f, x = model.free.landscape_at(model.free.expand(trapped.point))
    x = x.requires_grad_()
    slopes = torch.autograd.grad(f.value(x), x)[0]
    dense = torch.autograd.functional.hessian(f.value, x)
    bound = torch.cat([torch.zeros(12, dtype=torch.bool), (x[12:] == 0)])
    assert float(torch.linalg.eigvalsh(dense[~bound][:, ~bound])[0]) > 1e-4
    assert float(slopes[bound].min()) > 1e-4
    assert float(slopes[~bound].abs().max()) < 1e-10


@pytest.mark.parametrize("dim", [4, 7, 12])
def test_a_trap_splits_into_traps_of_every_larger_dimension(dim):
    """A unit that serves one class alone, split into parallel ones of unequal sizes: f, and what the point is, stay."""
    model = Nonnegative((2, 2, 2), 3, 5e-3, 5e-3)
    ends = [model.minimize(seed, escape=False) for seed in range(12)]
    trapped = max(ends, key=lambda end: end.value)
    assert trapped.value > 1.1 * min(end.value for end in ends)
    point = trapped.point.padded(dim)
    alone = next(a for a in range(3) if int((point.H[:, a] > 0).sum()) == 1)
    shares = torch.arange(1.0, dim - 1, dtype=torch.float64)
    shares, places = shares / shares.norm(), [alone, *range(3, dim)]
    W, H = point.W.clone(), point.H.clone()
    W[:, places], H[:, places] = point.W[:, alone, None] * shares, point.H[:, alone, None] * shares
    judged = Nonnegative((2, 2, 2), dim, 5e-3, 5e-3).certify(Point(W, H, point.b))
    assert judged.value == pytest.approx(trapped.value, rel=1e-12)
    assert judged.verdict == "local minimizer"
    assert judged.duality_gap > 0.1
