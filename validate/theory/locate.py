"""validate.locate: is a network's last layer near a critical point of its own model, and of which kind."""

import math
from dataclasses import dataclass

import torch

import ufm
from ufm import InputError, Point, Problem
from ufm.errors import require
from ufm.results import PointVerdict, Result, Shown
from ufm.traps import TOL

from .compare import Comparison

VARIABLES = 100_000  # of the collapsed problem, K (2 d + 1): seconds to minutes


@dataclass(frozen=True)
class Neighbourhood(Shown, Result):
    """Where a descent from the network's class means leads, and the curvature at its start.

    verdict       what the point is where the descent ends: a `PointVerdict`, certified
    distance      from the network's class means to that point, modulo rotations of feature space, over that point's
                  norm; inf where that is 0
    fall          f at the network's point less f at that end
    spread        f at the network's point less f at its class means: never negative where the loss is convex (Jensen)
    converged     whether the descent reached a relative gradient norm of 1e-12
    lowest        the smallest eigenvalue of the Hessian at the network's class means. Directions in which features
                  move apart within a class are all positive there where the loss is convex, so it is then the smallest
                  over all N features if it is negative. NaN where no Lanczos iteration converges
    lowest_at_end that at the end of the descent: rounding, where rotations are the only flat directions
    """

    verdict: PointVerdict
    distance: float
    fall: float
    spread: float
    converged: bool
    lowest: float
    lowest_at_end: float


def locate(comparison: Comparison, *, max_iterations: int = 1000) -> Neighbourhood:
    """The neighbourhood of a compared network's last layer, for up to 100,000 variables K (2 d + 1).

    Any loss, balanced or not, any d; nothing of it rests on a theorem about minimisers. Raises InputError for larger
    layers, and for another model than the free one.
    """
    require(isinstance(comparison.model, Problem), "a descent from a network is that of the free model")
    problem = comparison.problem
    size = problem.num_classes * (2 * problem.dim + problem.bias)
    require(
        size <= VARIABLES,
        f"{size:,} variables of class means and classifier are too many to descend over; {VARIABLES:,} can be had "
        "(the duality gap is known at any size)",
    )
    means = problem.class_means(comparison.point)
    solution = ufm.minimize(problem, start=means, tol=TOL, max_iterations=max_iterations)
    end = problem.class_means(solution.point)
    value = float(problem.objective(comparison.point))
    return Neighbourhood(
        verdict=ufm.certify(problem, end).verdict,
        distance=distance(problem, means, end),
        fall=value - solution.value,
        spread=value - float(problem.objective(means)),
        converged=solution.converged,
        lowest=_lowest(problem, means),
        lowest_at_end=_lowest(problem, end),
    )


def _lowest(problem: Problem, point: Point) -> float:
    """The smallest eigenvalue of the Hessian; NaN where no Lanczos iteration finds it."""
    for k in (6, 20):
        try:
            return ufm.spectrum(problem, point, k=k).min
        except InputError:
            continue
    return math.nan


def distance(problem: Problem, point: Point, end: Point) -> float:
    """min over orthogonal R of |(W, H~, b) - (W' R, H~' R, b')|/|(W', H~', b')|, H~ with rows sqrt(n_k) h_k.

    The orthogonal Procrustes problem: R from the singular vectors of W'^T W + H~'^T H~ (Schonemann 1966).
    """
    roots = torch.tensor(problem.class_counts).to(point.H).sqrt()[:, None]
    here = torch.cat([point.W, roots * point.H])
    there = torch.cat([end.W, roots * end.H])
    left, _, right = torch.linalg.svd(there.T @ here)
    gap = torch.hypot((here - there @ left @ right).norm(), (point.b - end.b).norm())
    size = torch.hypot(there.norm(), end.b.norm())
    return float(gap / size) if float(size) > 1e-12 * float(here.norm()) else torch.inf
