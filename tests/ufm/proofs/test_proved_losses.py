"""What is proved with every loss: minimisers, saddles, values; what is refused."""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from flint import arb

import ufm
from tests.ufm.losses.naive import NAIVE, flat_objective, problem_of
from tests.ufm.proofs.minimisers import minimiser
from ufm import Point, Problem
from ufm.closed_forms.simplex import simplex_frame
from ufm.losses import BinaryCrossEntropy, MeanSquare, SoftCrossEntropy
from ufm.proofs import balls, losses
from ufm.proofs.enclosure import Reduced
from ufm.proofs.proof import length_unit
from ufm.solvers.critical import narrow_solution, origin

SETTINGS = {"decayed bias": {}, "no bias": {"bias": False}, "free bias": {"lambda_b": 0.0}}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("name", NAIVE)
def test_a_minimiser_is_proved_global(name, settings):
    problem = problem_of(name, **settings)
    solution = ufm.minimize(problem, tol=1e-14)
    proof = ufm.prove(problem, solution.point)
    assert proof.verdict == "global minimizer", proof.statement
    low, high = proof.value
    assert low - 1e-13 <= solution.value <= high + 1e-13
    with balls.working_precision(200):
        assert arb(proof.digits).rad() < arb("1e-25")
    assert 0 <= proof.duality_gap < 1e-30
    assert proof.distance < 1e-9
    assert proof.rank <= problem.largest_rank
    assert proof.unique_within > 1e-6


@pytest.mark.parametrize("name", NAIVE)
def test_the_value_is_that_of_the_definition(name):
    problem = problem_of(name)
    point = problem.expand(problem.class_means(minimiser(problem)))
    low, high = ufm.prove(problem, point).value
    f = flat_objective(problem, name)(torch.cat([point.W.reshape(-1), point.H.reshape(-1), point.b]))
    assert low - 1e-14 <= float(f) <= high + 1e-14


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("name", NAIVE)
def test_saddles_are_proved_strict(name, rank):
    problem = problem_of(name)
    point = narrow_solution(problem, 1, tol=1e-14).point if rank else origin(problem)
    proof = ufm.prove(problem, point)
    assert (proof.verdict, proof.rank) == ("strict saddle", rank)
    full = problem.expand(problem.class_means(point))
    flat = torch.cat([full.W.reshape(-1), full.H.reshape(-1), full.b])
    hessian = torch.autograd.functional.hessian(flat_objective(problem, name), flat)
    assert float(torch.linalg.eigvalsh(hessian)[0]) - 1e-10 <= proof.curvature < 0


@pytest.mark.parametrize("name", NAIVE)
def test_a_point_moved_by_a_thousandth_is_refused(name):
    problem = problem_of(name)
    point = minimiser(problem)
    assert ufm.prove(problem, replace(point, W=point.W + 1e-3)).refused
    assert ufm.prove(problem, replace(point, b=point.b + torch.tensor([1e-3, 0.0, 0.0]))).refused


NARROW = Problem.balanced(5, 1, 4, lambda_w=2e-3, lambda_h=2e-3, bias=False, loss=BinaryCrossEntropy())
ONE_AND_FOUR = [
    [-1.8, 0, 0, -2.9],
    [-2.3, 1.2, 2.8, 0.6],
    [-2.3, -2.8, 1.2, 0.6],
    [-2.3, 2.8, -1.2, 0.6],
    [-2.3, -1.2, -2.8, 0.6],
]
TWO_AND_THREE = [[-2.0, 0, -1.4, -2.6], [-2.0, 0, -1.5, 2.5], [-2.0, 0, 2.9, 0], [-2.4, 3.2, 0, 0], [-2.4, -3.2, 0, 0]]


def narrow_minimiser(W, common):
    """The minimiser near classifiers W (5, 4) and the same features but for the sign of the common part."""
    W = torch.tensor(W, dtype=torch.float64)
    H = W * torch.tensor([common, 1, 1, 1])
    return minimiser(NARROW, start=Point(W, H, torch.zeros(5, dtype=torch.float64)))


