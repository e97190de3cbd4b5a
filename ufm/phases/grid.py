"""The grid of the phase diagram: how few samples the minority has, against lambda."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import grids
from ..errors import Setting, require
from ..losses import of_plain
from ..problem import Problem
from .cell import Cell, survey, survey_all

TOGETHER = 8000  # collapsed variables that are swept together: small problems by the hundred, large ones alone


@dataclass(frozen=True)
class Grid(grids.Grid[Problem, Cell]):
    """Problems with a majority of n samples a class and a minority of fewer, lambda_w = lambda_h = lambda, d = K.

    majority, minority  how many classes there are of each, two or more
    per_class           n of the majority      fewer  the n_k of the minority, one or more of them
    loss                as plain data (`ufm.losses.of_plain`)
    Raises InputError for an empty or repeated axis, or settings that no Problem has.
    """

    fewer: tuple[int, ...]
    lambdas: tuple[float, ...]
    majority: int = 3
    minority: int = 3
    per_class: int = 100
    lambda_b: float = 1e-3
    bias: bool = True
    seed: int = 0
    loss: Any = "cross-entropy"

    def __post_init__(self) -> None:
        for name in ("fewer", "lambdas"):
            values = getattr(self, name)
            require(len(values) > 0, (Setting(name), " must list at least one value"))
            require(len(set(values)) == len(values), (Setting(name), f" must not repeat a value, got {list(values)}"))
        for name in ("majority", "minority"):
            value = getattr(self, name)
            require(value >= 2, (Setting(name), f" must be two classes or more, got {value}"))
        within = all(1 <= n <= self.per_class for n in self.fewer)
        most = f" must lie in 1 .. n = {self.per_class}, got {list(self.fewer)}"
        require(within, (Setting("fewer"), most))
        require(self.seed >= 0, (Setting("seed"), f" must be >= 0, got {self.seed}"))
        kinds = self.problems[0].kinds
        for name, group in (("majority", kinds[: self.majority]), ("minority", kinds[self.majority :])):
            alike = len(set(group)) == 1
            require(alike, f"the loss must take the classes of the {name} for alike; give them one weight and target")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every cell's problem: lambda outermost, then the minority's n_k."""
        loss, K = of_plain(self.loss), self.majority + self.minority
        require(loss.shape is None or loss.shape == (K, K), f"the loss {loss.name!r} is not one of K = {K} classes")
        lb = self.lambda_b if self.bias else 0.0
        return tuple(
            Problem((self.per_class,) * self.majority + (n,) * self.minority, K, decay, decay, lb, self.bias, loss)
            for decay in self.lambdas
            for n in self.fewer
        )

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @property
    def batches(self) -> tuple[tuple[Problem, ...], ...]:
        """The problems in order, as many together as a sweep gains from."""
        problems = self.problems
        count = max(1, TOGETHER // (2 * problems[0].num_classes * problems[0].dim))
        return tuple(problems[i : i + count] for i in range(0, len(problems), count))

    def survey(self, problem: Problem) -> Cell:
        """The cell of one of the problems."""
        return survey(problem, self.seed)

    def survey_batch(self, batch: Sequence[Problem]) -> list[Cell]:
        """The cells of one of the batches."""
        return survey_all(batch, self.seed)

    def cell(self, data: dict[str, Any]) -> Cell:
        """The cell that a file has; InputError where it is none."""
        return Cell.from_plain(data)
