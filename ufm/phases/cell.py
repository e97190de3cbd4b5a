"""One cell of the phase diagram: the groups of equal classes at a problem's minimiser, measured and predicted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..certificates import Certificate
from ..closed_forms.minorities import Group, merging, tied_slopes
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict, Result
from ..sweeps import sweep

TOL = 1e-12
MERGED = 1e-5  # rows of W this near to each other, relative to the natural size of W, are one point
NEAR = 1e-3  # to the threshold of theory: the cell decides nothing there
STARTS = 3  # descents before a minimiser that is not certified is left at that


@dataclass(frozen=True)
class Party(Result):
    """The classes of equal n_k.

    count, size  n_k, and how many classes have it
    spread       the largest distance of their rows of W from the rows' mean, over the natural size of W
    length       the largest norm of their rows of W, likewise
    ratio        N sqrt(lW lH)/(D0 sqrt(n_k)), from 1 on theory has them merged; None where no threshold is known
    """

    count: int
    size: int
    spread: float
    length: float
    ratio: float | None

    derived = ("merged", "predicted")

    @property
    def merged(self) -> bool:
        """Whether they are one point."""
        return self.spread <= MERGED

    @property
    def predicted(self) -> bool | None:
        """What theory says; None where it says nothing, or within a thousandth of the threshold."""
        return None if self.ratio is None or abs(self.ratio - 1) < NEAR else self.ratio >= 1


@dataclass(frozen=True)
class Cell(Result):
    """The minimiser of one problem: f there, the duality gap, whether it is certified as global, and its groups.

    parties  largest n_k first, groups of one class left out
    """

    problem: Problem
    value: float
    gap: float
    certified: bool
    parties: tuple[Party, ...]

    derived = ("contradicts",)

    @property
    def contradicts(self) -> bool:
        """Whether a group at a certified minimiser is not what theory says."""
        said = [(party.predicted, party.merged) for party in self.parties if party.predicted is not None]
        return self.certified and any(predicted != merged for predicted, merged in said)


def survey(problem: Problem, seed: int = 0) -> Cell:
    """The cell of one problem: the best of up to three descents, until one is certified as a global minimiser."""
    return survey_all([problem], seed)[0]


def survey_all(problems: Sequence[Problem], seed: int = 0) -> list[Cell]:
    """The cell of each problem, by sweeps over those of which no descent is certified yet."""
    best: dict[int, tuple[Certificate, Point]] = {}
    left = list(range(len(problems)))
    for start in range(seed, seed + STARTS):
        places, left = left, []
        found = sweep([problems[i] for i in places], start, TOL, device="cpu")  # the same numbers everywhere
        for i, certificate, point in zip(places, found.certificates, found.critical_points, strict=True):
            assert isinstance(certificate, Certificate)
            assert point is not None
            if _certified(certificate) or i not in best or certificate.value < best[i][0].value:
                best[i] = certificate, point
            if not _certified(certificate):
                left.append(i)
    return [_cell(problem, *best[i]) for i, problem in enumerate(problems)]


def _certified(certificate: Certificate) -> bool:
    return certificate.verdict == PointVerdict.GLOBAL_MINIMIZER


def _cell(problem: Problem, certificate: Certificate, point: Point) -> Cell:
    return Cell(
        problem=problem,
        value=certificate.value,
        gap=certificate.duality_gap,
        certified=_certified(certificate),
        parties=tuple(_party(problem, point, classes) for classes in equal_classes(problem)),
    )


def equal_classes(problem: Problem) -> list[tuple[int, ...]]:
    """The groups of two classes or more of one kind, largest n_k first."""
    kinds = problem.kinds
    found = {kind: tuple(k for k, other in enumerate(kinds) if other == kind) for kind in kinds}
    several = [classes for classes in found.values() if len(classes) > 1]
    return sorted(several, key=lambda classes: -problem.class_counts[classes[0]])


def _party(problem: Problem, point: Point, classes: tuple[int, ...]) -> Party:
    rows, unit = point.W[list(classes)], (2 * problem.drop / problem.lambda_w) ** 0.5
    count, tied = problem.class_counts[classes[0]], tied_slopes(problem.loss, classes[0])
    return Party(
        count=count,
        size=len(classes),
        spread=_largest(rows - rows.mean(0)) / unit,
        length=_largest(rows) / unit,
        ratio=None if tied is None else merging(problem, Group(classes, count, tied)),
    )


def _largest(rows: torch.Tensor) -> float:
    return float(rows.norm(dim=1).max())
