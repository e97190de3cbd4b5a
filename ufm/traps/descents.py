"""Where descents end: how many of them in a local minimiser that is not global, and how bad the worst of those is.

For d >= K - 1 there is none (`ufm.theorems`, "landscape, d >= K - 1"); below, some problems have them.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..certificates.certificate import Certificate, certify
from ..errors import InputError, Setting, require
from ..point import Point
from ..problem import Problem
from ..solvers.minimize import minimize
from .codes import one_vs_rest_distance, reference_distance

LEVEL = 1e-10  # values of f closer than this fraction of log K are one level
TOL = 1e-12  # relative gradient norm that each descent has to reach

BEST, TRAPPED, SADDLE, DEGENERATE, UNCONVERGED = "best", "trapped", "saddle", "degenerate", "not converged"
KINDS = (BEST, TRAPPED, SADDLE, DEGENERATE, UNCONVERGED)


@dataclass(frozen=True, eq=False)
class End:
    """Where the descent from the random start `seed` ended.

    converged    whether it reached a relative gradient norm of 1e-12
    certificate  of `ufm.certify` there, without its direction
    distance     the one-vs-rest distance of the rows of W
    point        collapsed, float64
    """

    seed: int
    converged: bool
    certificate: Certificate
    distance: float
    point: Point

    @classmethod
    def of(cls, problem: Problem, seed: int) -> "End":
        """Descend on class means, which never raises f, and certify where that leads."""
        solution = minimize(problem, seed=seed, tol=TOL)
        means = problem.class_means(solution.point)
        certificate = replace(certify(problem, means), direction=None)
        return cls(seed, solution.converged, certificate, one_vs_rest_distance(means.W), means)

    @property
    def value(self) -> float:
        return self.certificate.value

    @property
    def verdict(self) -> str:
        return self.certificate.verdict

    def kind(self, level: float) -> str:
        """One of KINDS, given a level that f does not exceed at the best point known.

        best     a global minimiser, or a local one not above the level
        trapped  a local minimiser (index 0, nullity = orbit dimension) above it: certainly not global
        """
        if not self.converged:
            return UNCONVERGED
        kinds = {
            "global minimizer": BEST,
            "local minimizer": TRAPPED if self.value > level else BEST,
            "strict saddle": SADDLE,
            "degenerate": DEGENERATE,
            "not critical": UNCONVERGED,
        }
        return kinds[self.verdict]

    def plain(self) -> dict[str, Any]:
        point = {"W": self.point.W.tolist(), "H": self.point.H.tolist(), "b": self.point.b.tolist()}
        return {
            "seed": self.seed,
            "converged": self.converged,
            "distance": self.distance,
            "certificate": self.certificate.numbers(),
            "point": point,
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> "End":
        W, H, b = (torch.tensor(data["point"][name], dtype=torch.float64) for name in ("W", "H", "b"))
        certificate = Certificate(**data["certificate"], direction=None)
        require(isinstance(certificate.value, float), f"its value is {certificate.value!r}")
        return cls(int(data["seed"]), bool(data["converged"]), certificate, float(data["distance"]), Point(W, H, b))


@dataclass(frozen=True, eq=False)
class Cell:
    """What `starts` descents of one problem ended in.

    seed         the starts are seed, seed + 1, ...
    ends         how many ended in each of KINDS; they add up to `starts`
    levels       how many distinct values f takes at the minimisers among them (best or trapped)
    lower_bound  the highest certified number below f everywhere
    best         the first end at the lowest level: proved global where `proved`, else only the best found
    worst        the highest trap, or None
    code         the one-vs-rest distance of softmax codes; where not `code_known` the best that a search found,
                 or None
    """

    problem: Problem
    seed: int
    starts: int
    ends: dict[str, int]
    levels: int
    lower_bound: float
    best: End
    worst: End | None
    code: float | None
    code_known: bool

    @property
    def trapped(self) -> float:
        """The fraction of starts that ended in a trap."""
        return self.ends[TRAPPED] / self.starts

    @property
    def gap(self) -> float | None:
        """How far the worst trap is above the best; None without one."""
        return self.worst and self.worst.value - self.best.value

    @property
    def proved(self) -> bool:
        """Whether the best is a global minimiser by the certificate, not merely the best found."""
        return self.best.verdict == "global minimizer"

    @property
    def wide(self) -> bool:
        """Whether d >= K - 1."""
        return self.problem.dim >= self.problem.num_classes - 1

    @property
    def contradicts(self) -> bool:
        """Whether a local minimiser that is not global turned up at d >= K - 1, where there is none."""
        return self.wide and (self.ends[TRAPPED] > 0 or self.best.verdict == "local minimizer")

    def plain(self) -> dict[str, Any]:
        """All of it as plain data for JSON."""
        return {
            "problem": self.problem.settings(),
            "seed": self.seed,
            "starts": self.starts,
            "ends": self.ends,
            "trapped": self.trapped,
            "gap": self.gap,
            "proved": self.proved,
            "levels": self.levels,
            "lower_bound": self.lower_bound,
            "best": self.best.plain(),
            "worst": self.worst and self.worst.plain(),
            "code": self.code,
            "code_known": self.code_known,
        }

    @classmethod
    def from_plain(cls, problem: Problem, data: dict[str, Any]) -> "Cell":
        """The cell that `plain` wrote for this problem; InputError where it is not one."""
        try:
            require(data["problem"] == problem.settings(), f"it is about {data['problem']}, not {problem.settings()}")
            ends = {kind: int(data["ends"][kind]) for kind in KINDS}
            require(sum(ends.values()) == data["starts"], f"its ends do not add up to {data['starts']} starts")
            require(bool(data["worst"]) == (ends[TRAPPED] > 0), "it counts traps and shows none, or the reverse")
            return cls(
                problem=problem,
                seed=int(data["seed"]),
                starts=int(data["starts"]),
                ends=ends,
                levels=int(data["levels"]),
                lower_bound=-math.inf if data["lower_bound"] is None else float(data["lower_bound"]),
                best=End.from_plain(data["best"]),
                worst=data["worst"] and End.from_plain(data["worst"]),
                code=data["code"],
                code_known=data["code_known"],
            )
        except (KeyError, TypeError, ValueError) as error:
            what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            raise InputError(f"a cell cannot be read ({what})") from error


def survey(problem: Problem, starts: int = 64, seed: int = 0) -> Cell:
    """Descend from `starts` random starts (those of `ufm.minimize` with seed, seed + 1, ...) and certify every end.

    Starts that end in neither the best level nor a trap are counted apart. Raises InputError for starts < 1.
    """
    require(starts >= 1, (Setting("starts"), f" must be >= 1, got {starts}"))
    ends = [End.of(problem, start) for start in range(seed, seed + starts)]
    width = LEVEL * math.log(problem.num_classes)
    lowest = min(ends, key=lambda end: end.value)
    kinds = [end.kind(lowest.value + width) for end in ends]
    minima = {kind: [end for end, found in zip(ends, kinds, strict=True) if found == kind] for kind in (BEST, TRAPPED)}
    values = sorted(end.value for found in minima.values() for end in found)
    code, known = reference_distance(problem.num_classes, problem.dim)
    return Cell(
        problem=problem,
        seed=seed,
        starts=starts,
        ends={kind: Counter(kinds)[kind] for kind in KINDS},
        levels=sum(b - a > width for a, b in zip([-math.inf, *values], values, strict=False)),
        lower_bound=max(end.certificate.lower_bound for end in ends),
        best=minima[BEST][0] if minima[BEST] else lowest,
        worst=max(minima[TRAPPED], key=lambda end: end.value, default=None),
        code=code,
        code_known=known,
    )
