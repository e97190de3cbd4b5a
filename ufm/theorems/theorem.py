"""A claim of a model: its statement, source, hypotheses, and a check on evidence.

A check returns a Finding: the worst deviation that it saw, to be at most the tolerance. A check that has nothing to
look at, or whose material decides nothing, raises Undecided: no claim holds vacuously, and no claim fails for want of
a proof.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, SupportsFloat, TypeVar

from ..results import PointVerdict
from .evidence import Undecided

EXACT = 1e-8  # relative tolerance of identities checked at numerically critical points

ZHU_GLOBAL = "Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.1"
ZHU_SADDLE = "Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.2"
OPEN = (PointVerdict.NOT_CRITICAL, PointVerdict.DEGENERATE)  # verdicts of certificates that decide nothing


def here(*sections: str) -> str:
    """The source of a claim whose argument is this project's: the sections that give it."""
    return f"this project, docs/theory, section{'s' if len(sections) > 1 else ''} {' and '.join(sections)}"


Asked = TypeVar("Asked")  # what a claim is about: a Problem, or a model
Material = TypeVar("Material")  # what it is checked on: Evidence, or ModelEvidence


@dataclass(frozen=True)
class Hypothesis:
    """A predicate on problems, or on models; `needs` completes the sentence "not covered: needs ..."."""

    needs: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Finding:
    """The worst deviation a check saw, the most it may be, and what it looked at."""

    worst: float
    tolerance: float
    note: str


@dataclass(frozen=True)
class Theorem(Generic[Asked, Material]):
    """A claim: its name, statement, source, hypotheses, and a check on evidence."""

    name: str
    statement: str
    source: str
    hypotheses: tuple[Hypothesis, ...]
    check: Callable[[Asked, Material], Finding]

    def missing(self, asked: Asked) -> list[str]:
        """What the problem or model lacks for the claim to be about it."""
        return [h.needs for h in self.hypotheses if not h.holds(asked)]


def worst_of(deviations: Iterable[SupportsFloat]) -> float:
    """The largest of these numbers or 0-d tensors; infinite when one is NaN. Undecided when there is none at all."""
    found = [float(deviation) for deviation in deviations]
    if not found:
        raise Undecided("there was nothing to look at")
    return max(found) if not any(math.isnan(d) for d in found) else math.inf
