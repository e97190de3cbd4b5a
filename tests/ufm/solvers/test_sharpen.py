"""The critical point near a numerical one: found to the last digits, and not found where there is none."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, autograd_gradient, orthogonal, random_point
from ufm import Point, Problem
from ufm.solvers.critical import narrow_solution, origin
from ufm.solvers.sharpen import at_rest, doubt, row_space, sharpened

# Decays, equal and not: lambda_w, lambda_h, lambda_b.
SCALES = {
    "1e-5": (1e-5, 1e-5, 1e-5),
    "1e-8": (1e-8, 1e-8, 0.0),
    "1e-11": (1e-11, 1e-11, 0.0),
    "1e-12": (1e-12, 1e-12, 1e-12),
    "1e-12, bias held": (1e-12, 1e-12, 1e-2),
    "1 and 1e-12": (1.0, 1e-12, 1e-2),
    "1e-12 and 1": (1e-12, 1.0, 0.0),
}


def at(scale: str) -> Problem:
    lW, lH, lb = SCALES[scale]
    return Problem.balanced(6, 3, 6, lambda_w=lW, lambda_h=lH, lambda_b=lb)


def near(problem: Problem, point: Point, size: float) -> Point:
    noise = random_point(problem, seed=3)
    parts = ((getattr(point, x), getattr(noise, x)) for x in ("W", "H", "b"))
    return Point(*(p + size * (p.norm() or 1) * q[: len(p)] / (q.norm() or 1) for p, q in parts))


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "free bias", "d = K - 1", "d < K - 1"])
def test_a_point_near_a_minimiser_is_led_there(name):
    problem = PROBLEMS[name]
    exact = problem.class_means(ufm.minimize(problem, tol=1e-14).point)
    moved = near(problem, exact.rotated(orthogonal(problem.dim)), 1e-9)
    found = sharpened(problem, moved)
    assert float(autograd_gradient(problem, found).norm()) < 1e-14
    torch.testing.assert_close(found.logits, exact.logits, rtol=0, atol=1e-6 if problem.lambda_b == 0 else 1e-11)


def test_what_is_far_from_critical_is_near_none():
    problem = PROBLEMS["balanced"]
    assert sharpened(problem, random_point(problem)) is None
    assert sharpened(problem, near(problem, ufm.global_minimizer(problem), 1e-3)) is None


def test_a_small_gradient_in_a_flat_valley_is_no_critical_point():
    """Just below the collapse threshold with d = 1 the landscape around the minimum is flat to eleven digits."""
    problem = Problem.balanced(5, 1, 1, lambda_w=0.196, lambda_h=0.196, lambda_b=0.15)
    point = ufm.minimize(problem, seed=0, tol=1e-7).point
    assert problem.relative_gradient(point) <= 1e-7
    found = ufm.certify(problem, point).verdict
    assert found == "not critical"
    assert ufm.spectrum(problem, point).method == "matrix-free ends"


@pytest.mark.parametrize("scale", SCALES)
def test_verdicts_hold_at_every_scale(scale):
    problem = at(scale)
    best = ufm.certify(problem, ufm.minimize(problem).point)
    assert (best.verdict, best.index, best.nullity) == ("global minimizer", 0, best.orbit_dimension)
    assert abs(best.duality_gap) < 1e-9 * best.value
    assert best.value == pytest.approx(float(problem.objective(ufm.global_minimizer(problem))), rel=1e-12)
    zero = ufm.certify(problem, origin(problem))
    assert (zero.verdict, zero.index) == ("strict saddle", 6 * 5)
    assert zero.curvature < 0


@pytest.mark.parametrize("scale", ["1e-8", "1e-11", "1e-12"])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_saddles_are_saddles_at_every_scale(scale, rank):
    problem = at(scale)
    found = ufm.certify(problem, narrow_solution(problem, rank).point)
    assert (found.verdict, found.rank, found.nullity) == ("strict saddle", rank, found.orbit_dimension)
    assert found.curvature < 0
    assert found.index >= 6 - rank  # one for every dimension that it does not use, at least


def test_a_minimum_that_was_called_a_saddle():
    """Theirs is the seed at which it was seen: the gradient that was left made an eigenvalue negative."""
    problem = Problem((5, 10, 1, 32, 3, 9), 3, lambda_w=3.35e-9, lambda_h=2.24e-9, bias=False)
    found = ufm.certify(problem, ufm.minimize(problem, seed=100263).point)
    assert (found.verdict, found.index, found.nullity) == ("local minimizer", 0, found.orbit_dimension)


def test_a_point_above_the_minimum_is_not_called_global_at_any_scale():
    """18% above f* at decays of 1e-12: far below 1e-8 log K, and no minimiser."""
    problem = at("1e-12")
    best = ufm.minimize(problem).point
    off = replace(best, W=1.1 * best.W, H=1.1 * best.H)
    found = ufm.certify(problem, off)
    assert 1.02 < found.value / float(problem.objective(best)) < 1.5
    assert found.verdict == "not critical"
    assert found.lower_bound <= float(problem.objective(best))


@pytest.mark.parametrize("decay", [1e-9, 1e-12, 1e-16, 1e-20])
def test_bounds_stay_below_f_at_any_decay(decay):
    problem = Problem.balanced(6, 3, 6, lambda_w=decay, lambda_h=decay, lambda_b=0.0)
    best = ufm.global_minimizer(problem)
    bound = ufm.lower_bound(problem, best).value
    value = float(problem.objective(best))
    assert bound <= value * (1 + 1e-12)
    assert bound >= value * (1 - 1e-9)


def test_a_solution_of_unequal_decays_is_where_it_says():
    """lW = 1, lH = 1e-12: convergence is judged in coordinates in which the two are equal."""
    problem = Problem.balanced(4, 3, 6, lambda_w=1.0, lambda_h=1e-12, lambda_b=1e-2)
    solution, best = ufm.minimize(problem), ufm.global_minimizer(problem)
    assert solution.converged
    grams = [point.H @ point.H.T for point in (problem.class_means(solution.point), best)]
    assert float((grams[0] - grams[1]).norm()) < 1e-6 * float(grams[1].norm())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_row_space_is_told_from_what_the_gradient_leaves(rank):
    problem = PROBLEMS["balanced"]
    point = ufm.global_minimizer(problem) if rank == 3 else problem.class_means(narrow_solution(problem, rank).point)
    noise = 1e-10 * random_point(problem).W
    basis, found = row_space(problem, replace(point, W=point.W + noise))
    assert found == rank
    torch.testing.assert_close(basis.T @ basis, torch.eye(rank).double(), rtol=0, atol=1e-12)


def test_newtons_method_that_leads_away_finds_nothing():
    problem = PROBLEMS["imbalanced"]
    f, x = problem.landscape_at(problem.class_means(random_point(problem, scale=5)))
    assert at_rest(f, x) is None


VALLEYS = {  # rho: entries of W near a place without gradient, and whether it is a critical point
    0.995: ([-0.0034, 0.0207, 0.1101, -0.0172, -0.1102], False),
    0.98: ([0.2203, -0.0384, 0.0384, -0.2203, 0.0], True),
}


@pytest.mark.parametrize("rho", VALLEYS)
def test_a_place_of_a_flat_valley_is_no_critical_point(rho):
    """K = 5 on a line next to the collapse threshold: the gradient of both is 0 to rounding."""
    entries, expected = VALLEYS[rho]
    f = Problem.balanced(5, 1, 1, lambda_w=rho / 5, lambda_h=rho / 5, lambda_b=0.15).landscape(collapsed=True)
    W = torch.tensor(entries, dtype=torch.float64)[:, None]
    place = at_rest(f, f.pack(W, W.clone(), W.new_zeros(5)), 0.1)
    assert place is not None
    assert float(f.jet(place).gradient.norm()) < 1e-14
    assert (doubt(f, place, None, 0) is not None) == expected
