"""The proof over ranges as it goes: a region for each rank that is searched and each order of the classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...problem import Problem
from .. import work
from ..ranks import at_origin
from ..work import MOST, NotProved, systems
from .listed import Place, place
from .region import Region
from .search import Task
from .system import Jet, System


def covers(problem: Problem) -> bool:
    """Whether the ranges of W are searched: at K = 4 and d >= 2; at d = 1 and K >= 4 where classes are exchangeable.

    There cross-entropy, equal counts and no bias. The other search decides boxes at d = 1 however small a class is.
    """
    K, plain = problem.num_classes, problem.loss.to_plain() == "cross-entropy"
    return K == 4 if problem.dim > 1 else K >= 4 and plain and problem.is_balanced and not problem.bias


@dataclass(eq=False)
class Sought(work.Sought):
    """The points of one rank and order: the boxes of the listed ones, and the pieces of the region of u."""

    region: Region  # type: ignore[assignment]

    @property
    def about(self) -> dict[str, Any]:
        return {"rank": self.region.system.rank, "counts": list(self.region.system.counts)}

    def volume(self, piece: int) -> float:
        """Of a piece, in u."""
        lo, hi = self.cells[piece]
        return float(np.prod(hi - lo))

    def task(self, piece: int) -> Task:
        return Task(self.region, *self.cells[piece], self.known, MOST)

    def lost(self, where: np.ndarray) -> NotProved:
        system, z = self.region.system, self._settled(where)
        zero = np.abs(self._jet(z).value).max() < 1e-11 * np.abs(z).max()
        said = f"rank {system.rank}, at u = {np.round(where[: system.outer], 6).tolist()}{self.order}"
        return self._told(where, z, bool(zero), said)

    def _jet(self, z: np.ndarray) -> Jet:
        m = self.region.system.outer
        return Jet(self.region.system, z[:m, None], z[m:, None])


class Work(work.Work):
    """The proof of a problem that `covers` takes: a search for each rank from 1 to min(d, K - 2), and each order."""

    format, parts = "ufm completeness over ranges 2", "searches"
    sought: Sequence[Sought]

    def regions(self) -> Sequence[Sought]:
        """None where the origin is a global minimiser: it is the only critical point then."""
        of_orders, K = systems(self.problem), self.problem.num_classes
        ranks = range(1, min(self.problem.dim, K - 2) + 1) if at_origin(of_orders[0]) is False else ()
        return [Sought(Region(_ranged(system, rank))) for rank in ranks for system in of_orders]

    def places(self) -> list[Place]:
        between = [p for p in self.atlas.points if 0 < p.rank < self.problem.num_classes - 1]
        if not self.sought:
            for rank in range(1, self.problem.num_classes - 1):
                self.expect(rank, 0)
        regions = [sought.region for sought in self.sought]
        return [place(self.problem, p, regions) for p in between]


def _ranged(system: work.System, rank: int) -> System:
    return System(system.counts, system.lambda_w, system.lambda_h, system.lambda_b, system.smoothing, rank)
