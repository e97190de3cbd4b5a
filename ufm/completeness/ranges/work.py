"""The proof over ranges as it goes: a region for each rank that is searched."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...problem import Problem
from .. import work
from ..search import POINTS
from ..work import MOST, NotProved
from .listed import boxes, coordinates
from .region import Region
from .search import Task
from .system import Jet, System


def covers(problem: Problem) -> bool:
    """Whether all ranks but 0 and K - 1 are 1 or K - 2, for K >= 4 balanced classes without a bias."""
    K, plain = problem.num_classes, problem.loss.to_plain() == "cross-entropy"
    return K >= 4 and plain and problem.is_balanced and not problem.bias and (problem.dim == 1 or K == 4)


@dataclass(eq=False)
class Sought(work.Sought):
    """The points of one rank: about where they are listed, the boxes of them, and the pieces of the region of u."""

    region: Region  # type: ignore[assignment]
    listed: list[np.ndarray] = field(default_factory=list)

    @property
    def about(self) -> dict[str, Any]:
        return {"rank": self.region.system.rank}

    def begin(self) -> None:
        """The boxes about the listed points."""
        rank, number = self.region.system.rank, len(self.listed)
        if number > len(POINTS):
            raise NotProved(f"the atlas lists {number} points of rank {rank}; at most {len(POINTS)} are taken on")
        self.points = boxes(self.region.system, self.listed)

    def volume(self, piece: int) -> float:
        """Of a piece, in u."""
        lo, hi = self.cells[piece]
        return float(np.prod(hi - lo))

    def task(self, piece: int) -> Task:
        return Task(self.region, *self.cells[piece], self.known, MOST)

    def lost(self, where: np.ndarray) -> NotProved:
        system, z = self.region.system, self._settled(where)
        zero = np.abs(self._jet(z).value).max() < 1e-11 * np.abs(z).max()
        u = np.round(where[: system.outer], 6).tolist()
        return self._told(where, z, bool(zero), f"rank {system.rank}, at u = {u}")

    def _jet(self, z: np.ndarray) -> Jet:
        m = self.region.system.outer
        return Jet(self.region.system, z[:m, None], z[m:, None])


class Work(work.Work):
    """The proof of a problem that `covers` takes: a search for each rank from 1 to min(d, K - 2)."""

    format, parts = "ufm completeness over ranges 1", "searches"
    sought: Sequence[Sought]

    def regions(self) -> Sequence[Sought]:
        problem, K = self.problem, self.problem.num_classes
        decays = problem.lambda_w, problem.lambda_h
        self.scale = float(K) * System(K, problem.per_class, 1, *decays).kappa  # (K s)^2
        ranks = range(1, min(problem.dim, K - 2) + 1) if self.scale.hi < 1 else ()
        return [
            Sought(
                Region(System(K, problem.per_class, rank, *decays)),
                listed=[coordinates(p, rank) for p in self.atlas.points if p.rank == rank],
            )
            for rank in ranks
        ]

    def begin(self) -> None:
        """What theorems say of the ranks that are not searched, and the boxes about the listed points of the others."""
        K, d = self.problem.num_classes, self.problem.dim
        if self.scale.lo <= 1 <= self.scale.hi:
            raise NotProved("the decay is at the collapse threshold, K^2 n lW lH = 1, where the origin is degenerate")
        below = bool(self.scale.hi < 1)
        expected = {0: 1, K - 1: int(below and d >= K - 1)} | ({} if below else dict.fromkeys(range(1, K - 1), 0))
        for rank, number in expected.items():
            self.expect(rank, number)
        for sought in self.sought:
            sought.begin()
        self.resume()
