"""The grids of the maps: problems over lambda, K and d, spheres over scale, K and d, and what is looked at in each."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .. import grids
from ..errors import Setting, require
from ..grids import explore
from ..losses import of_plain
from ..models import Spheres
from ..problem import Problem
from .descents import Cell, survey

__all__ = ["Grid", "SpheresGrid", "explore"]


class Asked(grids.Grid[Any, Cell]):
    """What the grids share: their axes are distinct values, and a cell is a survey of `starts` descents."""

    starts: int
    seed: int
    axes: ClassVar[tuple[str, ...]]

    def _require_axes(self) -> None:
        for name in self.axes:
            values = getattr(self, name)
            require(len(values) > 0, (Setting(name), " must list at least one value"))
            require(len(set(values)) == len(values), (Setting(name), f" must not repeat a value, got {list(values)}"))
        require(self.starts >= 1, (Setting("starts"), f" must be >= 1, got {self.starts}"))
        require(self.seed >= 0, (Setting("seed"), f" must be >= 0, got {self.seed}"))

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}  # type: ignore

    def survey(self, problem: Any) -> Cell:
        """The cell of one of the problems."""
        return survey(problem, self.starts, self.seed)

    def cell(self, data: dict[str, Any]) -> Cell:
        """The cell that a file has; InputError where it is none of this grid's."""
        cell = Cell.from_plain(data)
        asked = cell.starts, cell.seed
        require(asked == (self.starts, self.seed), f"a cell has starts, seed = {asked}")
        return cell


@dataclass(frozen=True)
class Grid(Asked):
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
    axes = ("classes", "dims", "lambdas")

    def __post_init__(self) -> None:
        self._require_axes()
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
        return {name: v for name, v in super().settings().items() if (name, v) != ("loss", "cross-entropy")}


@dataclass(frozen=True)
class SpheresGrid(Asked):
    """Balanced classes on spheres, under cross-entropy, for each scale of the logits, K and d.

    Raises InputError for an empty or repeated axis, starts < 1, or settings that `ufm.models.Spheres` has not, or not
    in float64.
    """

    classes: tuple[int, ...]
    dims: tuple[int, ...]
    scale: tuple[float, ...]
    per_class: int = 2
    starts: int = 64
    seed: int = 0
    axes = ("classes", "dims", "scale")

    def __post_init__(self) -> None:
        self._require_axes()
        for model in self.problems:
            model.require_decidable()

    @property
    def problems(self) -> tuple[Spheres, ...]:
        """Every cell's model: the scale outermost, then K, then d."""
        cells = ((K, d, scale) for scale in self.scale for K in self.classes for d in self.dims)
        return tuple(Spheres.balanced(K, self.per_class, d, scale) for K, d, scale in cells)

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON, beside the model's name."""
        return {"model": Spheres.name} | super().settings()
