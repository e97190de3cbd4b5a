"""Which points of lower rank are global minimisers: the prover and the checker, against dense eigenvalues."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

import ufm
from ufm import Problem
from ufm.completeness import lowest, ranks
from ufm.completeness.listed import place
from ufm.completeness.local import Equations
from ufm.completeness.region import Region
from ufm.completeness.work import systems
from ufm.results import PointVerdict

SMOOTHED = ufm.losses.LabelSmoothing(0.2)
BIASES = {"no bias": {"bias": False}, "free": {"lambda_b": 0.0}, "decayed": {"lambda_b": 0.3}}


def top_at_origin(problem: Problem) -> float:
    """|G~|_2 at W = 0 and the best b, in floating point."""
    n, K = np.array(problem.class_counts), problem.num_classes
    a = getattr(problem.loss, "smoothing", 0.0)
    targets, shares = (1 - a) * np.eye(K) + a / K, n / n.sum()
    b = np.zeros(K)
    if problem.bias:

        def f(b):
            return logsumexp(b) - shares @ targets @ b + problem.lambda_b / 2 * b @ b

        b = minimize(f, b, tol=1e-12).x
    slopes = (softmax(b) - targets) / n.sum()
    return float(np.linalg.norm(np.sqrt(n)[:, None] * slopes, 2))


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("counts", [(1, 3), (2, 2), (1, 2, 4), (1, 1, 7), (3, 3, 3), (1, 2, 3, 9)])
@pytest.mark.parametrize("loss", [ufm.losses.CrossEntropy(), SMOOTHED])
def test_the_origin_on_both_sides_of_its_threshold(counts, bias, loss):
    threshold = top_at_origin(Problem(counts, 1, 1.0, 1.0, **BIASES[bias], loss=loss))
    for factor, is_global in ((1.001, True), (0.999, False)):
        problem = Problem(counts, 1, factor * threshold, factor * threshold, **BIASES[bias], loss=loss)
        system = systems(problem)[0]
        assert ranks.at_origin(system) is is_global
        assert lowest.at_origin(Equations(problem, list(counts), system.smoothing)) is is_global


def test_at_the_threshold_nothing_is_decided():
    problem = Problem((1, 1), 1, 0.5, 0.5, bias=False)
    assert ranks.at_origin(systems(problem)[0]) is None
    assert lowest.at_origin(Equations(problem, [1, 1], 0.0)) is None


@pytest.mark.parametrize(("last", "is_global"), [(2, False), (10, True)])
@pytest.mark.parametrize("bias", [{"bias": False}, {"lambda_b": 1.0}])
def test_points_of_rank_one(last, is_global, bias):
    problem = Problem((1, 1, last), 2, 0.1, 0.1, **bias)
    regions = [Region(system) for system in systems(problem)]
    seen = set()
    for point in ufm.explore(problem, until_quiet=20).points:
        if point.rank == 1:
            at = place(problem, point, regions)
            verdict = point.certificate.verdict == PointVerdict.GLOBAL_MINIMIZER
            assert at.is_global() is verdict
            wide = tuple(tuple(end.tolist()) for end in at.box(0.02))
            assert lowest.at_point(Equations(problem, list(at.region.system.counts), 0.0), wide) is verdict
            seen.add(verdict)
    assert (True in seen) is is_global
