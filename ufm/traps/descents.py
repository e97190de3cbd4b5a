"""Where descents end: how many of them in a local minimiser that is not global, and how bad the worst of those is.

For d >= K - 1 there is none (`ufm.theorems`, "landscape, d >= K - 1"); below, some problems have them. On spheres
there is none for d >= K ("spheres landscape").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..certificates import Certificate
from ..errors import Setting, require
from ..losses import CrossEntropy
from ..models import Judgement, Spheres, of_plain
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict, Result
from ..results.plain import READ
from ..results.words import Word
from ..sweeps import sweep
from .code_search import reference_distance
from .codes import one_vs_rest_distance

LEVEL = 1e-10  # values of f closer than this fraction of log K are one level
TOL = 1e-12  # relative gradient norm that each descent has to reach
ON_SPHERES = 1e-10  # the same there
LEVEL_THERE = 1e-8  # of the least value, which may be tiny: closer values are one level there


class Ending(Word):
    """What the end of one descent is, beside the best end known."""

    BEST = "best", "A global minimiser, or a local one that no other end is below."
    TRAPPED = "trapped", "A local minimiser above another end: certainly not global."
    SADDLE = "saddle", "A strict saddle."
    DEGENERATE = "degenerate", "A critical point that second order does not decide."
    UNCONVERGED = "not converged", "The descent did not reach a critical point.", "Raise max_iterations."


def _certificate(data: Any) -> Certificate | Judgement:
    """The certificate of a problem's point, or the judgement of a model's, that plain data has."""
    kind: Any = Certificate if "sigma_max" in data else Judgement
    return kind.from_plain(data)


@dataclass(frozen=True, eq=False)
class End(Result):
    """Where the descent from the random start `seed` ended.

    converged    whether it reached a relative gradient norm of 1e-12 (on spheres 1e-10)
    certificate  of `ufm.certify` there, without its direction, or of the model's `certify`
    distance     the one-vs-rest distance of the rows of W
    point        collapsed, float64
    """

    seed: int
    converged: bool
    certificate: Certificate | Judgement = field(metadata={READ: _certificate})
    distance: float
    point: Point

    @classmethod
    def all_of(cls, problem: Problem | Spheres, seeds: Sequence[int]) -> list["End"]:
        """Descend on class means, which never raises f, from the start of each seed, and certify where that leads."""
        if isinstance(problem, Spheres):
            return [cls._on_spheres(problem, seed) for seed in seeds]
        found = sweep([problem] * len(seeds), seeds, TOL, device="cpu")  # the same numbers everywhere
        ends = []
        for seed, solution, certificate in zip(seeds, found, found.certificates, strict=True):
            assert isinstance(certificate, Certificate)
            means = problem.class_means(solution.point)
            known = replace(certificate, direction=None)
            ends.append(cls(seed, solution.converged, known, one_vs_rest_distance(means.W), means))
        return ends

    @classmethod
    def _on_spheres(cls, model: Spheres, seed: int) -> "End":
        found = model.minimize(seed, ON_SPHERES)
        judged, point = model.certify(found.point), found.point
        return cls(seed, found.converged, judged, one_vs_rest_distance(point.W), point)

    @property
    def value(self) -> float:
        return self.certificate.value

    @property
    def verdict(self) -> PointVerdict:
        return self.certificate.verdict

    def ending(self, level: float) -> Ending:
        """What the end is, given a level that f does not exceed at the best point known."""
        if not self.converged:
            return Ending.UNCONVERGED
        endings = {
            PointVerdict.GLOBAL_MINIMIZER: Ending.BEST,
            PointVerdict.LOCAL_MINIMIZER: Ending.TRAPPED if self.value > level else Ending.BEST,
            PointVerdict.STRICT_SADDLE: Ending.SADDLE,
            PointVerdict.DEGENERATE: Ending.DEGENERATE,
            PointVerdict.NOT_CRITICAL: Ending.UNCONVERGED,
        }
        return endings[self.verdict]


@dataclass(frozen=True, eq=False)
class Cell(Result):
    """What `starts` descents of one problem ended in.

    seed         the starts are seed, seed + 1, ...
    ends         how many there are of each `Ending`; they add up to `starts`
    levels       how many distinct values f takes at the minimisers among them (best or trapped)
    lower_bound  the highest certified number below f everywhere
    best         the first end at the lowest level: certified global where `certified`, else only the best found
    worst        the highest trap, or None
    code         the one-vs-rest distance of softmax codes; where not `code_known` the best that a search found,
                 or None
    """

    problem: Problem | Spheres = field(metadata={READ: of_plain})
    seed: int
    starts: int
    ends: dict[Ending, int]
    levels: int
    lower_bound: float
    best: End
    worst: End | None
    code: float | None
    code_known: bool

    derived = ("trapped", "gap", "certified")

    @property
    def setting(self) -> tuple[str, float]:
        """What the map varies beside K and d: the weight decay, or the scale of the logits on spheres."""
        if isinstance(self.problem, Spheres):
            return "scale", self.problem.scale
        return "lambda", self.problem.lambda_w

    @property
    def trapped(self) -> float:
        """The fraction of starts that ended in a trap."""
        return self.ends[Ending.TRAPPED] / self.starts

    @property
    def gap(self) -> float | None:
        """How far the worst trap is above the best; None without one."""
        return None if self.worst is None else self.worst.value - self.best.value

    @property
    def certified(self) -> bool:
        """Whether the best is a global minimiser by its certificate, not merely the best found."""
        return self.best.verdict == PointVerdict.GLOBAL_MINIMIZER

    @property
    def wide(self) -> bool:
        """Whether d is large enough for no traps: K - 1 for a shift-invariant loss, else K; on spheres K."""
        if isinstance(self.problem, Spheres):
            return self.problem.wide
        return self.problem.loss.convex and self.problem.dim >= self.problem.largest_rank

    @property
    def edge(self) -> str | None:
        """The d from which on there are no traps, in terms of K; None where the loss is not convex: no d is known."""
        if isinstance(self.problem, Spheres):
            return "K"
        if not self.problem.loss.convex:
            return None
        return "K - 1" if self.problem.largest_rank < self.problem.num_classes else "K"

    @property
    def contradicts(self) -> bool:
        """Whether a local minimiser that is not global turned up where theory has none."""
        return self.wide and (self.ends[Ending.TRAPPED] > 0 or self.best.verdict == PointVerdict.LOCAL_MINIMIZER)

    @classmethod
    def from_plain(cls, data: Any) -> "Cell":
        """The cell that `plain` wrote; InputError where it is none, or its numbers do not agree."""
        cell = super().from_plain(data)
        require(set(cell.ends) == set(Ending), f"it counts {list(map(str, cell.ends))}, not {list(map(str, Ending))}")
        require(sum(cell.ends.values()) == cell.starts, f"its ends do not add up to {cell.starts} starts")
        traps = cell.ends[Ending.TRAPPED] > 0
        require((cell.worst is not None) == traps, "it counts traps and shows none, or the reverse")
        return cell


def survey(problem: Problem | Spheres, starts: int = 64, seed: int = 0) -> Cell:
    """Descend from `starts` random starts (those of `minimize` with seed, seed + 1, ...) and certify every end.

    The descents are one `ufm.sweep`. Starts that end in neither the best level nor a trap are counted apart. Raises
    InputError for starts < 1.
    """
    require(starts >= 1, (Setting("starts"), f" must be >= 1, got {starts}"))
    ends = End.all_of(problem, range(seed, seed + starts))
    lowest = min(ends, key=lambda end: end.value)
    width, bounds = _width_and_bounds(problem, ends, lowest.value)
    endings = [end.ending(lowest.value + width) for end in ends]
    minima = {
        one: [end for end, ending in zip(ends, endings, strict=True) if ending == one]
        for one in (Ending.BEST, Ending.TRAPPED)
    }
    values = sorted(end.value for found in minima.values() for end in found)
    codes = isinstance(problem.loss, CrossEntropy)  # the limit for small decays
    code, known = reference_distance(problem.num_classes, problem.dim) if codes else (None, False)
    return Cell(
        problem=problem,
        seed=seed,
        starts=starts,
        ends={ending: endings.count(ending) for ending in Ending},
        levels=sum(b - a > width for a, b in zip([-math.inf, *values], values, strict=False)),
        lower_bound=max(bounds),
        best=minima[Ending.BEST][0] if minima[Ending.BEST] else lowest,
        worst=max(minima[Ending.TRAPPED], key=lambda end: end.value, default=None),
        code=code,
        code_known=known,
    )


def _width_and_bounds(problem: Problem | Spheres, ends: list[End], least: float) -> tuple[float, list[float]]:
    """(how far apart values of one level may be, numbers below f everywhere). On spheres one of them is of any d."""
    bounds = [end.certificate.lower_bound for end in ends]
    if isinstance(problem, Spheres):
        return LEVEL_THERE * least, [*bounds, problem.bound_of_any_dim()]
    return LEVEL * problem.drop, bounds
