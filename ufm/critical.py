"""Critical points that exist for every problem: the origin, and the solutions of narrower problems."""

from dataclasses import replace

import torch

from .bias import with_optimal_bias
from .errors import require
from .point import Point
from .problem import Problem
from .solver import Solution, minimize


def origin(problem: Problem) -> Point:
    """The collapsed critical point W = 0, H = 0 (float64, CPU), with the bias that is optimal there (0 if balanced).

    Every problem has it: with W = H = 0 the gradients in W and H vanish, and f is convex in b.
    """
    K, d = problem.num_classes, problem.dim
    zeros = torch.zeros(K, d, dtype=torch.float64, device="cpu")
    point = Point(zeros, zeros.clone(), zeros.new_zeros(K))
    return with_optimal_bias(problem, point) if problem.bias else point


def narrow_solution(problem: Problem, rank: int, seed: int = 0, tol: float = 1e-12) -> Solution:
    """A critical point of rank <= `rank`: the solution of the problem with d = rank, padded with zeros.

    A critical point of the problem with feature dimension r stays critical in every larger d, since the
    gradients in the new columns of W and H vanish with them.
    """
    require(
        1 <= rank <= problem.dim,
        f"a rank must lie between 1 and d = {problem.dim}, got {rank}",
    )
    solution = minimize(replace(problem, dim=rank), seed=seed, tol=tol)
    return replace(solution, point=solution.point.padded(problem.dim))
