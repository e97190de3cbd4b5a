"""ufm.prove: what a numerical point is near to, proved in ball arithmetic."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from ..analysis import analysis, untied
from ..errors import require
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict, Result, Shown

if TYPE_CHECKING:
    from flint import arb

    from .enclosure import BallJet

PRECISION = 128  # bits of the midpoints
NEAR = 1e-7  # how far the critical point may be from the given one, in units of `length_unit`
WIDE = 1e-6  # where the search for the radius of uniqueness starts, in the same units
LARGEST = 1000  # the most unknowns of a proof, symmetries included
MOST_CLASSES = 100

PHRASES = {
    PointVerdict.GLOBAL_MINIMIZER: "global minimiser, value in [{0!r}, {1!r}]",
    PointVerdict.STRICT_SADDLE: "strict saddle, curvature at most {2!r}, value in [{0!r}, {1!r}]",
    PointVerdict.LOCAL_MINIMIZER: "local minimiser, value in [{0!r}, {1!r}]",
}


@dataclass(frozen=True)
class Proof(Shown, Result):
    """What is proved of a point; every float is rounded outward.

    statement   one line: "global minimiser, value in [a, b]", "strict saddle, curvature at most -c, value in
                [a, b]", "local minimiser, value in [a, b]", or "not proved: " and the reason
    verdict     a `PointVerdict`: global minimizer, strict saddle, local minimizer, or not proved
    reason      which step of the proof did not go through; empty for a proof
    rank        of W at the critical point
    value       (a, b) with a <= f <= b there            digits   the same as a decimal with all its digits and radius
    distance    from the given point to the critical one, at most: Euclidean, over all K d + N d + K variables,
                modulo O(d) (and the shift of b that leaves f alone, where lb = 0)
    unique_within   no other critical orbit of this rank or below is within this of the given point; 0 if none is shown;
                for a loss that is not convex: none that has one feature a type
    curvature   of a strict saddle: the second form along a direction over its squared norm is at most this, < 0
    duality_gap f - D at the critical point, at most (D <= f everywhere, by duality); None where D is not enclosed
    precision   bits of the midpoints
    Where nothing is proved all but statement, verdict, reason and precision are None.
    """

    statement: str
    verdict: PointVerdict
    reason: str
    precision: int
    rank: int | None = None
    value: tuple[float, float] | None = None
    digits: str | None = None
    distance: float | None = None
    unique_within: float | None = None
    curvature: float | None = None
    duality_gap: float | None = None

    formulas = MappingProxyType(
        {
            "value": r"f \in [a, b]",
            "curvature": r"\nabla^2 f[v, v] / \lVert v \rVert^2 \le",
            "duality_gap": r"f - D \le",
        }
    )

    @property
    def refused(self) -> bool:
        return self.verdict == PointVerdict.NOT_PROVED


def length_unit(problem: Problem) -> float:
    """sqrt(2 drop (1/lW + 1/lH)): the natural length of a point (W, H), which W and H have at most at a minimiser.

    drop is f(0) less the infimum of the loss, log K for cross-entropy. Where it vanishes, so does the minimiser, and
    the level f(0), or 1, gives a unit.
    """
    level = problem.floor + problem.drop
    drop = max(problem.drop, 1e-12 * level) or 1.0
    return math.sqrt(2 * drop * (1 / problem.lambda_w + 1 / problem.lambda_h))


def is_available() -> bool:
    """Whether python-flint is installed."""
    return find_spec("flint") is not None


def prove(problem: Problem, point: Point, *, precision: int = PRECISION, within: float | None = None) -> Proof:
    """Prove that an exact critical point is near `point`, and what kind it is.

    Any loss of `ufm.losses` (not one of your own), any class counts, any number of types, any d.

    precision   bits of the midpoints of the balls
    within      how far the critical point may be from the given one: Euclidean over all variables, modulo O(d).
                By default 1e-7 sqrt(2 drop (1/lW + 1/lH)), drop = f(0) less the infimum of the loss;
                `ufm.minimize` at its default tolerance is well inside

    In turn: the rank r of W and its row space are read off; powers of two bring the two decays together; Newton's
    method sharpens the point with one feature a type and r dimensions; Krawczyk's test, on a slice across the orbit of
    O(r), proves one critical point in a box (`ufm.proofs.krawczyk`); the distance to the given point is enclosed; the
    box is shown to hold a global minimiser, a strict saddle or a local minimiser (`ufm.proofs.conclusions`, with the
    arguments).

    A step that does not go through is a refusal, verdict "not proved" with the reason, never a guess: a point that is
    not that near to a critical one, another problem's point, a degenerate critical point (as where equal classes
    under squares leave O(K) more symmetries than these), too few bits, a loss of your own, more than 1,000 unknowns
    ((K + T) r + K and the symmetries; K = T = 10 has 226 at most for cross-entropy, 20 has 951).

    Where the loss is not convex (focal), features of one type may differ at a critical point: then every sample is
    taken for a type. A point is proved global only where the loss is proved to equal its convex envelope at the logits.

    Raises InputError for a point that does not fit the problem, a precision or distance that is none, or where
    python-flint is not installed.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> point = ufm.minimize(problem).point
    >>> proof = ufm.prove(problem, point)
    >>> print(proof.verdict)
    global minimizer
    >>> below, above = proof.value  # rounded outward
    >>> below <= 0.084069892915271776 <= above
    True
    """
    require(
        isinstance(precision, Integral) and 2 <= precision <= 10_000,
        f"the precision must be a whole number of bits between 2 and 10,000, got {precision!r}",
    )
    within = NEAR * length_unit(problem) if within is None else within
    require(isinstance(within, Real) and 0 < within < math.inf, f"within must be a finite distance > 0, got {within!r}")
    require(is_available(), "ufm.prove needs python-flint; pip install python-flint")
    from .balls import working_precision
    from .krawczyk import NotProved

    with working_precision(int(precision)):
        try:
            if reason := _out_of_scope(problem):
                raise NotProved(reason)
            problem, point = untied(problem, point)
            seen = analysis(problem, point)
            given, basis = point.detach().double().to("cpu"), seen.rows.cpu()
            return _prove(problem, given, seen.means.to("cpu"), basis, int(precision), float(within))
        except NotProved as failure:
            return Proof(f"not proved: {failure}", PointVerdict.NOT_PROVED, str(failure), int(precision))


def _prove(problem: Problem, point: Point, means: Point, basis: torch.Tensor, precision: int, within: float) -> Proof:
    from .balls import lower, upper
    from .conclusions import conclude, lower_bound

    jet, distance, alone = _enclose(problem, point, means, basis, within)
    verdict, curvature = conclude(jet)
    value = (lower(jet.value), upper(jet.value))
    steepest = None if curvature is None else upper(curvature)
    bound = lower_bound(jet, tight=verdict == PointVerdict.GLOBAL_MINIMIZER)
    return Proof(
        statement=PHRASES[verdict].format(*value, steepest),
        verdict=verdict,
        reason="",
        precision=precision,
        rank=jet.reduced.rank,
        value=value,
        digits=jet.value.str(precision),
        distance=upper(distance),
        unique_within=max(0.0, lower(alone)),
        curvature=steepest,
        duality_gap=None if bound is None else upper(jet.value - bound),
    )


def _enclose(
    problem: Problem, point: Point, means: Point, basis: torch.Tensor, within: float
) -> tuple["BallJet", "arb", "arb"]:
    """(f on a box that holds an exact critical point, its distance to the point, a radius in which it is alone)."""
    from .balls import upper
    from .distance import Distance
    from .enclosure import Reduced, pack
    from .krawczyk import NotProved, find_zero

    reduced = Reduced.of(problem, basis.shape[1])
    if (unknowns := reduced.size + reduced.num_symmetries) > LARGEST:
        raise NotProved(
            f"K = {problem.num_classes} with {unknowns:,} unknowns is too large; at most {LARGEST:,} are taken"
        )
    roots = torch.tensor(problem.class_counts, dtype=torch.float64).sqrt()[:, None]
    stretch, most = 2.0**reduced.power, 2.0 ** abs(reduced.power)  # of a distance, by the powers of two
    x0 = pack(reduced, stretch * means.W @ basis, roots * means.H @ basis / stretch, means.b)
    zero = find_zero(reduced, x0, near=within * most, wide=WIDE * length_unit(reduced.problem))
    distances = Distance(reduced, point, means, basis)
    distance = distances.to(zero.x)
    if not distance <= within:
        raise NotProved(f"the critical point is {upper(distance):.1e} from the given one, allowed {within:.1e}")
    return reduced.at(zero.x), distance, zero.alone / most - distances.to(x0)


def _out_of_scope(problem: Problem) -> str:
    """Why no proof is tried; empty where one is."""
    from .losses import is_enclosed

    if not is_enclosed(problem.loss):
        return f"the loss is {problem.loss.name!r}, of which no enclosure is known; the losses of ufm.losses have one"
    K, T = problem.num_classes, problem.num_types
    if K > MOST_CLASSES:
        return f"K = {K:,} is too large; at most {MOST_CLASSES} are taken on"
    if K * T > MOST_CLASSES**2:
        return f"K T = {K * T:,} is too large, with T = {T:,} types; at most {MOST_CLASSES**2:,} are taken on"
    return ""
