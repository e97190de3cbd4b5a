"""ufm check: verify a certificate over ranges, in ball arithmetic and by code of its own.

Only the trees of boxes are the prover's. Checked here: each rank and each order of the classes has its search, whose
pieces tile the region; the trees of boxes are what they say (`..trees`), each listed box holds exactly one critical
point, no two of these can be one, and what theorems say of ranks 0 and K - 1. The mathematics: docs/theory, sections
16.1, 16.4 and 16.6.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...problem import Problem
from ..local import Equations
from ..lowest import at_origin
from ..trees import Box, Certificate, Tree, listed_boxes, need, smoothing_of
from .local import Local
from .lowest import at_point
from .unknowns import Unknowns


class RangeChecker(Certificate):
    """Points of ranks 1 and K - 2, searched for among the ranges of W."""

    def run(self, jobs: int, on_piece: Callable[[int, int], None]) -> None:
        problem = self.problem = Problem.of_plain(self.data["problem"])
        K, d, counts = problem.num_classes, problem.dim, problem.class_counts
        smoothing = smoothing_of(problem)
        need(K >= 3 and (K <= 4 or d == 1), "the certificate is about 3 or 4 classes, or d = 1, alone")
        origin = at_origin(Equations(problem, list(counts), smoothing))
        need(origin is not None, "whether the origin is a global minimiser is not decided")
        searches = [Search(problem, smoothing, part) for part in self.data["searches"]]
        orders = {max(order, order[::-1]) for order in itertools.permutations(counts)}
        wanted = set() if origin else set(itertools.product(range(1, min(d, K - 2) + 1), orders))
        given = [(search.c.r, tuple(search.counts)) for search in searches]
        need(len(given) == len(wanted) and set(given) == wanted, "the searches are not those of the ranks and orders")
        self.ranks = Counter({0: 1})
        for search in searches:
            search.isolated()
            self.ranks[search.c.r] += len(search.points)
        listed = [(search, box) for search in searches for box in search.points]
        for a, b in itertools.combinations(listed, 2):
            other = a[0].c.r != b[0].c.r
            need(other or not _may_be_one(a, b), f"the points in {a[1]} and {b[1]} may be one and the same")
        if d >= K - 1 and not origin:
            lower = [at_point(search.c, box) for search, box in listed]
            need(None not in lower, "which points of lower rank are global minimisers is not decided")
            self.ranks[K - 1] += not any(lower)
        self.numbers()
        self.go_through([tree for search in searches for tree in search.trees()], jobs, on_piece)


class Search:
    """The points of one rank, 1 or K - 2, in one order of the classes: the boxes that are listed, and the pieces."""

    def __init__(self, problem: Problem, smoothing: float, part: dict[str, Any]):
        self.part, self.counts = part, [int(n) for n in part["counts"]]
        self.settings = problem, self.counts, smoothing, int(part["rank"])
        self.c, self.points = Unknowns(*self.settings), listed_boxes(part)

    def isolated(self) -> None:
        for box in self.points:
            need(len(box[0]) == len(box[1]) == self.c.m, f"the box {box} of a point is none")
            local = Local(self.c, box)
            need(local.known and local.alone(), f"the box {box} is not shown to hold exactly one critical point")

    def trees(self) -> list["RangeTree"]:
        """The pieces, whose union has a point of every orbit."""
        edges, pieces = [[float(e) for e in side] for side in self.part["edges"]], self.part["pieces"]
        rising = all(a < b for side in edges for a, b in itertools.pairwise(side))
        need(len(edges) == self.c.m and rising, "edges are out of order")
        need(all(side[0] <= 0 and side[-1] >= 1 for side in edges), "the region is too small: points have other u")
        cells: list[Any] = [
            tuple(zip(*cell, strict=True)) for cell in itertools.product(*map(itertools.pairwise, edges))
        ]
        need(len(cells) == len(pieces), "there are not as many pieces as the edges make")
        need(None not in pieces, "a piece is left out")
        mirrors = self.counts == self.counts[::-1]
        return [
            RangeTree(0, mirrors, self.points, cell, str(p["codes"]), list(map(float, p["cuts"])), *self.settings)
            for cell, p in zip(cells, pieces, strict=True)
        ]


@dataclass(eq=False)
class RangeTree(Tree):
    """A piece of the region of one rank and one order of the classes."""

    problem: Problem
    counts: list[int]
    smoothing: float
    rank: int

    def begin(self) -> None:
        self.c = Unknowns(self.problem, self.counts, self.smoothing, self.rank)

    def look(self, box: Box) -> tuple[bool, int]:
        local = Local(self.c, box)
        return local.known and local.misses(), int(local.by_side.argmax())


def _may_be_one(one: tuple[Search, Box], other: tuple[Search, Box]) -> bool:
    """Whether points of two boxes may be of one orbit: have one u, shifted and scaled to [0, 1], or one mirrored."""
    (a, _), same = _shapes(*one), _shapes(*other)
    return any(all(x <= w and z <= y for (x, y), (z, w) in zip(a, b, strict=True)) for b in same)


def _shapes(search: Search, box: Box) -> list[list[tuple[Fraction, Fraction]]]:
    """Enclosures of (u_j - min u)/(max u - min u), sorted among the classes of each count, and of those of -u."""
    lo, hi = ([Fraction(1), *map(Fraction, end), Fraction(0)] for end in box)
    least, most = max(lo) - min(hi), max(hi) - min(lo)  # max u - min u, which is 1 at least
    found = []
    for low, high in ((lo, hi), ([-x for x in hi], [-x for x in lo])):
        below = sorted((n, max(x - min(high), Fraction(0)) / most) for n, x in zip(search.counts, low, strict=True))
        above = sorted((n, (x - min(low)) / least) for n, x in zip(search.counts, high, strict=True))
        found.append([(a, b) for (_, a), (_, b) in zip(below, above, strict=True)])
    return found
