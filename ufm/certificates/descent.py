"""A direction of descent at a critical point: theory's where W has a null vector, else an eigenvector."""

import math

import torch

from ..analysis import Analysis, analysis
from ..point import Point
from ..problem import Problem


def descent_direction(problem: Problem, point: Point) -> tuple[Point, float] | None:
    """(collapsed direction, predicted curvature) of theory, at the critical point near `point`.

    With v a unit null vector of W in R^d and (u, s1, t) the top singular triple of G~ (K x K, columns a
    class), dW = a u v^T and dH~ = -c v t^T have curvature lW a^2 + lH c^2 - 2 s1 a c; over a^2 + c^2 = 1
    the least is (lW + lH)/2 - sqrt(((lW - lH)/2)^2 + s1^2), negative exactly when s1 > sqrt(lW lH).
    None where no critical point is near, or W has no null vector (rank W = d). Sources: Zhu et al. 2021, proof
    of Theorem 3.2; docs/theory, section 4.1, for the minimisation over (a, c).
    """
    return explicit_direction(analysis(problem, point))


def explicit_direction(seen: Analysis) -> tuple[Point, float] | None:
    """`descent_direction` at an analysed point."""
    problem, point = seen.problem, seen.point
    if not seen.critical or seen.rank == problem.dim:
        return None
    rows, sizes, columns = seen.residual
    t, s1, u = rows[:, 0], float(sizes[0]), columns[0]
    lW, lH = problem.lambda_w, problem.lambda_h
    # (lW + lH)/2 - hypot((lW - lH)/2, s1), without its cancellation where one decay is far below the other.
    curvature = (lW * lH - s1**2) / ((lW + lH) / 2 + math.hypot((lW - lH) / 2, s1))
    # The eigenvector of [[lW, -s1], [-s1, lH]] for that eigenvalue.
    a, c = s1, lW - curvature
    a, c = a / math.hypot(a, c), c / math.hypot(a, c)
    v = _null_vector(seen.basis)
    roots = seen.jet.landscape.roots
    direction = Point(a * torch.outer(u, v), -c * torch.outer(t, v) / roots, torch.zeros_like(point.b))
    return direction, curvature


def lowest_direction(seen: Analysis) -> Point:
    """The eigenvector of the least eigenvalue of the reduced Hessian, as a collapsed direction."""
    reduced, basis = seen.blocks.jet, seen.basis
    W, H, b = reduced.landscape.unpack(torch.linalg.eigh(reduced.hessian())[1][:, 0])
    return Point(W @ basis.T, H @ basis.T, b)


def _null_vector(basis: torch.Tensor) -> torch.Tensor:
    """A unit vector of R^d orthogonal to the r < d orthonormal columns of `basis` (d, r)."""
    left = 1 - basis.square().sum(1)
    v = torch.zeros_like(left)
    v[left.argmax()] = 1.0
    for _ in range(2):
        v = v - basis @ (basis.T @ v)
        v = v / v.norm()
    return v
