"""ufm check: verify a certificate of `ufm.prove_complete`, in ball arithmetic and by code of its own.

Only the trees of boxes are the prover's. Checked here: each order of the classes has its region; the pieces tile a
region that is large enough, the trees of boxes are what they say (`trees`), each listed box holds exactly one critical
point, no two of these can be one, and what theorems say of ranks 0 and K - 1. The mathematics: docs/theory, section 16.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from flint import arb

from ..errors import InputError, Setting, require
from ..problem import Problem
from ..results import Result, Shown
from ..results.plain import UNFIT
from ..storage.files import read_json
from .local import Equations, Local
from .lowest import at_origin, at_point
from .ranges.check import RangeChecker
from .trees import BITS, Box, Certificate, Fails, Tree, listed_boxes, need, precision, smoothing_of

FORMAT, RANGES = "ufm completeness 2", "ufm completeness over ranges 2"


@dataclass(frozen=True, eq=False)
class Checked(Shown, Result):
    """holds, the theorem (or what fails), how many leaves were looked at and into how many more boxes they were cut."""

    holds: bool
    statement: str
    boxes: int
    cut: int
    seconds: float
    precision: str = f"balls of {BITS} bits"


def check(file: Path | str, jobs: int = 1, *, on_piece: Callable[[int, int], None] | None = None) -> Checked:
    """Verify the certificate in a file; InputError where it is none.

    jobs      how many pieces are gone through side by side
    on_piece  called with (leaves checked, leaves) as pieces are done
    """
    require(jobs >= 1, (Setting("jobs"), f" must be >= 1, got {jobs}"))
    data = read_json(file)
    checkers = {FORMAT: Checker, RANGES: RangeChecker}
    if not isinstance(data, dict) or data.get("format") not in checkers:
        raise InputError(f"{file} is no certificate of completeness; name the proof.json of an atlas")
    start, checker = time.monotonic(), checkers[data["format"]](data)
    try:
        with precision():
            checker.run(jobs, on_piece or (lambda done, leaves: None))
        holds, statement = True, checker.statement
    except Fails as failure:
        holds, statement = False, f"does not hold: {failure}"
    except UNFIT as error:
        holds, statement = False, f"does not hold: the certificate is damaged ({error!r:.200})"
    return Checked(holds, statement, checker.leaves, checker.cut, round(time.monotonic() - start, 1))


class Checker(Certificate):
    """Points of rank 1 searched for in (t, u), an order of the classes at a time."""

    def run(self, jobs: int, on_piece: Callable[[int, int], None]) -> None:
        self.problem = Problem.of_plain(self.data["problem"])
        K = self.problem.num_classes
        self.smoothing = smoothing_of(self.problem)
        need(K <= 3 or self.problem.dim == 1, "the certificate is about K <= 3 or d = 1 alone")
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
        self.numbers()
        self.go_through([tree for order in orders for tree in order.trees()], jobs, on_piece)

    def _of_top_rank(self, orders: list["Order"]) -> int:
        """How many points of rank K - 1 there are: none where a point of lower rank is global, one where none is."""
        problem = self.problem
        there = problem.dim >= problem.num_classes - 1
        lower = [at_origin(Equations(problem, list(problem.class_counts), self.smoothing))]
        lower += [at_point(order.c, box) for order in orders for box in order.boxes if there]
        need(None not in lower, "which points of lower rank are global minimisers is not decided")
        return int(there and not any(lower))


class Order:
    """One order of the classes: its region, the boxes of the points in it, and its pieces."""

    def __init__(self, checker: Checker, part: dict[str, Any]):
        self.checker, self.part, self.counts = checker, part, [int(n) for n in part["counts"]]
        self.c = Equations(checker.problem, self.counts, checker.smoothing)
        self.boxes = listed_boxes(part)

    @property
    def mirrors(self) -> bool:
        return self.counts == self.counts[::-1]

    def isolated(self) -> None:
        for box in self.boxes:
            need(len(box[0]) == len(box[1]) == self.c.m and box[0][0] > 0, f"the box {box} of a point is none")
            local = Local(self.c, box)
            need(local.known and local.alone(), f"the box {box} is not shown to hold exactly one critical point")

    def trees(self) -> list["OrderTree"]:
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
        settings = self.checker.problem, self.counts, self.checker.smoothing
        return [
            OrderTree(1, self.mirrors, self.boxes, cell, str(p["codes"]), list(map(float, p["cuts"])), *settings)
            for cell, p in zip(cells, pieces, strict=True)
        ]


@dataclass(eq=False)
class OrderTree(Tree):
    """A piece of the region of one order of the classes."""

    problem: Problem
    counts: list[int]
    smoothing: float

    def begin(self) -> None:
        self.c = Equations(self.problem, self.counts, self.smoothing)

    def look(self, box: Box) -> tuple[bool, int]:
        local = Local(self.c, box)
        return local.known and local.misses(), int(local.by_side.argmax())


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
