"""The grid of the map: problems over lambda, K and d, and what is looked at in each."""

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import Setting, require
from ..grids import explore
from ..losses import of_plain
from ..problem import Problem
from .descents import Cell, survey

__all__ = ["Grid", "explore"]


@dataclass(frozen=True)
class Grid:
    """Balanced problems with lambda_w = lambda_h = lambda, one for each lambda, K and d, and how to survey them.

    loss  the loss as plain data (`ufm.losses.of_plain`)

    Raises InputError for an empty or repeated axis, starts < 1, or settings that no Problem has.
    """

    classes: tuple[int, ...]
    dims: tuple[int, ...]
    lambdas: tuple[float, ...]
    per_class: int = 2
    lambda_b: float = 1e-3
    starts: int = 64
    seed: int = 0
    loss: Any = "cross-entropy"

    def __post_init__(self) -> None:
        for name in ("classes", "dims", "lambdas"):
            values = getattr(self, name)
            require(len(values) > 0, (Setting(name), " must list at least one value"))
            require(len(set(values)) == len(values), (Setting(name), f" must not repeat a value, got {list(values)}"))
        require(self.starts >= 1, (Setting("starts"), f" must be >= 1, got {self.starts}"))
        require(self.seed >= 0, (Setting("seed"), f" must be >= 0, got {self.seed}"))
        _ = self.problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every cell's problem: lambda outermost, then K, then d."""
        loss = of_plain(self.loss)
        return tuple(
            Problem.balanced(K, self.per_class, d, lambda_w=decay, lambda_h=decay, lambda_b=self.lambda_b, loss=loss)
            for decay in self.lambdas
            for K in self.classes
            for d in self.dims
        )

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""
        found = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        return {name: v for name, v in found.items() if (name, v) != ("loss", "cross-entropy")}

    def survey(self, problem: Problem) -> Cell:
        """The cell of one of the problems."""
        return survey(problem, self.starts, self.seed)

    def cell(self, data: dict[str, Any]) -> Cell:
        """The cell that a file has; InputError where it is none of this grid's."""
        cell = Cell.from_plain(data)
        asked = cell.starts, cell.seed
        require(asked == (self.starts, self.seed), f"a cell has starts, seed = {asked}")
        return cell
