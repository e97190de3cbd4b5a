"""Claims about the whole set of critical points, checked on the atlas of the problem."""

import math
from collections import Counter

from ...atlas import CriticalPoint
from ...certificates import descent_direction
from ...problem import Problem
from ...results import PointVerdict
from ..evidence import Evidence, Undecided
from ..hypotheses import CONJUGATE, CONVEX, WEAK_DECAY, WIDE
from ..theorem import OPEN, ZHU_SADDLE, Finding, Hypothesis, Theorem, here, worst_of

MOST_CLASSES = 6

FEW = Hypothesis(f"K <= {MOST_CLASSES} (atlas)", lambda p: p.num_classes <= MOST_CLASSES)


def whole_landscape(problem: Problem, evidence: Evidence) -> Finding:
    """Every point of the atlas but the global minimisers is a strict saddle along theory's explicit direction.

    The deviation is that of the direction's curvature from (lW + lH)/2 - sqrt(((lW - lH)/2)^2 + sigma^2), relative,
    and the relative gradient norm at the point.
    """
    points = evidence.atlas.points
    verdicts = Counter(point.certificate.verdict for point in points)
    others = [point for point in points if point.certificate.verdict != PointVerdict.GLOBAL_MINIMIZER]
    indices = Counter(point.index for point in points if point.index is not None)
    found = ", ".join(f"{indices[index]} of index {index}" for index in sorted(indices))
    if not verdicts[PointVerdict.GLOBAL_MINIMIZER] or (
        set(verdicts) & set(OPEN) and not verdicts[PointVerdict.LOCAL_MINIMIZER]
    ):
        raise Undecided(f"the atlas has {', '.join(f'{n} {kind}' for kind, n in verdicts.items()) or 'no point'}")
    worst = worst_of(_deviation(problem, point) for point in others if point.certificate.verdict not in OPEN)
    return Finding(worst, 1e-8, f"{len(points)} points up to symmetry: {found}")


WHOLE_LANDSCAPE = Theorem(
    "whole landscape",
    "every critical point of the atlas is global or a strict saddle",
    f"{ZHU_SADDLE} (d > K); {here('4.1', '4.2')} (d >= K - 1)",
    (CONVEX, CONJUGATE, WIDE, WEAK_DECAY, FEW),
    whole_landscape,
)


def _deviation(problem: Problem, point: CriticalPoint) -> float:
    explicit = descent_direction(problem, point.point)
    if explicit is None or point.certificate.verdict != PointVerdict.STRICT_SADDLE:
        return math.inf
    direction, predicted = explicit
    measured = problem.curvature(problem.class_means(point.point), direction)
    return max(abs(measured / predicted - 1), problem.relative_gradient(point.point)) if predicted < 0 else math.inf


def euler_characteristic(problem: Problem, evidence: Evidence) -> Finding:
    """The alternating sums of `ufm.atlas.euler` over the atlas, in subspaces that symmetries fix, are 1; counts others.

    f grows at infinity, so Morse-Bott theory gives chi(R^N) = 1. A sum with a degenerate point in it decides nothing.
    """
    sums = evidence.atlas.sums
    undecided = sum(s.value is None for s in sums)
    decided = len(sums) - undecided
    note = (
        f"{decided} sums; {undecided} undecided; fixed by 0 to {max((s.action.m for s in sums), default=0)} involutions"
    )
    if not decided:
        raise Undecided(note)
    return Finding(float(len(evidence.atlas.failing)), 0.0, note)


EULER_CHARACTERISTIC = Theorem(
    "Euler characteristic",
    "the atlas misses no point that an Euler sum can see",
    f"Bott 1954; {here('7.2', '7.3')}",
    (FEW,),
    euler_characteristic,
)
