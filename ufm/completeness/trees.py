"""ufm check: the trees of boxes in a certificate, whatever the system is, and what a certificate states.

The leaves of a tree are shown to tile its piece, and each to be what it says: empty ("x"), out of order ("o"), mirrored
("m"), or in the box of a listed point. An empty leaf that is not decided is cut further.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flint import ctx

from ..problem import Problem
from ..spread import spread

BITS = 64
DEPTH = 14  # how many times a leaf may be cut here
LETTERS = "abcdefghijklnpqrstuvwyz"  # leaves inside the boxes of the points 0, 1, ...
Box = tuple[tuple[float, ...], tuple[float, ...]]


class Fails(Exception):
    """What does not hold."""


def need(condition: Any, what: str) -> None:
    if not bool(condition):
        raise Fails(what)


@contextmanager
def precision() -> Iterator[None]:
    before, ctx.prec = ctx.prec, BITS
    try:
        yield
    finally:
        ctx.prec = before


def smoothing_of(problem: Problem) -> float:
    """a of the targets (1 - a) e_k + a/K; Fails for other losses than cross-entropy and label smoothing."""
    loss = problem.loss.to_plain()
    smoothed = isinstance(loss, dict) and loss["name"] == "label-smoothing"
    need(smoothed or loss == "cross-entropy", "the certificate is about cross-entropy or label smoothing alone")
    return float(loss["smoothing"]) if smoothed else 0.0


def listed_boxes(part: dict[str, Any]) -> list[Box]:
    return [(tuple(map(float, p["lo"])), tuple(map(float, p["hi"]))) for p in part["points"]]


@dataclass(eq=False)
class Tree:
    """A piece to go through; `look` knows the equations.

    points   the boxes of the listed points       first    the place of u_2 in a box
    mirrors  whether a point may be asked to have u_2 + u_{K-1} <= 1
    """

    first: int
    mirrors: bool
    points: list[Box]
    cell: Box
    codes: str
    cuts: list[float]
    leaves: int = field(default=0, init=False)
    cut: int = field(default=0, init=False)

    def begin(self) -> None:
        """What all boxes share, made in the precision of the checker."""
        raise NotImplementedError

    def look(self, box: Box) -> tuple[bool, int]:
        """Whether no critical point is shown to be there, and else along which side to cut."""
        raise NotImplementedError

    def run(self) -> tuple[int, int, str]:
        """(leaves, how many boxes more, what does not hold)"""
        with precision():
            try:
                self.begin()
                self.tiled()
            except Fails as failure:
                return self.leaves, self.cut, str(failure)
        return self.leaves, self.cut, ""

    def tiled(self) -> None:
        """Fails unless the leaves tile the cell, and each is what it says."""
        boxes, used, where = [self.cell], 0, f"in the piece {self.cell}"
        for box, code in zip(boxes, self.codes, strict=False):  # which grows as boxes are cut
            lo, hi = box
            if code.isdigit():
                need(lo[int(code)] < self.cuts[used] < hi[int(code)], f"{where} a box is cut outside itself")
                boxes += _halves(box, int(code), self.cuts[used])
                used += 1
            else:
                self.leaves += 1
                need(self._leaf(code, lo, hi), f"{where} the box {lo} to {hi} is not what its leaf {code!r} says")
        need(len(boxes) == len(self.codes) and used == len(self.cuts), f"{where} boxes are left out")

    def _leaf(self, code: str, lo: tuple[float, ...], hi: tuple[float, ...]) -> bool:
        if code == "x":
            return self._empty((lo, hi), DEPTH)
        if code == "o":
            return any(hi[i] < lo[i + 1] for i in range(self.first, len(lo) - 1))
        if code == "m":
            return self.mirrors and Fraction(lo[self.first]) + Fraction(lo[-1]) > 1
        low, high = self.points[LETTERS.index(code)]
        return all(map(float.__le__, low, lo)) and all(map(float.__le__, hi, high))

    def _empty(self, box: Box, depth: int) -> bool:
        empty, axis = self.look(box)
        if empty or not depth:
            return empty
        self.cut += 2
        halves = _halves(box, axis, (box[0][axis] + box[1][axis]) / 2)
        return all(self._empty(half, depth - 1) for half in halves)


class Certificate:
    """A certificate that is checked; `run` raises Fails where something does not hold."""

    problem: Problem
    ranks: Counter[int]

    def __init__(self, data: dict[str, Any]):
        self.data = data
        self.leaves = self.cut = 0

    @property
    def statement(self) -> str:
        found = {rank: number for rank, number in sorted(self.ranks.items()) if number}
        listed = ", ".join(f"{number} of rank {rank}" for rank, number in found.items())
        exchanged = {1: " and permutations of the classes", self.problem.num_classes: ""}
        classes = exchanged.get(len(set(self.problem.class_counts)), " and permutations of classes of equal counts")
        whole, points = f"up to O({self.problem.dim}){classes} the problem has exactly", sum(found.values())
        return f"{whole} {points} critical point{'s' * (points != 1)}: {listed}"

    def run(self, jobs: int, on_piece: Callable[[int, int], None]) -> None:
        """Check it all; jobs and on_piece are those of `check`."""
        raise NotImplementedError

    def numbers(self) -> None:
        """Fails unless the numbers of points of each rank are those that are stated."""
        stated = {int(rank): int(number) for rank, number in self.data["ranks"].items()}
        need(+Counter(stated) == +self.ranks, "the numbers of points of each rank are others")

    def go_through(self, trees: list[Any], jobs: int, on_piece: Callable[[int, int], None]) -> None:
        """Fails unless all trees hold."""
        leaves = sum(not code.isdigit() for tree in trees for code in tree.codes)
        with spread(trees, max(1, min(jobs, len(trees)))) as results:
            for _, (seen, cut, fails) in results:
                self.leaves, self.cut = self.leaves + seen, self.cut + cut
                need(not fails, fails)
                on_piece(self.leaves, leaves)


def _halves(box: Box, axis: int, cut: float) -> tuple[Box, Box]:
    (lo, hi), after = box, axis + 1
    return (lo, (*hi[:axis], cut, *hi[after:])), ((*lo[:axis], cut, *lo[after:]), hi)
