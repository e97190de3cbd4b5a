"""The squared error with one-hot targets: both branches, thresholds, imbalance, any d, and the spectrum."""

import math
from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.closed_forms.forms import CLOSE, balanced, deviation, spectral_deviation
from tests.ufm.losses.naive import NAIVE
from ufm import NoClosedForm, Problem
from ufm.closed_forms import balanced as family
from ufm.closed_forms import mean_square, mean_square_levels, regression
from ufm.closed_forms.mean_square import minimizer_form

SIZES = [(2, 2, 3), (3, 1, 3), (4, 3, 6)]
BIASES = [None, 0.0, 0.02, 0.2, 3.0]
NAMES = ["mse", "far targets", "rescaled mse"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("K", "n", "d"), SIZES)
@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize("rho", [0.05, 0.4])
def test_it_is_the_global_minimiser(name, K, n, d, lb, rho):
    problem = balanced(name, K, n, d, rho, lb)
    assert deviation(problem, name, ufm.global_minimizer(problem), minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize(("ratio", "nonzero"), [(0.97, True), (1.03, False)])
@pytest.mark.parametrize(("name", "threshold"), [("mse", 1.0), ("far targets", 1.5)])
def test_threshold(name, threshold, lb, ratio, nonzero):
    """rho = the target: W = H = 0 beyond it, whatever the bias."""
    problem = balanced(name, 4, 2, 5, ratio * threshold, lb)
    point = ufm.global_minimizer(problem)
    assert bool(point.W.any()) is nonzero
    assert deviation(problem, name, point, minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize(("ratio", "rank"), [(0.97, 4), (1.03, 3)])
def test_the_level_begins_where_stated(ratio, rank):
    """lb/(1 + lb) = rho parts the simplex ETF from the frame of rank K."""
    lb = 0.2
    problem = balanced("mse", 4, 2, 5, ratio * lb / (1 + lb), lb)
    point = ufm.global_minimizer(problem)
    assert int(torch.linalg.matrix_rank(point.W)) == rank
    assert deviation(problem, "mse", point, minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize("rho", [0.1, 0.6, 0.95])
def test_radicals_agree_with_the_family_for_any_loss(lb, rho):
    problem = balanced("mse", 5, 2, 6, rho, lb)
    by_root = family.solve(problem, mean_square._weighted(5, 1.0, 1.0))
    for name, number in vars(minimizer_form(problem)).items():
        assert getattr(by_root, name) == pytest.approx(number, rel=1e-12, abs=1e-12)


PLANTED = {
    "margin": (0.2, lambda form: replace(form, margin=1.001 * form.margin)),
    "level": (0.2, lambda form: replace(form, level=form.level + 1e-3)),
    "bias": (0.2, lambda form: replace(form, beta=1.001 * form.beta)),
    "value": (0.2, lambda form: replace(form, value=form.value * (1 + 1e-7))),
    "no level without a bias": (None, lambda form: replace(form, level=0.0)),
    "the simplex ETF on the other branch": (3.0, lambda form: replace(form, level=0.0, beta=1 / (4 * (1 + 3.0)))),
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_caught(error):
    lb, plant = PLANTED[error]
    problem = balanced("mse", 4, 2, 5, 0.3, lb)
    form = plant(minimizer_form(problem))
    assert deviation(problem, "mse", family.point_of(problem, form), form.value) > 10 * CLOSE


# Imbalanced classes, and features of fewer dimensions than the minimiser wants.

COUNTS = (1, 4, 9)
SKEWED = {"lambda_w": 0.02, "lambda_h": 0.015}


def skewed(dim: int, bias: bool, **settings) -> tuple[Problem, regression.Thresholded]:
    problem = Problem(COUNTS, dim, bias=bias, loss=NAIVE["mse"][0], **(SKEWED | settings))
    return problem, regression.thresholded(problem, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("bias", [False, True])
def test_imbalanced(bias):
    problem, found = skewed(3, bias)
    assert deviation(problem, "mse", ufm.global_minimizer(problem), found.value) <= CLOSE


def test_imbalanced_singular_values():
    """(sqrt n_k - N s0)_+ without a bias; the roots of the eigenvalues of diag(n) - n n^T/N with a free one."""
    (problem, plain), (_, free) = skewed(3, False), skewed(3, True)
    n, N = torch.tensor(COUNTS, dtype=torch.float64), sum(COUNTS)
    least = N * problem.ridge
    expected = n.sqrt().flip(0) - least
    torch.testing.assert_close(plain.kept, expected[expected > 0])
    roots = torch.linalg.eigvalsh(torch.diag(n) - torch.outer(n, n) / N).clamp_min(0).sqrt().flip(0)
    torch.testing.assert_close(free.kept, (roots - least)[roots > least])


@pytest.mark.parametrize(("ratio", "kept"), [(0.97, 3), (1.03, 2)])
def test_a_class_vanishes_at_its_own_threshold(ratio, kept):
    """n_k = N^2 lW lH."""
    ridge = ratio / sum(COUNTS)
    problem, found = skewed(3, False, lambda_w=ridge, lambda_h=ridge)
    point = ufm.global_minimizer(problem)
    assert int(torch.linalg.matrix_rank(point.W)) == kept
    assert bool(point.W[0].any()) is (kept == 3)
    assert deviation(problem, "mse", point, found.value) <= CLOSE


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dim", [1, 2])
def test_narrow_features_keep_the_largest(bias, dim):
    """No bound certifies them: descents from ten starts reach nothing lower."""
    problem, found = skewed(dim, bias, lambda_w=2e-3, lambda_h=1e-3)
    point = ufm.global_minimizer(problem)
    assert float(problem.objective(point)) == pytest.approx(found.value, rel=1e-12)
    assert problem.relative_gradient(point) <= 1e-12
    values = [ufm.minimize(problem, seed=seed, tol=1e-12).value for seed in range(10)]
    assert min(values) == pytest.approx(found.value, rel=1e-9)


@pytest.mark.parametrize("error", ["sizes", "the smallest first", "no bias", "value"])
def test_a_planted_error_of_imbalance_is_caught(error):
    problem, found = skewed(3, True)
    wrong = {
        "sizes": replace(found, kept=found.kept + 1e-3),
        "the smallest first": replace(found, kept=found.kept.flip(0)),
        "no bias": replace(found, b=torch.zeros(3, dtype=torch.float64)),
        "value": replace(found, value=found.value + 1e-7),
    }[error]
    assert deviation(problem, "mse", regression.point_of(problem, wrong), wrong.value) > 10 * CLOSE


REASONS = {
    "imbalanced with a decay of the bias": (Problem((1, 2, 3), 3, **SKEWED, lambda_b=0.1), {}, "lambda_b = 0.1 > 0"),
    "imbalanced with a weight": (Problem((1, 2, 3), 3, **SKEWED), {"weight": 2.0}, "weight 2"),
    "narrow with a decay of the bias": (Problem.balanced(4, 1, 2, **SKEWED, lambda_b=0.1), {}, "d = 2 < 4"),
}


@pytest.mark.parametrize("name", REASONS)
def test_says_why_there_is_none(name):
    problem, settings, reason = REASONS[name]
    with pytest.raises(NoClosedForm, match=reason):
        ufm.global_minimizer(replace(problem, loss=ufm.losses.MeanSquare(**settings)))


# The spectrum.


@pytest.mark.parametrize("name", ["mse", "far targets"])
@pytest.mark.parametrize(("K", "n", "d"), SIZES)
@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize("rho", [0.1, 0.6, 2.0])
def test_spectrum_equals_dense_eigenvalues(name, K, n, d, lb, rho):
    problem = balanced(name, K, n, d, rho, lb)
    found = ufm.spectrum(problem)
    assert found.method == "symmetric blocks"
    assert spectral_deviation(problem, name, found.expanded()) <= 1e-13
    blocks = ufm.spectrum(problem, ufm.global_minimizer(problem))
    assert found.index == blocks.index == 0
    orbit = ufm.certify(problem, ufm.global_minimizer(problem)).orbit_dimension
    assert found.nullity == blocks.nullity == orbit


def test_spectrum_in_radicals_without_a_bias():
    """Every level by the formulas of the module's docstring, at K = 4, n = 2, d = 6."""
    problem = balanced("mse", 4, 2, 6, 0.3)
    K, n, d, N, lW, lH = 4, 2, 6, 8, problem.lambda_w, problem.lambda_h
    ab = math.sqrt(n) * (1 - 0.3)
    a2, b2 = ab * math.sqrt(lH / lW), ab * math.sqrt(lW / lH)
    trace = (a2 + b2) / N + lW + lH
    root = math.sqrt(trace**2 / 4 - 4 * ab * problem.ridge / N)
    levels = [
        *[(trace / 2 + sign * root, K * (K + 1) // 2) for sign in (1, -1)],
        *[(value, K * (K - 1) // 2) for value in (trace, 0.0)],
        *[(value, K * (d - K)) for value in (lW + lH, 0.0)],
        (a2 / N + lH, K * K * (n - 1)),
        (lH, K * (d - K) * (n - 1)),
    ]
    listed = torch.tensor([value for value, count in levels for _ in range(count)], dtype=torch.float64)
    assert spectral_deviation(problem, "mse", listed) <= 1e-13


def test_a_spectrum_without_levels_comes_from_blocks():
    problem, _ = skewed(3, True)
    found = ufm.spectrum(problem)
    assert found.method == "blocks"
    assert spectral_deviation(problem, "mse", found.expanded()) <= 1e-11


@pytest.mark.parametrize(("part", "lb"), [("_pairs", None), ("_out", 0.2), ("_within", 3.0), ("_frame", 0.2)])
def test_a_planted_error_of_the_spectrum_is_caught(part, lb, monkeypatch):
    """Each part with its first level one per cent off."""
    right = getattr(mean_square_levels, part)

    def wrong(*arguments):
        (value, count), *rest = right(*arguments)
        return iter([(1.01 * value if value else 0.01, count), *rest])

    problem = balanced("mse", 4, 2, 6, 0.3, lb)
    assert spectral_deviation(problem, "mse", ufm.spectrum(problem).expanded()) <= 1e-13
    monkeypatch.setattr(mean_square_levels, part, wrong)
    assert spectral_deviation(problem, "mse", ufm.spectrum(problem).expanded()) > 1e-6
