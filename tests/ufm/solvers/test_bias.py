"""The optimal bias against scipy."""

import numpy as np
import pytest
import scipy.optimize
import torch

from tests.cases import DECAY, naive_objective, random_point
from ufm import Point, Problem
from ufm.certificates import lower_bound
from ufm.solvers.bias import with_optimal_bias


@pytest.mark.parametrize("lambda_b", [0.0, 1e-8, 1e-2, 1.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
@pytest.mark.parametrize("counts", [(3, 3, 3), (1, 2, 40)])
def test_gradient_in_b_vanishes(counts, scale, lambda_b):
    problem = Problem(counts, 4, **DECAY, lambda_b=lambda_b)
    point = random_point(problem, seed=1, scale=scale)
    found = with_optimal_bias(problem, Point(point.W, point.H, point.b + 5))
    assert float(problem.gradient(found).b.norm()) < 1e-14
    assert torch.equal(found.W, point.W)


@pytest.mark.parametrize("seed", range(30, 40))
def test_saturated_logits_are_no_obstacle(seed):
    """With W and H of size 10 and nothing to decay b, the curvature underflows in some directions."""
    problem = Problem.balanced(3, 3, 4, **DECAY, lambda_b=0.0)
    point = random_point(problem, seed=seed, scale=10.0)
    start = Point(point.W, point.H, torch.zeros_like(point.b))
    found = with_optimal_bias(problem, start)
    assert float(problem.objective(found)) <= float(problem.objective(start))
    assert np.isfinite(lower_bound(problem, point).sigma_max)


def test_value_is_scipys():
    problem = Problem((1, 2, 6), 4, **DECAY, lambda_b=1e-3)
    point = random_point(problem, seed=2)
    peer = scipy.optimize.minimize(
        lambda b: naive_objective(problem, Point(point.W, point.H, torch.from_numpy(np.asarray(b)))),
        np.zeros(3),
        tol=1e-12,
    )
    assert naive_objective(problem, with_optimal_bias(problem, point)) == pytest.approx(peer.fun, rel=1e-12)
