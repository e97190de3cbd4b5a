"""Near which critical point a last layer is, and how far its directions are from one another."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import ufm
from tests.cases import PROBLEMS, autograd_hessian, orthogonal, random_point
from ufm import InputError, Point
from validate import compare, generalized_collapse, locate
from validate.theory.locate import distance


def compared(problem, point):
    given = {"lambda_w": problem.lambda_w, "lambda_h": problem.lambda_h, "lambda_b": problem.lambda_b}
    return compare(point, problem.labels, **given, bias=problem.bias)


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "two classes", "d = K - 1"])
def test_a_spoiled_minimiser_is_near_a_global_one(name):
    problem = PROBLEMS[name]
    best = ufm.minimize(problem, tol=1e-12).point
    noise = random_point(problem, seed=3, scale=0.05)
    found = locate(compared(problem, Point(best.W + noise.W, best.H + noise.H, best.b + noise.b)))
    assert found.verdict == "global minimizer"
    assert found.converged
    assert 1e-4 < found.distance < 0.2
    assert found.fall > found.spread > 0
    assert found.lowest_at_end > -1e-9
    at = locate(compared(problem, best))
    assert at.distance < 1e-6
    assert abs(at.fall) < 1e-10


def test_the_lowest_curvature_is_that_of_the_dense_hessian():
    problem = PROBLEMS["imbalanced"]
    comparison = compared(problem, random_point(problem))
    means = problem.expand(problem.class_means(comparison.point))
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, replace(means, labels=None)))
    assert locate(comparison).lowest == pytest.approx(float(dense[0]), rel=1e-8)
    assert dense[0] < 0


def test_a_layer_at_a_saddle_is_told_so():
    problem = PROBLEMS["balanced"]
    zero = Point(
        *(torch.zeros_like(part) for part in (random_point(problem).W, random_point(problem).H)),
        torch.zeros(4).double(),
    )
    found = locate(compared(problem, zero))
    assert found.verdict == "strict saddle"
    assert found.lowest < 0
    assert found.lowest_at_end == pytest.approx(found.lowest)
    assert found.distance == math.inf


def test_distance_is_over_all_rotations():
    problem = PROBLEMS["d < K - 1"]
    one, two = (problem.class_means(random_point(problem, seed)) for seed in (0, 1))
    assert distance(problem, one.rotated(orthogonal(2)), one) == pytest.approx(0, abs=1e-12)
    roots = np.sqrt(problem.class_counts)[:, None]
    stack = [np.vstack([p.W.numpy(), roots * p.H.numpy()]) for p in (one, two)]
    turns = [np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in np.linspace(0, 2 * np.pi, 4001)]
    turns += [turn @ np.diag([1, -1]) for turn in turns]
    gap = min(np.linalg.norm(stack[0] - stack[1] @ turn) for turn in turns)
    size = math.hypot(np.linalg.norm(stack[1]), float(two.b.norm()))
    expected = math.hypot(gap, float((one.b - two.b).norm())) / size
    assert distance(problem, one, two) == pytest.approx(expected, rel=1e-5)


def test_large_layers_are_refused():
    point = Point(torch.ones(60, 1000), torch.randn(60, 1000), torch.zeros(60))
    comparison = replace(
        compared(PROBLEMS["balanced"], random_point(PROBLEMS["balanced"])),
        model=ufm.Problem.balanced(60, 1, 1000, lambda_w=1e-3, lambda_h=1e-3),
        point=point,
    )
    with pytest.raises(InputError, match=r"120,060 variables .* are too many"):
        locate(comparison)


def test_the_directions_of_a_polygon_are_a_softmax_code():
    K = 5
    turns = 2 * math.pi * torch.arange(K, dtype=torch.float64) / K
    W = torch.stack([turns.cos(), turns.sin()], 1)
    found = generalized_collapse(Point(W, 3 * W + 7, torch.zeros(K).double()))
    assert found.best_is_known
    for value in (found.one_vs_rest_w, found.one_vs_rest_means):
        assert value == pytest.approx(found.best) == pytest.approx(1 - math.cos(2 * math.pi / K))
    turns[1] += 0.3
    moved = torch.stack([turns.cos(), turns.sin()], 1)
    spoiled = generalized_collapse(Point(moved, W, torch.zeros(K).double()))
    assert spoiled.one_vs_rest_w < found.best - 0.05
    assert spoiled.one_vs_rest_means == pytest.approx(found.best)


def test_one_versus_rest_of_many_classes_is_refused():
    with pytest.raises(InputError, match="of 201 classes take too long"):
        generalized_collapse(Point(torch.ones(201, 2), torch.ones(201, 2), torch.zeros(201)))
