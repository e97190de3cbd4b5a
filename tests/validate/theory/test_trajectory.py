"""The bounds of an epoch are those of `compare` at the same point, and below the minimum."""

import pytest
import torch

import ufm
from ufm import Point, Problem
from validate import compare, compare_run
from validate.theory.trajectory import trajectory


def test_objective_and_bound_are_those_of_the_comparison(trained):
    problem = compare_run(trained).problem
    labels = problem.labels
    for step in trajectory(trained, problem):
        means = Point.load(trained.point(step.epoch)).double()
        decays = {"lambda_w": problem.lambda_w, "lambda_h": problem.lambda_h, "lambda_b": problem.lambda_b}
        rows = {row.name: row.network for row in compare(means, labels, **decays).rows}
        assert step.objective == pytest.approx(rows["objective"], rel=1e-10)
        assert step.lower_bound == pytest.approx(rows["lower_bound"], rel=1e-10)
        assert step.gap == step.objective - step.lower_bound


def test_bounds_lie_below_the_minimum_and_objectives_above(trained):
    problem = compare_run(trained).problem
    least = float(problem.objective(ufm.global_minimizer(problem)))
    steps = trajectory(trained, problem)
    assert [step.epoch for step in steps] == [1, 2, 3, 4, 5, 6]
    assert all(step.lower_bound <= least <= step.objective for step in steps)


def test_imbalanced_classes_and_no_bias(run_copy):
    generator = torch.Generator().manual_seed(0)
    W, H = (torch.randn(3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    for bias in (True, False):
        problem = Problem((1, 2, 4), 2, 1e-2, 1e-2, 1e-2 if bias else 0.0, bias=bias)
        b = torch.ones(3, dtype=torch.float64) * bias
        Point(W, H, b).save(run_copy.point(1))
        first = trajectory(_only(run_copy, 1), problem)[0]
        decays = {"lambda_w": 1e-2, "lambda_h": 1e-2, "lambda_b": 1e-2}
        rows = {row.name: row.network for row in compare(Point(W, H, b), problem.labels, **decays, bias=bias).rows}
        assert first.objective == pytest.approx(rows["objective"], rel=1e-9)


def _only(run, epoch):
    run.write_epochs([row for row in run.epochs if row["epoch"] == epoch])
    return run


def test_epochs_without_a_point_are_left_out(run_copy):
    problem = compare_run(run_copy).problem
    run_copy.point(3).unlink()
    assert [step.epoch for step in trajectory(run_copy, problem)] == [1, 2, 4, 5, 6]
