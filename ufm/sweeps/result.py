"""What a sweep found: a row a problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ..certificates import Certificate
from ..models import Judgement, Minimum
from ..results import Shown, Table
from ..solvers.minimize import Solution
from ..spectra import Spectrum

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

    solutions     of `ufm.minimize`, or of a model's own
    certificates  of `ufm.certify` at each, or of a model's own; None where none were asked for
    spectra       of `ufm.spectrum` at each, likewise; None in the place of one that a model does not have
    """

    problems: tuple[Any, ...]
    solutions: tuple[Solution | Minimum[Any], ...]
    certificates: tuple[Certificate | Judgement, ...] | None
    spectra: tuple[Spectrum | None, ...] | None

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
        rows = [(i, *_asked(self.problems[i]), *_found(self.solutions[i]), *self._known(i)) for i in range(len(self))]
        stuck = sum(not solution.converged for solution in self.solutions)
        notes = [f"{stuck} did not converge"] if stuck else []
        return Table(f"sweep of {len(self)} problems", COLUMNS, rows, SYMBOLS, notes=notes)

    def _known(self, i: int) -> tuple[object, ...]:
        if self.certificates is None or self.spectra is None:
            return (None,) * 7
        one, levels = self.certificates[i], self.spectra[i]
        told = (None,) * 4 if levels is None else (levels.index, levels.nullity, levels.min, levels.condition)
        return one.verdict, one.duality_gap, getattr(one, "rank", None), *told


def _asked(problem: Any) -> tuple[object, ...]:
    """Model, loss, K, N, d and decays; None for what a model does not have."""
    counts, shape = problem.class_counts, problem.loss.shape
    name, K = getattr(problem, "name", "free"), len(counts) if shape is None else shape[1]
    own = (getattr(problem, setting, None) for setting in ("dim", "lambda_w", "lambda_h", "lambda_b"))
    return name, problem.loss.name, K, sum(counts), *own


def _found(solution: Any) -> tuple[object, ...]:
    return solution.value, solution.converged
