"""One piece of the region, cut until every box is decided: the tree of its boxes.

The nodes stand in the order in which they were made, level by level; a node that is cut makes its lower and its upper
half. One character a node: a digit is the side along which it is cut (0 for t), and of the leaves
  x  no critical point, proved        o  out of order        m  mirrored        a, b, ...  inside the box of that point
"""

from dataclasses import dataclass

import numpy as np

from .boxes import Boxes, Enclosed
from .intervals import down, up
from .region import Region

AT_ONCE = 1024
SMALLEST = 1e-9  # a side below this, of 1 or of t, is cut no more
POINTS = "abcdefghijklnpqrstuvwyz"  # all but m, o and x


@dataclass(frozen=True)
class Piece:
    """The tree of a piece; stuck: (t, u, inner unknowns) of a box that is not decided, where the search gave up."""

    codes: str
    cuts: tuple[float, ...]
    stuck: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """A piece to search. known: the boxes [lo, hi] (P, outer) of single critical points."""

    region: Region
    lo: np.ndarray
    hi: np.ndarray
    known: tuple[np.ndarray, np.ndarray]
    most: int

    def enclosed(self, boxes: Boxes) -> Enclosed:
        return Enclosed(self.region.system, boxes)

    def start(self) -> np.ndarray:
        """(inner, 1): where Newton's method for the inner unknowns begins."""
        return np.zeros((self.region.system.inner, 1))

    def run(self) -> Piece:
        codes: list[str] = []
        cuts: list[float] = []
        level = Boxes(self.lo[:, None], self.hi[:, None], self.start())
        while len(level):
            made = []
            for begin in range(0, len(level), AT_ONCE):
                some = level.part(np.arange(begin, min(begin + AT_ONCE, len(level))))
                found, children, where = self._decide(some)
                codes += found.tolist()
                cuts += where.tolist()
                made.append(children)
                small = self._small(children)
                if small.any() or len(codes) > self.most:
                    i = int(small.argmax())
                    return Piece("", (), (*children.middle[:, i].tolist(), *children.y[:, i].tolist()))
            level = Boxes(*(np.concatenate([getattr(b, name) for b in made], 1) for name in ("lo", "hi", "y")))
        return Piece("".join(codes), tuple(cuts))

    def _decide(self, boxes: Boxes) -> tuple[np.ndarray, Boxes, np.ndarray]:
        """(the characters, the halves of the boxes that are cut, where they are)."""
        codes = self.region.codes(boxes.lo, boxes.hi)
        for letter, lo, hi in zip(POINTS, *self.known, strict=False):
            inside = (boxes.lo >= lo[:, None]).all(0) & (boxes.hi <= hi[:, None]).all(0)
            codes[inside & (codes == "?")] = letter
        left = np.flatnonzero(codes == "?")
        if not len(left):
            return codes, boxes.part(left), np.zeros(0)
        enclosed = self.enclosed(boxes.part(left))
        empty = enclosed.empty()
        codes[left] = np.where(empty, "x", enclosed.axis().astype(str))
        rest = left[~empty]
        axis, at = codes[rest].astype(int), np.arange(len(rest))
        lo, hi, y = np.repeat(boxes.lo[:, rest], 2, 1), np.repeat(boxes.hi[:, rest], 2, 1), enclosed.y[:, ~empty]
        cuts = boxes.middle[axis, rest]
        hi[axis, 2 * at] = lo[axis, 2 * at + 1] = cuts
        return codes, Boxes(lo, hi, np.repeat(y, 2, 1)), cuts

    @staticmethod
    def _small(boxes: Boxes) -> np.ndarray:
        unit = np.ones_like(boxes.hi)
        unit[0] = np.maximum(boxes.hi[0], 1)
        return ((boxes.hi - boxes.lo) < SMALLEST * unit).any(0)


def single(region: Region, p: np.ndarray, y: np.ndarray, widest: float) -> tuple[np.ndarray, np.ndarray] | None:
    """[lo, hi] (outer,) about p, as wide as can be, with just one critical point in it, proved; None if not found."""
    width = widest
    while width > 1e-8:
        half = np.concatenate([width * p[:1], np.full(len(p) - 1, width)])
        lo, hi = down(p - half), up(p + half)
        if Enclosed(region.system, Boxes(lo[:, None], hi[:, None], y[:, None])).isolated()[0]:
            return lo, hi
        width /= 2
    return None
