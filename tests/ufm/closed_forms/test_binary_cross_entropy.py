"""Binary cross-entropy, balanced: every branch of the bias, the threshold, and the rank-one minimiser beyond it."""

import math
from dataclasses import replace

import mpmath
import pytest
import torch

import ufm
from tests.ufm.closed_forms.forms import CLOSE, balanced, deviation, spectral_deviation
from ufm import NoClosedForm, Problem
from ufm.closed_forms.balanced import point_of
from ufm.closed_forms.binary_cross_entropy import minimizer_form
from ufm.losses import BinaryCrossEntropy

SIZES = [(2, 2, 3), (3, 1, 3), (4, 3, 6)]
BIASES = [None, 0.0, 1e-3, 0.02, 3.0]


@pytest.mark.parametrize(("K", "n", "d"), SIZES)
@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize("rho", [0.05, 0.4])
def test_it_is_the_global_minimiser(K, n, d, lb, rho):
    problem = balanced("bce", K, n, d, rho, lb)
    assert deviation(problem, "bce", ufm.global_minimizer(problem), minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize("lb", BIASES)
@pytest.mark.parametrize(("rho", "rank"), [(0.97, 4), (1.03, 0)])
def test_threshold(lb, rho, rank):
    problem = balanced("bce", 4, 2, 5, rho, lb)
    point = ufm.global_minimizer(problem)
    assert bool(point.W.any()) is (rank > 0)
    assert deviation(problem, "bce", point, minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize("lb", [None, 0.5])
@pytest.mark.parametrize("rho", [0.5, 1.03, 1.9])
def test_many_classes_share_one_direction_beyond_the_threshold(lb, rho):
    """K = 10: margin 0 for rho >= 1, but the level stays below 0 up to rho = (K - 2)/2 without a bias."""
    problem = balanced("bce", 10, 1, 11, rho, lb)
    form, point = minimizer_form(problem), ufm.global_minimizer(problem)
    assert (form.margin > 0) is (rho < 1)
    assert form.level < 0
    assert int(torch.linalg.matrix_rank(point.W)) == (10 if rho < 1 else 1)
    assert deviation(problem, "bce", point, form.value) <= CLOSE


@pytest.mark.parametrize(("ratio", "rank"), [(0.97, 3), (1.03, 2)])
def test_three_classes_without_a_bias_lose_the_level_below_the_threshold(ratio, rank):
    """level < 0 where rho < (6 - 3 sqrt 2)/4 = 0.4393; four classes or more have it up to rho = 1."""
    problem = balanced("bce", 3, 2, 4, ratio * (6 - 3 * 2**0.5) / 4)
    point = ufm.global_minimizer(problem)
    assert int(torch.linalg.matrix_rank(point.W)) == rank
    assert deviation(problem, "bce", point, minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize(("rho", "rank"), [(0.97 * 1.5, 1), (1.03 * 1.5, 0)])
def test_the_shared_direction_vanishes_where_stated(rho, rank):
    """Without a bias rho = (K - 2)/2 there; K = 5."""
    problem = balanced("bce", 5, 1, 5, rho)
    assert int(torch.linalg.matrix_rank(ufm.global_minimizer(problem).W)) == rank
    assert deviation(problem, "bce", ufm.global_minimizer(problem), minimizer_form(problem).value) <= CLOSE


@pytest.mark.parametrize(("K", "rho"), [(3, 0.2), (4, 0.3), (6, 0.9)])
def test_branches_in_closed_form(K, rho):
    """lb = 0: a = (K-1) rho/K, w = rho/K.  level < 0: w = 2 rho/K, a = rho (1 - 2/K), K beta = -rho/lb."""
    free = minimizer_form(balanced("bce", K, 2, K, rho, 0.0))
    a, w = (K - 1) * rho / K, rho / K
    z1, z0 = math.log((1 - a) / a), math.log(w / (1 - w))
    assert (free.margin, free.level, free.beta) == pytest.approx((z1 - z0, 0.0, z0 + (z1 - z0) / K), rel=1e-13)
    a, w = rho * (1 - 2 / K), 2 * rho / K
    z1, z0 = math.log((1 - a) / a), math.log(w / (1 - w))
    for lb in (None, 2.0):
        form = minimizer_form(balanced("bce", K, 2, K, rho, lb))
        beta = -rho / (K * lb) if lb else 0.0
        assert form.level == pytest.approx((z1 - beta) + (K - 1) * (z0 - beta), rel=1e-12)
        assert (form.margin, form.beta) == pytest.approx((z1 - z0, beta), rel=1e-12)


@pytest.mark.parametrize("lb", [1e-9, 1e-3, 0.01])
def test_between_the_branches_by_mpmath(lb):
    """level = 0 and b = beta 1 stationary: f(margin, beta) minimised in mpmath, 30 digits."""
    K, rho = 4, 0.4
    form = minimizer_form(balanced("bce", K, 2, 5, rho, lb))
    assert form.level == 0
    assert -1 < form.tension < 0

    with mpmath.workdps(30):

        def slopes(c, beta):
            own = -1 / (1 + mpmath.exp(beta + c * (K - 1) / K))
            other = 1 / (1 + mpmath.exp(c / mpmath.mpf(K) - beta))
            return other - own - mpmath.mpf(rho), own + (K - 1) * other + lb * K * beta

        c, beta = mpmath.findroot(slopes, (4, -1))
    assert (form.margin, form.beta) == pytest.approx((float(c), float(beta)), rel=1e-12)


def test_spectrum_comes_from_blocks():
    problem = balanced("bce", 4, 2, 5, 0.4, 0.02)
    assert spectral_deviation(problem, "bce", ufm.spectrum(problem).expanded()) <= 1e-11


PLANTED = {
    "margin": (0.02, lambda form: replace(form, margin=1.001 * form.margin)),
    "level": (0.02, lambda form: replace(form, level=form.level - 1e-3)),
    "bias": (0.02, lambda form: replace(form, beta=1.001 * form.beta)),
    "the sign of the level": (None, lambda form: replace(form, level=-form.level)),
    "no level without a bias": (None, lambda form: replace(form, level=0.0)),
    "value": (0.02, lambda form: replace(form, value=form.value * (1 + 1e-7))),
    "the branch of a free bias": (0.02, lambda _: minimizer_form(balanced("bce", 4, 2, 5, 0.4, 0.0))),
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_caught(error):
    lb, plant = PLANTED[error]
    problem = balanced("bce", 4, 2, 5, 0.4, lb)
    form = plant(minimizer_form(problem))
    assert deviation(problem, "bce", point_of(problem, form), form.value) > 10 * CLOSE


SETTINGS = {"lambda_w": 1e-3, "lambda_h": 1e-3}
REASONS = {
    "imbalanced": (Problem((1, 2, 3), 3, **SETTINGS, loss=BinaryCrossEntropy()), "imbalanced classes"),
    "targets": (Problem((1, 2), 3, **SETTINGS, loss=BinaryCrossEntropy([[1, -1], [-1, 1]])), "targets of its own"),
    "narrow": (balanced("bce", 4, 2, 3, 0.3), "d = 3 < 4"),
}


@pytest.mark.parametrize("name", REASONS)
def test_says_why_there_is_none(name):
    problem, reason = REASONS[name]
    with pytest.raises(NoClosedForm, match=reason):
        ufm.global_minimizer(problem)
