"""Label smoothing: the simplex ETF at a shifted strength, its threshold and its spectrum."""

from dataclasses import replace

import pytest

import ufm
from tests.ufm.closed_forms.forms import CLOSE, balanced, deviation, spectral_deviation
from ufm import NoClosedForm, Problem
from ufm.closed_forms import cross_entropy, label_smoothing
from ufm.closed_forms.hessian_levels import etf_levels
from ufm.closed_forms.label_smoothing import minimizer_scale
from ufm.losses import CrossEntropy, LabelSmoothing

NAME, A = "label smoothing", 0.1
SIZES = [(2, 1, 1), (3, 2, 2), (4, 3, 5)]
BIASES = [None, 0.0, 0.02]


@pytest.mark.parametrize(("K", "n", "d"), SIZES)
@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize("rho", [0.02, 0.5])
def test_it_is_the_global_minimiser(K, n, d, lb, rho):
    problem = balanced(NAME, K, n, d, rho, lb)
    assert deviation(problem, NAME, ufm.global_minimizer(problem), minimizer_scale(problem).value) <= CLOSE


@pytest.mark.parametrize(("ratio", "nonzero"), [(0.97, True), (1.03, False)])
def test_threshold(ratio, nonzero):
    """K s = 1 - a."""
    problem = balanced(NAME, 4, 2, 5, ratio * (1 - A), 0.02)
    point = ufm.global_minimizer(problem)
    assert bool(point.W.any()) is nonzero
    assert deviation(problem, NAME, point, minimizer_scale(problem).value) <= CLOSE


def test_without_smoothing_it_is_cross_entropy():
    problem = balanced(NAME, 4, 2, 5, 0.3, 0.02)
    plain = minimizer_scale(replace(problem, loss=LabelSmoothing(0.0)))
    expected = cross_entropy.minimizer_scale(replace(problem, loss=CrossEntropy()))
    assert vars(plain) == pytest.approx(vars(expected), rel=1e-14)


@pytest.mark.parametrize(("K", "n", "d"), SIZES)
@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize("rho", [0.1, 0.6, 1.2])
def test_spectrum_equals_dense_eigenvalues(K, n, d, lb, rho):
    problem = balanced(NAME, K, n, d, rho, lb)
    for found in (ufm.spectrum(problem), ufm.spectrum(problem, ufm.global_minimizer(problem))):
        assert found.method == "symmetric blocks"
        assert spectral_deviation(problem, NAME, found.expanded()) <= 1e-13


PLANTED = {
    "the strength of cross-entropy": lambda p: label_smoothing.frame_point(p, _unsmoothed(p)),
    "a for a/K": lambda p: label_smoothing.frame_point(p, minimizer_scale(replace(p, loss=LabelSmoothing(0.4)))),
    "the origin": lambda p: label_smoothing.frame_point(p, replace(minimizer_scale(p), margin=0.0)),
}


def _unsmoothed(problem: Problem) -> cross_entropy.Scale:
    return cross_entropy.minimizer_scale(replace(problem, loss=CrossEntropy()))


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_caught(error):
    problem = balanced(NAME, 4, 2, 5, 0.3, 0.02)
    assert deviation(problem, NAME, PLANTED[error](problem), minimizer_scale(problem).value) > 10 * CLOSE


def test_a_planted_value_is_caught():
    """The decays of the smoothed part counted twice."""
    problem = balanced(NAME, 4, 2, 5, 0.3, 0.02)
    scale = minimizer_scale(problem)
    wrong = scale.value + A / 4 * 3 * scale.margin
    assert deviation(problem, NAME, ufm.global_minimizer(problem), wrong) > 10 * CLOSE


def test_a_spectrum_with_the_curvature_of_cross_entropy_is_caught():
    """S takes s_eff, not s."""
    problem = balanced(NAME, 4, 2, 5, 0.3, 0.02)
    scale, plain = minimizer_scale(problem), _unsmoothed(problem)
    mixed = replace(scale, p_correct=plain.p_correct, p_wrong=plain.p_wrong)
    levels = [value for value, count in etf_levels(problem, mixed) for _ in range(count)]
    assert spectral_deviation(problem, NAME, ufm.spectrum(problem).expanded().new_tensor(levels)) > 1e-6


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Problem((1, 2, 3), 3, lambda_w=1e-3, lambda_h=1e-3, loss=LabelSmoothing(A)), "imbalanced classes"),
        (balanced(NAME, 5, 2, 2, 0.3), "d = 2 < K - 1 = 4"),
    ],
)
def test_says_why_there_is_none(problem, reason):
    with pytest.raises(NoClosedForm, match=reason):
        ufm.global_minimizer(problem)
