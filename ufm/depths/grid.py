"""The grid of the diagram of depth: classes, factors and decays."""

from dataclasses import asdict, dataclass
from typing import Any

from .. import grids
from ..errors import Setting, require
from ..losses import of_plain
from ..models import DeepLinear
from .cell import Cell, survey

SEEDS = 2**32  # each stands for as many starts as a cell has


@dataclass(frozen=True)
class Grid(grids.Grid[DeepLinear, Cell]):
    """Deep linear models of K classes with n samples each and d = K.

    classes, depths, lambdas   the values of K, of L (the features included) and of the decay
    rounds                     of descents, from starts of every rank in each
    loss                       as plain data (`ufm.losses.of_plain`)
    Raises InputError for an empty or repeated axis, or settings that no DeepLinear has.
    """

    classes: tuple[int, ...]
    depths: tuple[int, ...]
    lambdas: tuple[float, ...]
    per_class: int = 1
    rounds: int = 2
    seed: int = 0
    loss: Any = "cross-entropy"

    def __post_init__(self) -> None:
        for name in ("classes", "depths", "lambdas"):
            values = getattr(self, name)
            require(len(values) > 0, (Setting(name), " must list at least one value"))
            require(len(set(values)) == len(values), (Setting(name), f" must not repeat a value, got {list(values)}"))
        require(self.rounds >= 1, (Setting("rounds"), f" must be >= 1, got {self.rounds}"))
        require(0 <= self.seed < SEEDS, (Setting("seed"), f" must lie in [0, 2^32), got {self.seed}"))
        for problem in self.problems:
            problem.require_decidable()

    @property
    def problems(self) -> tuple[DeepLinear, ...]:
        """Every cell's model: the decay outermost, then K, then L."""
        loss = of_plain(self.loss)
        require(loss.shape is None, f"the loss {loss.name!r} is for one number of classes; take one for any K")
        return tuple(
            DeepLinear((self.per_class,) * K, K, depth, decay, loss)
            for decay in self.lambdas
            for K in self.classes
            for depth in self.depths
        )

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def survey(self, problem: DeepLinear) -> Cell:
        """The cell of one of the models."""
        return survey(problem, self.seed, self.rounds)

    def cell(self, data: dict[str, Any]) -> Cell:
        """The cell that a file has; InputError where it is none."""
        return Cell.from_plain(data)
