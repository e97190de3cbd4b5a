"""Every verdict on a point of its kind; the bound is below every value; the direction does descend."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ufm
from tests.cases import PROBLEMS, autograd_hessian, flat, naive_objective, random_point
from ufm import Point, Problem
from ufm.certificates import descent_direction
from ufm.solvers.critical import narrow_solution, origin
from ufm.theorems.evidence import Evidence

WIDE = [name for name, problem in PROBLEMS.items() if problem.dim >= problem.num_classes - 1]


@pytest.mark.parametrize("name", WIDE)
def test_descents_of_wide_problems_end_at_certified_global_minimisers(name):
    problem = PROBLEMS[name]
    for seed in range(3):
        certificate = ufm.certify(problem, ufm.minimize(problem, seed=seed).point)
        assert certificate.verdict == "global minimizer"
        assert abs(certificate.duality_gap) < 1e-8
        assert certificate.sigma_max <= certificate.ridge * (1 + 1e-6)
        assert certificate.direction is None


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "free bias", "two classes"])
def test_origin_is_a_strict_saddle(name):
    problem = PROBLEMS[name]
    certificate = ufm.certify(problem, origin(problem))
    assert certificate.verdict == "strict saddle"
    assert certificate.rank == 0
    assert certificate.index > 0
    assert certificate.curvature < 0
    assert certificate.lambda_min <= certificate.curvature * (1 - 1e-12)


@pytest.mark.parametrize("name", ["strong decay", "strong decay, imbalanced"])
def test_origin_is_global_under_strong_decay(name):
    problem = PROBLEMS[name]
    assert ufm.certify(problem, origin(problem)).verdict == "global minimizer"


def test_direction_has_the_curvature_claimed_and_leads_down():
    problem = PROBLEMS["balanced"]
    for rank in (1, 2):
        point = problem.class_means(narrow_solution(problem, rank).point)
        certificate = ufm.certify(problem, point)
        assert certificate.verdict == "strict saddle"
        assert certificate.rank == rank
        direction, predicted = descent_direction(problem, point)
        v = flat(problem, direction)
        measured = float(v @ autograd_hessian(problem, point) @ v / (v @ v))
        assert measured == pytest.approx(predicted, rel=1e-9)
        assert measured == pytest.approx(certificate.curvature, rel=1e-9)
        step = 1e-2
        moved = Point(*(getattr(point, x) + step * getattr(direction, x) for x in ("W", "H", "b")))
        assert naive_objective(problem, problem.expand(moved)) < certificate.value


def test_not_critical():
    problem = PROBLEMS["balanced"]
    certificate = ufm.certify(problem, random_point(problem))
    assert certificate.verdict == "not critical"
    assert certificate.index is None
    minimizer = ufm.global_minimizer(problem)
    moved = replace(minimizer, W=minimizer.W + 1e-3)
    assert ufm.certify(problem, moved).verdict == "not critical"


def test_local_minimiser_that_is_not_global():
    """Below d = K - 1 the theorem fails: descents end at different levels, some certified not global."""
    problem = Problem.balanced(6, 2, 2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3)
    certificates = [ufm.certify(problem, ufm.minimize(problem, seed=seed).point) for seed in range(12)]
    best = min(certificate.value for certificate in certificates)
    stuck = [c for c in certificates if c.verdict == "local minimizer" and c.value > best + 1e-3]
    assert stuck
    for certificate in stuck:
        assert certificate.index == 0
        assert certificate.nullity == certificate.orbit_dimension


@given(
    counts=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    dim=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
    lambda_b=st.sampled_from([None, 0.0, 1e-2]),
)
def test_bound_of_any_point_is_below_the_value_of_any_point(counts, dim, seed, scale, lambda_b):
    problem = Problem(
        tuple(counts), dim, lambda_w=7e-3, lambda_h=2e-3, lambda_b=lambda_b or 0.0, bias=lambda_b is not None
    )
    bound = ufm.lower_bound(problem, random_point(problem, seed, scale)).value
    least = min(naive_objective(problem, random_point(problem, seed + i, scale / 5)) for i in range(5))
    assert bound <= min(least, ufm.minimize(problem, seed=seed).value) + 1e-12


def test_bound_is_the_relaxations_value():
    """The bound at the optimum equals the convex program min g(Z + b 1^T) + sqrt(lW lH) |Z|_* + lb/2 |b|^2.

    Solved by proximal gradient with singular-value thresholding, which shares nothing with the solver.
    """
    problem = PROBLEMS["imbalanced"]
    N, labels = problem.num_samples, problem.labels
    Y = torch.nn.functional.one_hot(labels).T.double()
    Z, b = (
        torch.zeros(problem.num_classes, N, dtype=torch.float64),
        torch.zeros(problem.num_classes, dtype=torch.float64),
    )
    step = 1.0
    for _ in range(20_000):
        G = (torch.softmax(Z + b[:, None], 0) - Y) / N
        U, sizes, V = torch.linalg.svd(Z - step * G, full_matrices=False)
        Z, b = (U * (sizes - step * problem.ridge).clamp_min(0)) @ V, b - step * (G.sum(1) + problem.lambda_b * b)
    value = (torch.logsumexp(Z + b[:, None], 0) - (Z + b[:, None])[labels, range(N)]).mean()
    value += problem.ridge * torch.linalg.svdvals(Z).sum() + problem.lambda_b / 2 * b @ b
    certificate = ufm.certify(problem, ufm.minimize(problem).point)
    assert certificate.lower_bound == pytest.approx(float(value), abs=1e-9)


def test_a_bound_too_high_would_be_seen():
    """Feasibility matters: without the shrinking t the dual value overshoots."""
    problem = PROBLEMS["balanced"]
    point = random_point(problem, seed=3, scale=0.1)
    f, x = problem.landscape_at(point)
    G = f.jet(x).G
    unshrunk = f.loss.negative_conjugate(problem.num_samples * G, f.labels).mean() - G.sum(0).square().sum() / (
        2 * problem.lambda_b
    )
    assert float(unshrunk) > ufm.minimize(problem).value


def test_numbers_are_plain():
    problem = PROBLEMS["balanced"]
    numbers = ufm.certify(problem, origin(problem)).plain()
    assert set(numbers.pop("direction")) == {"W", "H", "b", "labels"}
    assert all(isinstance(value, str | int | float) for value in numbers.values())
    assert math.isfinite(numbers["curvature"])


def test_an_open_gap_is_explained_where_no_certificate_is_expected():
    """Below the largest rank and for a loss that is not convex; a saddle, and what is certified, need no word."""
    flat, local, better = Evidence(PROBLEMS["balanced"]).trap
    for point in (local, better):
        note = ufm.certify(flat, point).note
        assert note.startswith("global optimality is not decided: d = 2 is below 5, the largest rank of W")
    assert ufm.certify(flat, origin(flat)).note == ""
    wide = replace(flat, dim=5)
    assert ufm.certify(wide, ufm.minimize(wide).point).note == ""
    focal = Problem.balanced(3, 1, 1, lambda_w=5e-2, lambda_h=5e-2, loss=ufm.losses.Focal(2.0))
    assert "the loss 'focal' is not convex" in ufm.certify(focal, ufm.minimize(focal).point).note
