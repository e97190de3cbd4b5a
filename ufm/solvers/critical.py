"""Critical points that exist for every problem: the origin, and the solutions of narrower problems."""

import math
from dataclasses import replace

import torch

from ..errors import require
from ..point import Point
from ..problem import Problem
from .bias import with_optimal_bias
from .minimize import Solution, minimize


def origin(problem: Problem) -> Point:
    """The collapsed critical point W = 0, H = 0 (float64, CPU), with the bias that is optimal there.

    Every problem has it: with W = H = 0 the gradients in W and H vanish. The bias is 0 for balanced cross-entropy.
    """
    K, T, d = problem.num_classes, problem.num_types, problem.dim
    zeros = torch.zeros(K, d, dtype=torch.float64, device="cpu")
    point = Point(zeros, zeros.new_zeros(T, d), zeros.new_zeros(K))
    return with_optimal_bias(problem, point) if problem.bias else point


def narrow_solution(problem: Problem, rank: int, seed: int = 0, tol: float = 1e-12) -> Solution:
    """A critical point of rank <= `rank`: the solution of the problem with d = rank, padded with zeros.

    A critical point of the problem with feature dimension r stays critical in every larger d, since the
    gradients in the new columns of W and H vanish with them. Small decays are come down to by factors of ten: in few
    dimensions a random start is far from where they lead.
    """
    require(
        1 <= rank <= problem.dim,
        f"a rank must lie between 1 and d = {problem.dim}, got {rank}",
    )
    narrow, start = replace(problem, dim=rank), None
    for power in range(_powers(problem), -1, -1):
        lW, lH = narrow.lambda_w * 10.0**power, narrow.lambda_h * 10.0**power
        eased = replace(narrow, lambda_w=lW, lambda_h=lH) if power else narrow
        solution = minimize(eased, seed=seed, tol=tol, start=start)
        start = solution.point
    return replace(solution, point=solution.point.padded(problem.dim))


def _powers(problem: Problem) -> int:
    """Count the factors of ten by which the decays may rise while K sqrt(N/K) sqrt(lW lH) stays below 0.01."""
    ratio = math.sqrt(problem.num_classes * problem.num_samples) * problem.ridge
    return max(0, math.floor(math.log10(0.01 / ratio)))
