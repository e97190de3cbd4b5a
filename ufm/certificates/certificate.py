"""What can be proved of a point: a lower bound under the whole landscape, or a direction of descent."""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch

from ..models.free import Jet
from ..point import Point
from ..problem import Problem
from ..solvers.bias import with_optimal_bias
from ..solvers.sharpen import CRITICAL, row_space, sharpened
from ..spectra.spectrum import Spectrum, block_spectrum, orbit_dimension, reduced_jet

GAP = 1e-8  # a duality gap below this fraction of f proves a global minimiser


@dataclass(frozen=True, eq=False)
class Certificate:
    """What was proved of a point, and the numbers behind it: those of the critical point near it, where there is one.

    verdict      "global minimizer" | "strict saddle" | "local minimizer" | "degenerate" | "not critical"
    value        f
    relative_grad_norm  problem.relative_gradient, at the given point
    lower_bound  a number below f everywhere (weak duality; valid at any point, critical or not)
    duality_gap  value - lower_bound
    sigma_max    the largest singular value of G~; at most `ridge` = sqrt(lW lH) at a global minimiser
    rank         of W
    lambda_min, index, nullity   from the exact spectrum; None where it was not computed
    orbit_dimension  of the point's symmetry orbit: what the nullity is when nothing else is degenerate
    direction    for a strict saddle: a direction of negative curvature, with one row of H a class
    curvature    the second form along it, over its squared norm (over all N features); None without one
    """

    verdict: str
    value: float
    relative_grad_norm: float
    lower_bound: float
    duality_gap: float
    sigma_max: float
    ridge: float
    rank: int
    lambda_min: float | None
    index: int | None
    nullity: int | None
    orbit_dimension: int
    direction: Point | None
    curvature: float | None

    def numbers(self) -> dict[str, Any]:
        """Everything but the direction, as plain data for JSON."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "direction"}


def lower_bound(problem: Problem, point: Point) -> tuple[float, float]:
    """(D, |G|_2): a value that f takes nowhere in the landscape a smaller one than, and the norm behind it.

    Convex duality with min over Z, b of g(Z + b 1^T) + sqrt(lW lH) |Z|_* + lb/2 |b|^2: with G the slopes
    of the loss over N at `point` (any point), t = min(1, sqrt(lW lH)/|G|_2) makes L = t G feasible, and
        D = (1/N) sum_j -conjugate(N l_j) - |L 1|^2/(2 lb)
    For cross-entropy -conjugate is the entropy of (1 - t) y_j + t p_j. Without a bias the last term is
    absent; with lb = 0 it must vanish, so the bias is first replaced by the optimal one for W and H, and
    D = -inf should |L 1| still exceed rounding level (1e-12 of its terms). |G|_2 is the root of the top eigenvalue of
    the K x K matrix G^T G.
    """
    point = point.double()
    if problem.bias and problem.lambda_b == 0:
        point = with_optimal_bias(problem, point)
    return _dual_value(problem, problem.jet(point))


def _dual_value(problem: Problem, jet: Jet) -> tuple[float, float]:
    """`lower_bound` at a point whose jet is known and whose bias is optimal where nothing decays it."""
    f, G = jet.landscape, jet.G
    top = math.sqrt(max(0.0, float(torch.linalg.eigvalsh(G.T @ G)[-1])))
    t = min(1.0, problem.ridge / top) if top > 0 else 1.0
    entropy = f.counts @ f.loss.negative_conjugate(t * jet.slopes, f.labels) / problem.num_samples
    return float(entropy) - _bias_term(problem, t * f.weighted(G)), top


def _bias_term(problem: Problem, slopes: torch.Tensor) -> float:
    """The dual cost of the bias: sup over b of <total, b> - lb/2 |b|^2, total (K,) the sum of the slopes' rows."""
    if not problem.bias:
        return 0.0
    total = slopes.sum(0)
    if problem.lambda_b == 0:
        return 0.0 if float(total.norm()) <= 1e-12 * float(slopes.abs().sum(0).norm()) else math.inf
    return float(total.square().sum()) / (2 * problem.lambda_b)


def descent_direction(problem: Problem, point: Point) -> tuple[Point, float] | None:
    """(collapsed direction, predicted curvature) of theory at a critical point with sigma_max > sqrt(lW lH).

    With v a unit null vector of W in R^d and (u, s1, t) the top singular triple of G~ (K x K, columns a
    class), dW = a u v^T and dH~ = -c v t^T have curvature lW a^2 + lH c^2 - 2 s1 a c; over a^2 + c^2 = 1
    the least is (lW + lH)/2 - sqrt(((lW - lH)/2)^2 + s1^2), negative exactly when s1 > sqrt(lW lH).
    None when W has no null vector (rank W = d). Source: Zhu et al. 2021, proof of Theorem 3.2, with the
    minimisation over (a, c) added here.
    """
    means = problem.class_means(point.double())
    basis, rank = row_space(problem, means)
    if rank == problem.dim:
        return None
    f, x = problem.landscape_at(means)
    rows, sizes, columns = torch.linalg.svd(f.jet(x).G)
    t, s1, u = rows[:, 0], float(sizes[0]), columns[0]
    lW, lH = problem.lambda_w, problem.lambda_h
    curvature = (lW + lH) / 2 - math.hypot((lW - lH) / 2, s1)
    # The eigenvector of [[lW, -s1], [-s1, lH]] for that eigenvalue.
    a, c = s1, lW - curvature
    a, c = a / math.hypot(a, c), c / math.hypot(a, c)
    v = _null_vector(basis)
    direction = Point(a * torch.outer(u, v), -c * torch.outer(t, v) / f.roots, torch.zeros_like(means.b))
    return direction, curvature


