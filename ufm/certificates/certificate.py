"""ufm.certify: what a point is, with evidence, to a tolerance in floating point."""

from dataclasses import dataclass
from types import MappingProxyType

import torch

from ..analysis import Analysis, analysis, untied
from ..losses.own import has_conjugate
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict, Result, Shown
from ..spectra.blocks import orbit_dimension
from ..spectra.spectrum import Spectrum
from .descent import explicit_direction, lowest_direction
from .lower_bound import LowerBound, bound_of

GAP = 1e-8  # a duality gap below this fraction of f certifies a global minimiser
NO_CONJUGATE = "global optimality is not covered: the loss {!r} has no conjugate, and so there is no lower bound"
FINE = 1e-9  # of sqrt(lW lH): rounding of the slopes above it hides whether a duality gap closes
NOT_CONVEX = (
    "global optimality is not decided: the loss {!r} is not convex, and the duality gap of a minimiser may stay open"
)
NARROW = (
    "global optimality is not decided: d = {} is below {}, the largest rank of W, and the duality gap of a minimiser "
    "may stay open"
)
COARSE = "the slopes of this loss are differences, whose rounding exceeds 1e-9 sqrt(lW lH): a larger decay decides"
ROOM = 1e-6  # by which sigma_max may exceed sqrt(lW lH) there, relative


@dataclass(frozen=True, eq=False)
class Certificate(Shown, Result):
    """What a point is, and the numbers behind it: those of the critical point near it, where there is one.

    verdict      a `PointVerdict`: global minimizer, strict saddle, local minimizer, degenerate or not critical
    value        f
    relative_grad_norm  problem.relative_gradient, at the given point
    lower_bound  a number below f everywhere (weak duality; valid at any point, critical or not); -inf where the
                 conjugate of the loss is not known
    duality_gap  value - lower_bound
    sigma_max    the largest singular value of G~; at most `ridge` = sqrt(lW lH) at a global minimiser
    rank         of W
    lambda_min, index, nullity   from the exact spectrum; None where it was not computed
    orbit_dimension  of the point's symmetry orbit: what the nullity is when nothing else is degenerate
    direction    for a strict saddle: a direction of negative curvature, with one row of H a class
    curvature    the second form along it, over its squared norm (over all N features); None without one
    note         what is not covered, and why; empty where all is. Of what is not a saddle: why its duality gap is open,
                 where the loss is not convex, or d below the largest rank of W
    """

    verdict: PointVerdict
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
    note: str = ""

    formulas = MappingProxyType(
        {
            "value": r"f(W, H, b)",
            "relative_grad_norm": r"\lVert \nabla f \rVert",
            "lower_bound": r"D \le f",
            "duality_gap": r"f - D",
            "sigma_max": r"\sigma_{\max}(\tilde G)",
            "ridge": r"\sqrt{\lambda_W \lambda_H}",
            "lambda_min": r"\lambda_{\min}(\nabla^2 f)",
            "curvature": r"\nabla^2 f[v, v] / \lVert v \rVert^2",
        }
    )


