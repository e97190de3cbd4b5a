"""Spheres: minimisers by scipy, gradient and spectrum by autograd, a bound below everything, the closed form, traps."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import null_space
from scipy.optimize import minimize

from tests.ufm.losses.naive import NAIVE
from ufm import InputError, NoClosedForm, Point
from ufm.losses import LabelSmoothing, MeanSquare
from ufm.models import Spheres, of_plain
from ufm.models.multipliers import pairing
from ufm.solvers.newton import trust_region_newton

LOSSES = ["cross-entropy", "label smoothing", "mse", "bce", "focal", "scales", "soft"]
EACH = pytest.mark.parametrize("name", LOSSES)


def model_of(name: str, dim: int = 3, scale: float = 3.0) -> Spheres:
    loss = NAIVE[name][0]
    counts = (3, 1, 2) if loss.shape is None else (3, 1, 2, 4)[: loss.shape[0]]
    return Spheres(counts, dim, scale, loss)


def naive(model: Spheres, name: str):
    """f of flat vectors of K + N rows, each divided by its length, from the definitions."""
    types = [t for t, n in enumerate(model.class_counts) for _ in range(n)]
    K, d = model.num_classes, model.dim

    def f(x: torch.Tensor) -> torch.Tensor:
        rows = x.view(-1, d)
        rows = rows / rows.norm(dim=1, keepdim=True)
        logits = [model.scale * rows[:K] @ h for h in rows[K:]]
        return sum(NAIVE[name][1](z, t) for z, t in zip(logits, types, strict=True)) / len(types)

    return f


def flat(model: Spheres, point: Point) -> torch.Tensor:
    whole = model.free.expand(point)
    return torch.cat([whole.W, whole.H]).reshape(-1)


def dense_spectrum(model: Spheres, name: str, point: Point) -> torch.Tensor:
    """Eigenvalues of the Hessian along x -> x/|x| on all rows, in a tangent basis by scipy's null space."""
    x = flat(model, point)
    hessian = torch.autograd.functional.hessian(naive(model, name), x)
    bases = [torch.from_numpy(null_space(row[None, :].numpy())) for row in x.view(-1, model.dim)]
    basis = torch.block_diag(*bases)
    return torch.linalg.eigvalsh(basis.T @ hessian @ basis)


@EACH
def test_the_least_of_some_descents_is_scipys_over_all_features(name):
    """Over all N features nothing is lower than over one a type: they see each other through W alone."""
    model = model_of(name)
    found = [model.minimize(seed) for seed in range(4)]
    assert all(one.converged for one in found)
    f = naive(model, name)

    def both(x):
        y = torch.from_numpy(x).requires_grad_()
        value = f(y)
        return float(value.detach()), torch.autograd.grad(value, y)[0].numpy()

    size = (model.num_classes + sum(model.class_counts)) * model.dim
    starts = np.random.default_rng(0).normal(size=(4, size))
    ends = [minimize(both, start, jac=True, method="BFGS", options={"gtol": 1e-9}).fun for start in starts]
    assert min(one.value for one in found) == pytest.approx(min(ends), rel=1e-6)  # what BFGS reaches


@EACH
def test_value_and_gradient_are_autograds_at_features_that_differ(name):
    model = model_of(name)
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(model.num_classes + model.free.num_samples, 3, generator=generator, dtype=torch.float64)
    rows = torch.nn.functional.normalize(rows, dim=1)
    K = model.num_classes
    point = Point(rows[:K], rows[K:], torch.zeros(K, dtype=torch.float64))
    x = rows.reshape(-1).clone().requires_grad_()
    value = naive(model, name)(x)
    assert float(model.objective(point)) == pytest.approx(float(value.detach()), rel=1e-13)
    gradient = torch.autograd.grad(value, x)[0]
    torch.testing.assert_close(model.jet(point).gradient, gradient, rtol=0, atol=1e-13)
    assert model.certify(point).verdict == "not critical"


@EACH
def test_the_spectrum_is_the_dense_one_over_all_features(name):
    model = model_of(name)
    point = model.minimize(2).point
    levels, dense = model.spectrum(point), dense_spectrum(model, name, point)
    assert levels.size == levels.num_variables == model.num_variables == len(dense)
    torch.testing.assert_close(levels.expanded(), dense, rtol=0, atol=1e-9 * float(dense.abs().max()) + 1e-12)
    whole = model.free.expand(point)
    torch.testing.assert_close(model.spectrum(whole).expanded(), levels.expanded(), rtol=0, atol=1e-12)


