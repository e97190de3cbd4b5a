"""What theory predicts is free of rounding: exact zeros where a minimiser has zero, small values where it has not."""

import math
from dataclasses import replace

import pytest

import ufm
from tests.cases import PROBLEMS
from ufm import Problem
from ufm.losses import Focal, MeanSquare
from validate import compare
from validate.theory.prediction import measured, minimizer, without_rounding

DECAY = {"lambda_w": 5e-3, "lambda_h": 2e-5, "lambda_b": 5e-3}
ZERO = {
    "a simplex": (Problem.balanced(10, 20, 64, **DECAY), {"nc1", "nc2", "nc3", "nc4", "gap"}),
    "d < K - 1": (Problem.balanced(10, 20, 4, **DECAY), {"nc1", "nc4"}),
    "imbalanced": (Problem((1, 2, 5, 50), 6, **DECAY), {"nc1", "gap"}),
    "tiny values": (Problem.balanced(4, 3, 6, lambda_w=1e-7, lambda_h=1e-7), {"nc1", "nc2", "nc3", "nc4", "gap"}),
    "nothing but a bias": (PROBLEMS["strong decay, imbalanced"], {"norm_w", "norm_h", "gap"}),
    "mean squares": (Problem.balanced(10, 20, 64, **DECAY, loss=MeanSquare()), {"nc1", "nc2", "nc3", "gap"}),
    "mean squares, no bias": (
        Problem.balanced(10, 20, 64, lambda_w=5e-3, lambda_h=2e-5, bias=False, loss=MeanSquare()),
        {"nc1", "nc3", "gap"},
    ),
    "mean squares, imbalanced": (Problem((1, 2, 5, 50), 6, **DECAY, loss=MeanSquare()), {"nc1", "gap"}),
    "mean squares, nothing but a bias": (
        replace(PROBLEMS["strong decay, imbalanced"], loss=MeanSquare()),
        {"norm_w", "norm_h", "gap"},
    ),
    "focal": (Problem.balanced(10, 20, 64, **DECAY, loss=Focal(2.0)), {"nc1", "nc2", "nc3", "nc4", "gap"}),
}


def predicted(problem: Problem) -> dict[str, float]:
    """The minimiser's numbers, every class with all its samples."""
    best, _ = minimizer(problem)
    point = problem.expand(best)
    labelled = ufm.Point(point.W, point.H, point.b, problem.labels)
    known = float(problem.objective(labelled)), ufm.lower_bound(problem, labelled).value
    return without_rounding(problem, measured(problem, labelled, problem.labels, *known))


@pytest.mark.parametrize(("problem", "zero"), ZERO.values(), ids=ZERO)
def test_zeros_are_exact_and_nothing_else_is(problem, zero):
    found = predicted(problem)
    names = ("mean_margin", "norm_w", "norm_h", "loss", "nc1", "nc2", "nc3", "nc4", "objective", "gap")
    assert {name for name in names if found[name] == 0} == zero


def test_a_sample_too_many_is_not_rounding():
    """Of ten classes of 6,000 one has one sample more: NC2 to NC4 are small, and not 0."""
    problem = Problem((6000,) * 9 + (6001,), 12, lambda_w=5e-4, lambda_h=2e-8, lambda_b=5e-4)
    found = predicted(problem)
    assert all(1e-6 < found[name] < 1e-3 for name in ("nc2", "nc3", "nc4"))


def test_metrics_of_a_vanished_layer_are_not_those_of_its_rounding():
    found = predicted(PROBLEMS["strong decay, imbalanced"])
    assert all(math.isnan(found[name]) for name in ("nc2", "nc3", "norm_ratio"))


def test_the_ratio_of_the_norms_is_last_and_agrees_by_construction():
    problem = PROBLEMS["balanced"]
    spoiled = problem.expand(ufm.global_minimizer(problem))
    point = ufm.Point(3 * spoiled.W, spoiled.H, spoiled.b, problem.labels)
    implied = compare(point, lambda_w=problem.lambda_w)
    row = implied.rows[-1]
    assert (row.name, row.implied, implied.implied) == ("norm_ratio", True, True)
    assert [row.name for row in implied.rows if row.implied] == ["norm_ratio"]
    assert row.theory == pytest.approx(row.network, rel=1e-9)
    given = compare(point, lambda_w=problem.lambda_w, lambda_h=problem.lambda_h)
    assert not given.implied
    assert not any(row.implied for row in given.rows)
    assert given.rows[-1].theory == pytest.approx(given.rows[-1].network / 3, rel=1e-9)


def test_only_a_certified_minimiser_is_proved():
    proved = {}
    for name in ("balanced", "imbalanced", "d < K - 1"):
        problem = PROBLEMS[name]
        proved[name] = compare(ufm.minimize(problem).point, problem.labels, lambda_w=problem.lambda_w).certified
    assert proved == {"balanced": True, "imbalanced": True, "d < K - 1": False}
