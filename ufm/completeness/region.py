"""Where points of rank 1 can be, one of each orbit: a region an order of the classes (docs/theory, section 16.3)."""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .intervals import Interval
from .system import System

GRID = 4  # pieces of [0, 1] on the side of each u


@dataclass(frozen=True)
class Region:
    """Boxes of (t, u_2 .. u_{K-1}): 0 <= t <= T, 1 >= u_2 >= ... >= u_{K-1} >= 0.

    With u_2 + u_{K-1} <= 1 where the counts are the same from behind: v -> -v reverses the order.
    """

    system: System

    @property
    def mirrors(self) -> bool:
        return self.system.counts == self.system.counts[::-1]

    @cached_property
    def edges(self) -> list[list[float]]:
        """The sides cut into the pieces that the search begins with: 0 to T, where all points are, and 0 to 1."""
        K = self.system.K
        most = 2 * _largest_product(K) / float(self.system.kappa.lo) * (1 + 1e-9)
        scale = 2.0 ** (math.floor(math.log2(most)) - 7)
        top = math.ceil(most / scale) * scale  # of few digits
        powers = list(itertools.takewhile(lambda t: t < top, (2.0**i for i in range(1100))))
        half = 0.5 if K == 3 and self.mirrors else 1.0  # u_2 + u_2 <= 1
        side = [half * i / GRID for i in range(GRID + 1)]
        return [[0.0, *powers, top], *[side] * (K - 2)]

    def pieces(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(lo, hi) of each, the last side running fastest."""
        sides = [list(itertools.pairwise(edges)) for edges in self.edges]
        return [tuple(np.array(ends) for ends in zip(*cell, strict=True)) for cell in itertools.product(*sides)]  # type: ignore[misc]

    def codes(self, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """(M,) one character a box: "o" if all of it is out of order, "m" if all of it is mirrored, else "?"."""
        found = np.full(lo.shape[1], "?")
        if self.system.K > 3:
            found[(hi[1:-1] < lo[2:]).any(0)] = "o"
        if self.mirrors:
            both = Interval(lo[1], lo[1]) + Interval(lo[-1], lo[-1])
            found[(both.lo > 1) & (found == "?")] = "m"
        return found


def orders(counts: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The orders of the counts that differ, and one of two that are each other's mirror images; the larger one."""
    from sympy.utilities.iterables import multiset_permutations  # late: the theory runs without sympy

    found = map(tuple, multiset_permutations(sorted(counts)))
    return sorted({max(order, order[::-1]) for order in found}, reverse=True)


def _largest_product(K: int) -> float:
    """M with M e^M >= (K - 1)/e, so that lW |w|^2 + lb |b|^2 <= M at every critical point."""
    M = 0.0
    while True:
        for _ in range(50):
            M -= (M * math.exp(M) - (K - 1) / math.e) / (math.exp(M) * (1 + M))
        M *= 1 + 1e-12
        enough = Interval(M, M) * Interval(M + 1, M + 1).exp()
        if enough.lo >= K - 1:
            return M