def test_one_logistic_loss_a_class_has_local_minimisers_at_d_equal_to_k_minus_1():
    """Three of rank d = 4: one class and four, two and three, and the simplex. At d = K = 5 the least is lower yet."""
    points = [narrow_minimiser(W, -1) for W in (ONE_AND_FOUR, TWO_AND_THREE)]
    points.append(narrow_minimiser((3 * simplex_frame(5, 4)).tolist(), 1))
    proofs = [ufm.prove(NARROW, point) for point in points]
    assert [(proof.verdict, proof.rank) for proof in proofs] == [("local minimizer", 4)] * 3
    assert [round(proof.value[0], 10) for proof in proofs] == [0.1694720697, 0.1700457375, 0.2240061478]
    assert proofs[0].value[1] < proofs[1].value[0]
    assert proofs[1].value[1] < proofs[2].value[0]
    roomy = replace(NARROW, dim=5)
    best = ufm.prove(roomy, minimiser(roomy))
    assert (best.verdict, best.rank) == ("global minimizer", 5)
    assert max(proof.value[1] - proof.duality_gap for proof in proofs) <= best.value[1]
    assert best.value[1] < proofs[0].value[0]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_squares_of_equal_classes(settings):
    """Symmetric under rotations of R^K: the minimiser is one orbit of O(d) at the full rank, and a manifold below."""
    problem = Problem.balanced(4, 2, 6, **({"lambda_w": 5e-3, "lambda_h": 2e-3, "lambda_b": 1e-2} | settings))
    problem = replace(problem, loss=MeanSquare())
    full = 4 if not problem.bias else 3
    proof = ufm.prove(problem, minimiser(problem))
    assert (proof.verdict, proof.rank) == ("global minimizer", full)
    narrow = replace(problem, dim=2)
    for where, point in ((narrow, minimiser(narrow)), (problem, minimiser(narrow).padded(6))):
        refusal = ufm.prove(where, point)
        assert refusal.refused
        assert "degenerate beyond the symmetries" in refusal.reason


def test_squares_at_the_closed_form():
    """No bias, n samples each of K classes: W^T H~ has K singular values sqrt(n) - N rho, by soft thresholding."""
    problem = Problem.balanced(4, 2, 4, lambda_w=5e-3, lambda_h=2e-3, bias=False, loss=MeanSquare())
    with mpmath.workdps(50), balls.working_precision(200):
        rho = mpmath.sqrt(mpmath.mpf(problem.lambda_w) * mpmath.mpf(problem.lambda_h))
        # min over s of (sqrt n - s)^2/(2 N) + rho s, K times.
        s = mpmath.sqrt(2) - 8 * rho
        value = 4 * ((8 * rho) ** 2 / 16 + rho * s)
        proof = ufm.prove(problem, minimiser(problem), precision=200)
        assert abs(arb(mpmath.nstr(value, 50)) - arb(proof.digits)) < arb("1e-45")


@pytest.mark.parametrize("name", ["cross-entropy", "mse", "bce", "focal"])
def test_a_wrong_conjugate_shows_as_a_gap(name, monkeypatch):
    problem = problem_of(name)
    point = minimiser(problem)
    assert abs(ufm.prove(problem, point).duality_gap) < 1e-30
    where = losses.ENCLOSED[type(problem.loss)]
    sound = where.negative_conjugate
    monkeypatch.setattr(where, "negative_conjugate", lambda row, share: sound(row, share) * arb(1 - 1e-9))
    assert abs(ufm.prove(problem, point).duality_gap) > 1e-12


@pytest.mark.parametrize("name", ["label smoothing", "regression", "tags", "gentle focal"])
def test_a_wrong_slope_is_refused(name, monkeypatch):
    """The zero of another gradient is not at the given point."""
    problem = problem_of(name)
    point = minimiser(problem)
    where = losses.ENCLOSED[type(problem.loss)]
    sound = where.slope.func
    monkeypatch.setattr(where, "slope", property(lambda row: [u * arb(1.001) for u in sound(row)]))
    assert ufm.prove(problem, point).refused


@pytest.mark.parametrize("name", NAIVE)
def test_the_unit_bounds_the_minimiser(name):
    """f(min) <= f(0), so lW |W|^2/2 + lH |H|^2/2 <= f(0) - inf."""
    problem = problem_of(name)
    point = problem.expand(minimiser(problem))
    size = math.hypot(float(point.W.norm()), float(point.H.norm()))
    assert 0.01 < size / length_unit(problem) < 1


def test_the_unit_where_there_is_nothing_to_gain():
    """The infimum is at 0, and so is the minimiser."""
    for loss in (MeanSquare(np.zeros((3, 3))), SoftCrossEntropy(np.full((3, 3), 0.1))):
        problem = Problem((2, 1, 1), 3, 5e-3, 2e-3, 1e-2, loss=loss)
        assert length_unit(problem) > 0
        assert ufm.prove(problem, origin(problem)).verdict == "global minimizer"


@pytest.mark.parametrize("name", NAIVE)
def test_decays_far_apart_are_no_obstacle(name):
    problem = problem_of(name, lambda_w=1e-1, lambda_h=1e-5)
    assert Reduced.of(problem, 2).power >= 2
    assert ufm.prove(problem, minimiser(problem)).verdict == "global minimizer"
