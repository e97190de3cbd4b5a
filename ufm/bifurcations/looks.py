"""Where along a path atlases are made, and what is in them: a grid, kept in a file and gone on with (`ufm.grids`)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .. import grids
from ..atlas import explore
from ..errors import Setting, require
from ..problem import Problem
from ..results import Result
from .path import Path


@dataclass(frozen=True, eq=False)
class Look(Result):
    """The critical points of one problem at d = 1, up to symmetry: points (m, size), rows of w, h and b."""

    problem: Problem
    points: torch.Tensor


@dataclass(frozen=True)
class Looks(grids.Grid[Problem, Look]):
    """Atlases (`ufm.atlas.explore`, with seed and until_quiet) at `number` places of a path, evenly from end to end.

    Raises InputError for fewer than two, or a seed below 0.
    """

    path: Path
    number: int
    seed: int
    until_quiet: int

    def __post_init__(self) -> None:
        for name, value, least in (("looks", self.number, 2), ("seed", self.seed, 0)):
            require(value >= least, (Setting(name), f" must be >= {least}, got {value}"))

    @property
    def places(self) -> list[float]:
        """The t of each."""
        return np.linspace(self.path.begin, self.path.end, self.number).tolist()

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.path.problem(t) for t in self.places)

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""
        return self.path.plain() | {"looks": self.number, "seed": self.seed, "until_quiet": self.until_quiet}

    def survey(self, problem: Problem) -> Look:
        """The atlas of one of the problems."""
        found = []
        for point in explore(problem, self.seed, until_quiet=self.until_quiet).points:
            parts = [point.point.W[:, 0], point.point.H[:, 0], *([point.point.b] if self.path.bias else [])]
            found.append(torch.cat(parts))
        return Look(problem, torch.stack(found))

    def cell(self, data: dict[str, Any]) -> Look:
        """The atlas that a file has; InputError where it is none of this path's."""
        look = Look.from_plain(data)
        size = self.path.family(self.path.begin).size
        require(look.points.ndim == 2 and look.points.shape[1] == size, "an atlas has points of another size")
        return look
