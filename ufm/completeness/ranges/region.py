"""Where u can be, one of each orbit (docs/theory, section 16.6)."""

import itertools
from dataclasses import dataclass

import numpy as np

from ..intervals import Interval
from .system import System

GRID = 4  # pieces of [0, 1] on the side of each u


@dataclass(frozen=True)
class Region:
    """Boxes of (u_2 .. u_{K-1}): 1 >= u_2 >= ... >= u_{K-1} >= 0.

    With u_2 + u_{K-1} <= 1 where the counts are the same from behind: 1 - u in the reverse order is the same range.
    """

    system: System

    @property
    def mirrors(self) -> bool:
        return self.system.counts == self.system.counts[::-1]

    @property
    def edges(self) -> list[list[float]]:
        """The sides cut into the pieces that the search begins with."""
        return [[i / GRID for i in range(GRID + 1)]] * self.system.outer

    def pieces(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(lo, hi) of each, the last side running fastest."""
        cells = itertools.product(*(list(itertools.pairwise(side)) for side in self.edges))
        return [(np.array(cell)[:, 0], np.array(cell)[:, 1]) for cell in cells]

    def codes(self, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """(M,) one character a box: "o" if all of it is out of order, "m" if all of it is mirrored, else "?"."""
        found = np.full(lo.shape[1], "?")
        found[(hi[:-1] < lo[1:]).any(0)] = "o"
        if self.mirrors:
            both = Interval(lo[0], lo[0]) + Interval(lo[-1], lo[-1])
            found[(both.lo > 1) & (found == "?")] = "m"
        return found