def _null_vector(basis: torch.Tensor) -> torch.Tensor:
    """A unit vector of R^d orthogonal to the r < d orthonormal columns of `basis` (d, r)."""
    left = 1 - basis.square().sum(1)
    v = torch.zeros_like(left)
    v[left.argmax()] = 1.0
    for _ in range(2):
        v = v - basis @ (basis.T @ v)
        v = v / v.norm()
    return v


def certify(problem: Problem, point: Point) -> Certificate:
    """Decide what a point is, with evidence (any class counts, any d; theory sections 3 and 4).

    not critical      the relative gradient norm exceeds 1e-7, or Newton's method finds no critical point near
    global minimizer  the duality gap is below 1e-8 f and sigma_max <= sqrt(lW lH) (1 + 1e-6)
    strict saddle     a direction of negative curvature is given: the explicit one where W has a null
                      vector and sigma_max > sqrt(lW lH), else an eigenvector of the reduced Hessian
    local minimizer   positive semidefinite Hessian whose null space is the symmetry orbit's tangent
    degenerate        none of these

    What is judged is the critical point near the given one (`ufm.solvers.sharpen`), so that the gradient that
    is left in a numerical one decides nothing. Raises InputError where sqrt(lW lH) or lb (if not 0) is below 1e-12.
    """
    problem.require_decidable()
    point = point.double()
    jet = problem.jet(point)
    relative = jet.relative_gradient
    near = sharpened(problem, point) if relative <= CRITICAL else None
    at = point if near is None else near
    jet = jet if near is None else problem.jet(near)
    free = problem.bias and problem.lambda_b == 0
    value, (bound, top) = float(jet.value), lower_bound(problem, at) if free else _dual_value(problem, jet)
    optimal = near is not None and abs(value - bound) <= GAP * value and top <= problem.ridge * (1 + 1e-6)
    # The index is the same in all coordinates; where the two decays are equal it is read off most sharply.
    levels = None if near is None else block_spectrum(problem.even, problem.evened(near))
    direction = None if near is None or optimal else _descent(problem, near, levels)
    rank = row_space(problem, at, jet)[1]
    return Certificate(
        verdict=_verdict(problem, near, optimal, direction, levels, rank),
        value=value,
        relative_grad_norm=relative,
        lower_bound=bound,
        duality_gap=value - bound,
        sigma_max=top,
        ridge=problem.ridge,
        rank=rank,
        lambda_min=_least(problem, near, levels) if levels else None,
        index=levels.index if levels else None,
        nullity=levels.nullity if levels else None,
        orbit_dimension=orbit_dimension(problem, rank),
        direction=direction,
        curvature=None if direction is None else problem.curvature(near, direction),
    )


def _verdict(problem, near, optimal, direction, levels: Spectrum | None, rank: int) -> str:
    if near is None:
        return "not critical"
    if optimal:
        return "global minimizer"
    if direction is not None:
        return "strict saddle"
    if levels and levels.index == 0 and levels.nullity == orbit_dimension(problem, rank):
        return "local minimizer"
    return "degenerate"


def _descent(problem: Problem, means: Point, levels: Spectrum | None) -> Point | None:
    """A direction of negative curvature at a collapsed critical point; None when there is none to show.

    levels  the spectrum in the coordinates of `Problem.even`, if it is known
    """
    noise = levels.tolerance if levels else 1e-9 * problem.ridge
    explicit = descent_direction(problem, means)
    if explicit:
        even = problem.evened(explicit[0])
        if problem.even.curvature(problem.evened(means), even) < -noise:
            return explicit[0]
    if levels is None or levels.index == 0:
        return None
    basis, _ = row_space(problem, means)
    reduced = reduced_jet(problem, means, basis)
    vector = torch.linalg.eigh(reduced.hessian())[1][:, 0]
    W, H, b = reduced.landscape.unpack(vector)
    return Point(W @ basis.T, H @ basis.T, b)


def _least(problem: Problem, means: Point, even: Spectrum) -> float:
    """The least eigenvalue in the problem's own coordinates, of which the spectrum in even ones is known."""
    return even.min if problem.stretch == 1 else block_spectrum(problem, means).min
