"""ufm check: verify a certificate of `ufm.prove_complete`, in ball arithmetic and by code of its own.

Only the trees of boxes are the prover's. Checked here: each order of the classes has its region; the pieces tile a
region that is large enough, the leaves of each tree tile its piece, each leaf is empty (or in the box of a listed
point, out of order, or mirrored), each listed box holds exactly one critical point, no two of these can be one, and
what theorems say of ranks 0 and K - 1. A leaf that these enclosures do not decide is cut further. The mathematics:
docs/theory, section 16.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from flint import arb, ctx

from ..errors import InputError, Setting, require
from ..problem import Problem
from ..results import Result, Shown
from ..results.plain import UNFIT
from ..spread import spread
from ..storage.files import read_json
from .local import Box, Equations, Local
from .lowest import at_origin, at_point

BITS = 64
DEPTH = 14  # how many times a leaf may be cut here
LETTERS = "abcdefghijklnpqrstuvwyz"  # leaves inside the boxes of the points 0, 1, ...
FORMAT = "ufm completeness 2"


@dataclass(frozen=True, eq=False)
class Checked(Shown, Result):
    """holds, the theorem (or what fails), how many leaves were looked at and into how many more boxes they were cut."""

    holds: bool
    statement: str
    boxes: int
    cut: int
    seconds: float
    precision: str = f"balls of {BITS} bits"


class Fails(Exception):
    """What does not hold."""


def check(file: Path | str, jobs: int = 1, *, on_piece: Callable[[int, int], None] | None = None) -> Checked:
    """Verify the certificate in a file; InputError where it is none.

    jobs      how many pieces are gone through side by side
    on_piece  called with (leaves checked, leaves) as pieces are done
    """
    require(jobs >= 1, (Setting("jobs"), f" must be >= 1, got {jobs}"))
    data = read_json(file)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{file} is no certificate of completeness; name the proof.json of an atlas")
    start, checker = time.monotonic(), Checker(data)
    try:
        with _precision():
            checker.run(jobs, on_piece or (lambda done, leaves: None))
        holds, statement = True, checker.statement
    except Fails as failure:
        holds, statement = False, f"does not hold: {failure}"
    except UNFIT as error:
        holds, statement = False, f"does not hold: the certificate is damaged ({error!r:.200})"
    return Checked(holds, statement, checker.leaves, checker.cut, round(time.monotonic() - start, 1))


@contextmanager
def _precision() -> Iterator[None]:
    before, ctx.prec = ctx.prec, BITS
    try:
        yield
    finally:
        ctx.prec = before


def need(condition: Any, what: str) -> None:
    if not bool(condition):
        raise Fails(what)


class Checker:
    """One certificate; `run` raises Fails where something does not hold."""

    def __init__(self, data: dict[str, Any]):
        self.data = data
        self.leaves = self.cut = 0

    @property
    def statement(self) -> str:
        found = {rank: number for rank, number in sorted(self.ranks.items()) if number}
        listed = ", ".join(f"{number} of rank {rank}" for rank, number in found.items())
        exchanged = {1: " and permutations of the classes", self.K: ""}
        classes = exchanged.get(len(set(self.problem.class_counts)), " and permutations of classes of equal counts")
        whole = f"up to O({self.problem.dim}){classes} the problem has exactly"
        points = sum(found.values())
        return f"{whole} {points} critical point{'s' * (points != 1)}: {listed}"

    def run(self, jobs: int, on_piece: Callable[[int, int], None]) -> None:
        self.problem = Problem.of_plain(self.data["problem"])
        K = self.K = self.problem.num_classes
        loss = self.problem.loss.to_plain()
        smoothed = isinstance(loss, dict) and loss["name"] == "label-smoothing"
        self.smoothing = float(loss["smoothing"]) if smoothed else 0.0
        scope = (smoothed or loss == "cross-entropy") and (K <= 3 or self.problem.dim == 1)
        need(scope, "the certificate is about cross-entropy or label smoothing, and K <= 3 or d = 1, alone")
        counts = self.problem.class_counts
        asked = {max(order, order[::-1]) for order in itertools.permutations(counts)} if K > 2 else set()
        orders = [Order(self, part) for part in self.data["orders"]]
        given = [tuple(order.counts) for order in orders]
        need(len(given) == len(asked) and set(given) == asked, "the regions are not those of the orders of the classes")
        self.ranks = Counter({0: 1, 1: sum(len(order.boxes) for order in orders)})
        for order in orders:
            order.isolated()
        for a, b in itertools.combinations([(order, box) for order in orders for box in order.boxes], 2):
            need(not _may_be_one(a, b), f"the points in {a[1]} and {b[1]} may be one and the same")
        self.ranks[K - 1] += self._of_top_rank(orders)
        stated = {int(rank): int(number) for rank, number in self.data["ranks"].items()}
        need(+Counter(stated) == +self.ranks, "the numbers of points of each rank are others")
        self._trees([tree for order in orders for tree in order.trees()], jobs, on_piece)

    def _of_top_rank(self, orders: list["Order"]) -> int:
        """How many points of rank K - 1 there are: none where a point of lower rank is global, one where none is."""
        lower = [at_origin(Equations(self.problem, list(self.problem.class_counts), self.smoothing))]
        lower += [at_point(order.c, box) for order in orders for box in order.boxes if self.problem.dim >= self.K - 1]
        need(None not in lower, "which points of lower rank are global minimisers is not decided")
        return int(self.problem.dim >= self.K - 1 and not any(lower))

    def _trees(self, trees: list["Tree"], jobs: int, on_piece: Callable[[int, int], None]) -> None:
        leaves = sum(not code.isdigit() for tree in trees for code in tree.codes)
        with spread(trees, max(1, min(jobs, len(trees)))) as results:
            for _, (seen, cut, fails) in results:
                self.leaves, self.cut = self.leaves + seen, self.cut + cut
                need(not fails, fails)
                on_piece(self.leaves, leaves)


class Order:
    """One order of the classes: its region, the boxes of the points in it, and its pieces."""

    def __init__(self, checker: Checker, part: dict[str, Any]):
        self.checker, self.part, self.counts = checker, part, [int(n) for n in part["counts"]]
        self.c = Equations(checker.problem, self.counts, checker.smoothing)
        self.boxes = [(tuple(map(float, p["lo"])), tuple(map(float, p["hi"]))) for p in part["points"]]

    @property
    def mirrors(self) -> bool:
        return self.counts == self.counts[::-1]

    def isolated(self) -> None:
        for box in self.boxes:
            need(len(box[0]) == len(box[1]) == self.c.m and box[0][0] > 0, f"the box {box} of a point is none")
            local = Local(self.c, box)
            need(local.known and local.alone(), f"the box {box} is not shown to hold exactly one critical point")

    def trees(self) -> list["Tree"]:
        """The pieces, whose union is shown to have a point of every orbit."""
        edges, c = [[float(e) for e in side] for side in self.part["edges"]], self.c
        need(len(edges) == c.m and all(a < b for e in edges for a, b in itertools.pairwise(e)), "edges out of order")
        M = c.kappa * arb(edges[0][-1]) / 2  # kappa t |u|^2 <= M of all points, and |u|^2 >= 1/2
        need(edges[0][0] == 0 and M * (M + 1).exp() >= c.K - 1, "the region is too small: points have larger t")
        half = 0.5 if c.K == 3 and self.mirrors else 1.0
        need(all(e[0] <= 0 and e[-1] >= half for e in edges[1:]), "the region is too small: points have other u")
        cells: list[Any] = [
            tuple(zip(*cell, strict=True)) for cell in itertools.product(*map(itertools.pairwise, edges))
        ]
        pieces = self.part["pieces"]
        need(len(cells) == len(pieces), "there are not as many pieces as the edges make")
        need(None not in pieces, "a piece is left out")
        settings = self.checker.problem, self.counts, self.checker.smoothing, self.boxes
        return [
            Tree(*settings, cell, str(piece["codes"]), [float(cut) for cut in piece["cuts"]])
            for cell, piece in zip(cells, pieces, strict=True)
        ]


@dataclass(eq=False)
class Tree:
    """A piece to go through."""

    problem: Problem
    counts: list[int]
    smoothing: float
    points: list[Box]
    cell: Box
    codes: str
    cuts: list[float]
    leaves: int = 0
    cut: int = 0

    def run(self) -> tuple[int, int, str]:
        """(leaves, how many boxes more, what does not hold)"""
        with _precision():
            self.c = Equations(self.problem, self.counts, self.smoothing)
            try:
                self._tiled()
            except Fails as failure:
                return self.leaves, self.cut, str(failure)
        return self.leaves, self.cut, ""

    def _tiled(self) -> None:
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
            return any(hi[i] < lo[i + 1] for i in range(1, len(lo) - 1))
        if code == "m":
            return self.counts == self.counts[::-1] and Fraction(lo[1]) + Fraction(lo[-1]) > 1
        low, high = self.points[LETTERS.index(code)]
        return all(map(float.__le__, low, lo)) and all(map(float.__le__, hi, high))

    def _empty(self, box: Box, depth: int) -> bool:
        """Whether no critical point is there."""
        local = Local(self.c, box)
        if local.known and local.misses():
            return True
        axis = int(local.by_side.argmax())
        self.cut += 2 * (depth > 0)
        halves = _halves(box, axis, (box[0][axis] + box[1][axis]) / 2)
        return depth > 0 and all(self._empty(half, depth - 1) for half in halves)


def _may_be_one(one: tuple[Order, Box], other: tuple[Order, Box]) -> bool:
    """Whether points of two boxes may be of one orbit: v -> -v exchanges the two signatures."""
    (a, _), same = _signatures(*one), _signatures(*other)
    return any(all(x[0] <= y[1] and y[0] <= x[1] for x, y in zip(a, b, strict=True)) for b in same)


def _signatures(order: Order, box: Box) -> list[list[tuple[Fraction, Fraction]]]:
    """Enclosures of t (u_j - min u)^2 and t (max u - u_j)^2, sorted among the classes of each count."""
    (t, *lo), (T, *hi) = (list(map(Fraction, end)) for end in box)
    lo, hi, zero = [Fraction(1), *lo, Fraction(0)], [Fraction(1), *hi, Fraction(0)], Fraction(0)
    ways = [
        [(x - min(hi), y - min(lo)) for x, y in zip(lo, hi, strict=True)],
        [(max(lo) - y, max(hi) - x) for x, y in zip(lo, hi, strict=True)],
    ]
    found = []
    for gaps in ways:
        low = sorted((n, t * max(a, zero) ** 2) for n, (a, _) in zip(order.counts, gaps, strict=True))
        high = sorted((n, T * b**2) for n, (_, b) in zip(order.counts, gaps, strict=True))
        found.append([(a, b) for (_, a), (_, b) in zip(low, high, strict=True)])
    return found


def _halves(box: Box, axis: int, cut: float) -> tuple[Box, Box]:
    (lo, hi), after = box, axis + 1
    return (lo, (*hi[:axis], cut, *hi[after:])), ((*lo[:axis], cut, *lo[after:]), hi)