def test_the_spectrum_is_the_dense_one_at_features_that_differ():
    model = model_of("cross-entropy")
    point = model.free.expand(model.minimize(0).point)
    H = point.H.clone()
    H[0] *= -1  # the gradient in it is no longer 0; block by block the Hessian is what autograd gives
    moved = Point(point.W, H, point.b)
    torch.testing.assert_close(
        model.spectrum(moved).expanded(), dense_spectrum(model, "cross-entropy", moved), rtol=0, atol=1e-12
    )


@EACH
def test_no_point_is_below_the_bound_of_another(name):
    model = model_of(name)
    least = min(model.minimize(seed).value for seed in range(4))
    for seed in range(4):
        point = model.random_point(seed)
        assert model.lower_bound(point) <= least + 1e-12 * abs(least)
        assert model.lower_bound(model.free.expand(point)) <= least + 1e-12 * abs(least)


@pytest.mark.parametrize("scale", [0.05, 1.0, 12.0, 40.0])
def test_bounds_of_random_points_hold_at_every_scale_and_below(scale):
    model = Spheres((4, 2, 1, 1), 3, scale)
    ends = [model.minimize(seed) for seed in range(4)]
    least = min(ends, key=lambda end: end.value)
    assert max(model.lower_bound(model.random_point(seed)) for seed in range(20)) <= least.value * (1 + 1e-12)
    assert model.certify(least.point).verdict == "global minimizer"
    assert abs(least.value - model.lower_bound(least.point)) <= 1e-8 * least.value