def certify(problem: Problem, point: Point) -> Certificate:
    """Decide what a point is, with evidence (any loss, any class counts, any d; docs/theory, sections 3 and 4).

    not critical      the relative gradient norm exceeds 1e-7, or Newton's method finds no critical point near
    global minimizer  the duality gap is below 1e-8 f and sigma_max <= sqrt(lW lH) (1 + 1e-6); not covered where the
                      conjugate of the loss is not known
    strict saddle     a direction of negative curvature is given: the explicit one where W has a null
                      vector and sigma_max > sqrt(lW lH), else an eigenvector of the reduced Hessian
    local minimizer   positive semidefinite Hessian whose null space is the symmetry orbit's tangent
    degenerate        none of these; or rounding hides which (note says so), where the slopes of a loss are differences
                      (mean square, soft targets) and sqrt(lW lH) is below about 1e-7 of the targets

    What is judged is the critical point near the given one (`ufm.solvers.sharpen`), so that the gradient that is left
    in a numerical one decides nothing. All of it is floating point: `ufm.prove` proves. Raises InputError where
    sqrt(lW lH) or lb (if not 0) is below 1e-12.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> point = ufm.minimize(problem).point
    >>> certificate = ufm.certify(problem, point)
    >>> print(certificate.verdict)
    global minimizer
    >>> certificate.duality_gap < 1e-8 * certificate.value
    True
    """
    problem.require_decidable()
    problem, point = untied(problem, point)
    seen = analysis(problem, point)
    value, bound = float(seen.jet.value), bound_of(seen)
    orbit = orbit_dimension(problem, seen.rank)
    coarse = _rounding(seen) > FINE * problem.ridge
    optimal = seen.critical and _is_optimal(value, bound)
    # The index is the same in all coordinates; where the two decays are equal it is read off most sharply.
    even = seen.even_levels if seen.critical else None
    levels = seen.levels if even else None
    direction = _descent(seen, even) if seen.critical and not optimal else None
    verdict = _verdict(seen, optimal, direction, even, orbit, coarse)
    return Certificate(
        verdict=verdict,
        value=value,
        relative_grad_norm=seen.relative_gradient,
        lower_bound=bound.value,
        duality_gap=value - bound.value,
        sigma_max=bound.sigma_max,
        ridge=bound.ridge,
        rank=seen.rank,
        lambda_min=levels.min if levels else None,
        index=even.index if even else None,
        nullity=even.nullity if even else None,
        orbit_dimension=orbit,
        direction=direction,
        curvature=None if direction is None else problem.curvature(seen.point, direction),
        note=note_on(problem, verdict, coarse),
    )


def note_on(problem: Problem, verdict: PointVerdict, coarse: bool = False) -> str:
    """What is not covered, and why; why the duality gap of what may be a minimiser is open."""
    name = problem.loss.name
    if not has_conjugate(problem.loss):
        return NO_CONJUGATE.format(name)
    if coarse:
        return COARSE
    if verdict not in (PointVerdict.LOCAL_MINIMIZER, PointVerdict.DEGENERATE):
        return ""
    if not problem.loss.convex:
        return NOT_CONVEX.format(name)
    return NARROW.format(problem.dim, problem.largest_rank) if problem.dim < problem.largest_rank else ""


def _is_optimal(value: float, bound: LowerBound) -> bool:
    return abs(value - bound.value) <= GAP * value and bound.sigma_max <= bound.ridge * (1 + ROOM)


def _rounding(seen: Analysis) -> float:
    """What rounding may add to |G~|_2: that of the terms which the slopes are made of, without a part in the slopes."""
    jet = seen.jet
    lost = jet.terms - jet.slopes.abs()
    return torch.finfo(lost.dtype).eps * float(jet.landscape.weighted(lost).norm()) / jet.landscape.num_samples


def _verdict(
    seen: Analysis, optimal: bool, direction: Point | None, even: Spectrum | None, orbit: int, coarse: bool
) -> PointVerdict:
    if not seen.critical:
        return PointVerdict.NOT_CRITICAL
    if optimal:
        return PointVerdict.GLOBAL_MINIMIZER
    if direction is not None:
        return PointVerdict.STRICT_SADDLE
    if even and even.index == 0 and even.nullity == orbit and not coarse:
        return PointVerdict.LOCAL_MINIMIZER
    return PointVerdict.DEGENERATE


def _descent(seen: Analysis, even: Spectrum | None) -> Point | None:
    """A direction of negative curvature at a critical point; None when there is none to show.

    even  the spectrum in the coordinates of `Problem.even`, if it is known
    """
    problem, noise = seen.problem, even.tolerance if even else 1e-9 * seen.problem.ridge
    explicit = explicit_direction(seen)
    if explicit:
        direction = problem.evened(explicit[0])
        if problem.even.curvature(problem.evened(seen.point), direction) < -noise:
            return explicit[0]
    return lowest_direction(seen) if even and even.index else None
