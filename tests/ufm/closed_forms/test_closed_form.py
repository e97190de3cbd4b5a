"""The closed form against a radial minimisation in mpmath, autograd and its own certificate."""

import math
from dataclasses import replace

import mpmath
import pytest
import torch

import ufm
from tests.cases import DECAY, PROBLEMS, autograd_gradient
from ufm import NoClosedForm, Problem
from ufm.closed_forms.cross_entropy import minimizer_scale
from ufm.closed_forms.simplex import simplex_frame

SIZES = [(2, 1, 1), (3, 2, 2), (4, 3, 6), (10, 5, 9), (7, 4, 20)]


@pytest.mark.parametrize(("K", "n", "d"), SIZES)
def test_it_is_critical_and_certified(K, n, d):
    problem = Problem.balanced(K, n, d, **DECAY, lambda_b=1e-2)
    point = ufm.global_minimizer(problem)
    assert float(autograd_gradient(problem, point).norm()) < 1e-14
    assert ufm.certify(problem, point).verdict == "global minimizer"


@pytest.mark.parametrize(("K", "n", "d"), SIZES)
def test_scale_minimises_along_the_ray(K, n, d):
    """In mpmath: f on W W^T = alpha^2 Pi with balanced H is a function of the margin alone."""
    problem = Problem.balanced(K, n, d, **DECAY)
    s = mpmath.sqrt(mpmath.mpf(n) * problem.lambda_w * problem.lambda_h)

    def f(c):
        return mpmath.log(1 + (K - 1) * mpmath.exp(-c)) + s * (K - 1) * c

    c = mpmath.findroot(lambda x: mpmath.diff(f, x), 5)
    scale = minimizer_scale(problem)
    assert scale.margin == pytest.approx(float(c), rel=1e-9)
    assert scale.value == pytest.approx(float(f(c)), rel=1e-14)
    assert scale.p_correct == pytest.approx(1 / (1 + (K - 1) * math.exp(-scale.margin)), rel=1e-13)
    assert scale.p_wrong == pytest.approx((1 - scale.p_correct) / (K - 1), rel=1e-12)


def test_point_has_the_scale():
    problem = PROBLEMS["balanced"]
    point, scale = ufm.global_minimizer(problem), minimizer_scale(problem)
    centre = torch.eye(4, dtype=torch.float64) - 0.25
    torch.testing.assert_close(point.W @ point.W.T, scale.alpha**2 * centre)
    torch.testing.assert_close(point.W @ point.H.T, scale.margin * centre)
    assert float(problem.objective(point)) == pytest.approx(scale.value, rel=1e-14)


@pytest.mark.parametrize(("K", "d"), [(2, 1), (5, 4), (5, 9)])
def test_frame_is_a_simplex(K, d):
    frame = simplex_frame(K, d)
    torch.testing.assert_close(frame @ frame.T, torch.eye(K, dtype=torch.float64) - 1 / K)


@pytest.mark.parametrize(("ratio", "nonzero"), [(0.999, True), (1.0, False), (1.5, False)])
def test_threshold(ratio, nonzero):
    """K sqrt(n lW lH) = ratio."""
    K, n = 4, 4
    problem = Problem.balanced(K, n, 5, lambda_w=ratio / (2 * K), lambda_h=ratio / (2 * K))
    point = ufm.global_minimizer(problem)
    assert bool(point.W.any()) is nonzero
    assert ufm.certify(problem, point).verdict == "global minimizer"


REASONS = {
    "imbalanced": (PROBLEMS["imbalanced"], "imbalanced classes"),
    "narrow": (PROBLEMS["d < K - 1"], "d = 2 < K - 1 = 4"),
}


@pytest.mark.parametrize(("problem", "reason"), REASONS.values(), ids=REASONS)
def test_says_why_there_is_none(problem, reason):
    with pytest.raises(NoClosedForm, match=reason):
        ufm.global_minimizer(problem)


def test_no_closed_form_for_another_loss():
    class Other:
        name = "other"

        def values(self, logits, types):
            return logits.square().sum(1)

    with pytest.raises(NoClosedForm, match="'other'"):
        ufm.global_minimizer(replace(PROBLEMS["balanced"], loss=Other()))