def test_the_pairing_is_above_every_sign_pattern_and_below_the_norms():
    """-tr(A W H^T) over unit rows is at least what one dimension gives, all of whose points are looked at."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        A = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        W = torch.nn.functional.normalize(torch.randn(4, 7, generator=generator, dtype=torch.float64), dim=1)
        bound = pairing(A, W)
        assert pairing(1e-200 * A, W) == pytest.approx(1e-200 * bound, rel=1e-12)
        signs = torch.tensor([[(i >> k & 1) * 2.0 - 1 for k in range(4)] for i in range(16)], dtype=torch.float64)
        best = float((signs @ A.T).abs().sum(1).max())  # over W, H in one dimension
        assert best <= bound * (1 + 1e-12)
        assert bound <= float(torch.linalg.matrix_norm(A, 2)) * math.sqrt(12) * (1 + 1e-12)


def test_the_pairing_bounds_where_nothing_pulls():
    """Equal rows of W and rows of A that sum to 0: no multiplier is above rounding, and the bound is still one."""
    A = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    assert pairing(A, torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)) >= 4 * (1 - 1e-12)
    assert pairing(0 * A, A) == 0


@pytest.mark.parametrize(("K", "d"), [(2, 2), (3, 2), (4, 3), (4, 6), (6, 5)])
@pytest.mark.parametrize("scale", [0.1, 2.0, 20.0])
def test_the_closed_form(K, d, scale):
    model = Spheres.balanced(K, 3, d, scale)
    form = model.closed_form()
    value = math.log1p((K - 1) * math.exp(-scale * K / (K - 1)))
    assert float(model.objective(form)) == pytest.approx(value, rel=1e-12)
    assert model.certify(form).verdict == "global minimizer"
    levels = model.spectrum(form)
    assert levels.index == 0
    assert levels.nullity == model.orbit(form) == d * (d - 1) // 2 - (d - K + 1) * (d - K) // 2


def test_a_planted_error_in_the_closed_form_is_caught():
    model = Spheres.balanced(4, 2, 4, 5.0)
    form = model.closed_form()
    turned = form.H.clone()
    turned[0] = torch.nn.functional.normalize(form.H[0] + 1e-3 * form.H[1], dim=0)
    assert model.certify(Point(form.W, turned, form.b)).verdict == "not critical"


def test_a_minimiser_in_fewer_dimensions_is_a_strict_saddle_in_more():
    low = Spheres.balanced(5, 2, 2, 4.0)
    end = low.minimize(0).point
    judged = Spheres.balanced(5, 2, 5, 4.0).certify(end.padded(5))
    assert low.certify(end).verdict == "local minimizer"
    assert judged.verdict == "strict saddle"
    assert judged.duality_gap > 0.1 * judged.value


def test_a_trap_at_d_one_less_than_the_classes_has_a_negative_multiplier():
    model = Spheres((2, 2, 2), 2, 10.0)
    found = {round(end.value, 8): end.point for end in map(model.minimize, range(8))}
    trap = found[max(found)]
    assert max(found) > 0.4
    assert model.certify(trap).verdict == "local minimizer"
    assert float(model.jet(trap).multipliers[3:].min()) < 0
    assert dense_spectrum(model, "cross-entropy", trap)[0] > -1e-12
    wider = Spheres((2, 2, 2), 3, 10.0)
    assert wider.certify(trap.padded(3)).verdict == "strict saddle"


def test_features_of_a_class_may_differ_at_a_trap_and_not_at_a_minimiser():
    """Descents over all N features, by the same method: every end that is global has collapsed, a trap need not."""
    model = Spheres((3, 3, 3), 2, 10.0)
    generator = torch.Generator().manual_seed(0)
    spreads = {"global minimizer": [], "local minimizer": []}
    for _ in range(25):
        rows = torch.nn.functional.normalize(torch.randn(12, 2, generator=generator, dtype=torch.float64), dim=1)
        start = Point(rows[:3], rows[3:], torch.zeros(3, dtype=torch.float64))
        on = model.on(start)
        steps = trust_region_newton(on, rows.reshape(-1), tol=1e-10, max_iterations=1000, moved=on.moved)
        end = Point(*on.inner.unpack(list(steps)[-1][0]))
        verdict = model.certify(end).verdict
        spreads[str(verdict)].append(float((end.H - model.collapsed(end).H[model.free.labels]).abs().max()))
    assert max(spreads["global minimizer"]) < 1e-6
    assert max(spreads["local minimizer"]) > 0.1


def test_smoothed_labels_within_the_reach_of_the_scale_do_not_fix_features():
    """The loss is at its infimum, mu = 0, and the mirror images of the features are as good."""
    model = Spheres((2, 2, 2), 3, 20.0, LabelSmoothing(0.1))
    end = model.minimize(0)
    assert end.value == pytest.approx(model.free.floor, rel=1e-12)
    assert float(model.jet(end.point).multipliers.abs().max()) < 1e-9
    W, H = end.point.W, end.point.H
    normal = torch.nn.functional.normalize(torch.linalg.cross(W[1] - W[0], W[2] - W[0]), dim=0)
    mirrored = Point(W, H - 2 * (H @ normal)[:, None] * normal, end.point.b)
    assert float((mirrored.H - H).norm()) > 0.1
    assert float(model.objective(mirrored)) == pytest.approx(end.value, rel=1e-12)


def test_two_classes_on_circles_have_a_degenerate_critical_point():
    """w_1 = w_2 orthogonal to h_1 = h_2: neither global nor a strict saddle, at d = K = 2 alone."""
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    point = Point(rows, rows.flip(1), torch.zeros(2, dtype=torch.float64))
    assert Spheres((2, 2), 2, 3.0).certify(point).verdict == "degenerate"
    assert Spheres((2, 2), 3, 3.0).certify(point.padded(3)).verdict == "strict saddle"


def test_plain_data_and_back():
    model = Spheres((3, 1, 2), 4, 5.0)
    assert of_plain(model.to_plain()) == model
    assert model.minimize(1, 1e-6).value == of_plain(model.to_plain()).minimize(1, 1e-6).value


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Spheres((2, 2), 1, 1.0), "dim must be >= 2"),
        (lambda: Spheres((2, 2), 2, 0.0), "scale must be a finite number > 0"),
        (lambda: Spheres((2, 2), 2, math.nan), "scale must be"),
        (lambda: Spheres((2, 2), 2, 1e-9).require_decidable(), "scale must lie in"),
        (lambda: Spheres((2, 2), 2, 1.0).objective(Point(*2 * [2 * torch.eye(2)], torch.zeros(2))), "normalised"),
        (lambda: Spheres((2, 2), 2, 1.0).objective(Point(*2 * [torch.eye(2)], torch.ones(2))), "no bias"),
        (lambda: Spheres((2, 2), 2, 1.0).normalised(Point(*2 * [torch.zeros(2, 2)], torch.zeros(2))), "no direction"),
        (lambda: Spheres((2, 2), 2, 1.0).minimize(tol=0), "tol must lie in"),
        (lambda: Spheres((9,) * 90, 90, 1.0).spectrum(Spheres((9,) * 90, 90, 1.0).random_point()), "too many"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_no_closed_form_says_why():
    for model, words in (
        (Spheres((1, 2, 3), 3, 1.0), "imbalanced"),
        (Spheres.balanced(4, 2, 2, 1.0), "d = 2 < K - 1 = 3"),
        (Spheres.balanced(4, 2, 4, 1.0, MeanSquare()), "'mse'"),
    ):
        with pytest.raises(NoClosedForm, match=words):
            model.closed_form()
