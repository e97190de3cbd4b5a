"""What a sweep found: a row a problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import torch

from ..certificates import Certificate
from ..errors import InputError
from ..models import Judgement, Minimum
from ..point import Point
from ..problem import Problem
from ..results import Shown, Table
from ..solvers.minimize import Solution
from ..spectra import Spectrum
from .batches import batches, fits
from .judged import judged, judged_alone

Known = tuple[Certificate | Judgement, Spectrum | None, Point | None]

COLUMNS = (
    *("", "model", "loss", "K", "N", "d", "lambda_w", "lambda_h", "lambda_b", "value", "converged"),
    *("verdict", "duality_gap", "rank", "index", "nullity", "lambda_min", "condition"),
)
SYMBOLS = {
    "lambda_w": r"\lambda_W",
    "lambda_h": r"\lambda_H",
    "lambda_b": r"\lambda_b",
    "value": r"f(W, H, b)",
    "duality_gap": r"f - D",
    "rank": r"\operatorname{rank} W",
    "lambda_min": r"\lambda_{\min}(\nabla^2 f)",
}


@dataclass(frozen=True, eq=False)
class Sweep(Shown, Sequence[Any]):
    """The sequence of the solutions, in the order of the problems; as a table, a row a problem.

    solutions  of `ufm.minimize`, or of a model's own
    device     where certificates and spectra are computed

    Certificates and spectra, and so the table, are computed when they are first asked for: in batches at minimisers of
    cross-entropy, weighted or not, and one by one elsewhere.
    """

    problems: tuple[Any, ...]
    solutions: tuple[Solution | Minimum[Any], ...]
    device: torch.device | str = field(default="cpu", repr=False)

    @property
    def certificates(self) -> tuple[Certificate | Judgement, ...]:
        """What `ufm.certify` says of each solution, or the model's own `certify`."""
        return tuple(certificate for certificate, _, _ in self._known)

    @property
    def spectra(self) -> tuple[Spectrum | None, ...]:
        """What `ufm.spectrum` says at each, likewise; None in the place of one that a model does not have."""
        return tuple(levels for _, levels, _ in self._known)

    @property
    def critical_points(self) -> tuple[Point | None, ...]:
        """The critical points that these are about, collapsed; where none is near, class means, and None of a model."""
        return tuple(point for _, _, point in self._known)

    @cached_property
    def _known(self) -> list[Known]:
        for problem in self.problems:
            if isinstance(problem, Problem):
                problem.require_decidable()
        found: dict[int, Known] = {}
        for places in batches(self.problems):
            members, points = [self.problems[i] for i in places], [self.solutions[i].point for i in places]
            known = judged(members, points, self.device) if fits(members[0]) else map(_alone, members, points)
            found.update(zip(places, known, strict=True))
        return [found[i] for i in range(len(self))]

    def __len__(self) -> int:
        return len(self.solutions)

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Any, ...]: ...

    def __getitem__(self, place: int | slice) -> Any:
        return self.solutions[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.solutions)

    def as_table(self) -> Table:
        """A row a problem: what was asked, f, and what the point is."""
        parts = zip(self.problems, self.solutions, self._known, strict=True)
        rows = [(i, *_asked(one), *_found(end), *_told(*known[:2])) for i, (one, end, known) in enumerate(parts)]
        stuck = sum(not solution.converged for solution in self.solutions)
        notes = [f"{stuck} did not converge"] if stuck else []
        return Table(f"sweep of {len(self)} problems", COLUMNS, rows, SYMBOLS, notes=notes)


def _alone(problem: Any, point: Any) -> Known:
    if isinstance(problem, Problem):
        return judged_alone(problem, point)
    try:
        levels = problem.spectrum(point)
    except InputError:  # the point is not critical, or the model has none
        levels = None
    return problem.certify(point), levels, None


def _told(certificate: Certificate | Judgement, levels: Spectrum | None) -> tuple[object, ...]:
    """Verdict, gap, rank, index, nullity, least eigenvalue and condition; None for what is not known."""
    read = (None,) * 4 if levels is None else (levels.index, levels.nullity, levels.min, levels.condition)
    return certificate.verdict, certificate.duality_gap, getattr(certificate, "rank", None), *read


def _asked(problem: Any) -> tuple[object, ...]:
    """Model, loss, K, N, d and decays; None for what a model does not have."""
    counts, shape = problem.class_counts, problem.loss.shape
    name, K = getattr(problem, "name", "free"), len(counts) if shape is None else shape[1]
    own = (getattr(problem, setting, None) for setting in ("dim", "lambda_w", "lambda_h", "lambda_b"))
    return name, problem.loss.name, K, sum(counts), *own


def _found(solution: Any) -> tuple[object, ...]:
    return solution.value, solution.converged
