"""ufm check: verify a certificate over ranges, in ball arithmetic and by code of its own.

Only the trees of boxes are the prover's. Checked here: for each rank the pieces tile the region, the trees of boxes are
what they say (`..trees`), each listed box holds exactly one critical point, no two of these can be one, and what
theorems say of the other ranks. The mathematics: docs/theory, sections 16.4 and 16.6.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb

from ...problem import Problem
from ..trees import Box, Certificate, Tree, listed_boxes, need
from .local import Local, Unknowns


class RangeChecker(Certificate):
    """Points of ranks 1 and K - 2, searched for among the ranges of W."""

    def run(self, jobs: int, on_piece: Callable[[int, int], None]) -> None:
        problem = self.problem = Problem.of_plain(self.data["problem"])
        K, d = problem.num_classes, problem.dim
        plain = problem.loss.to_plain() == "cross-entropy" and problem.is_balanced and not problem.bias
        need(plain, "the certificate is about cross-entropy with balanced classes and without a bias alone")
        need(K >= 3 and (K <= 4 or d == 1), "the certificate is about 3 or 4 classes, or d = 1, alone")
        scale = K * problem.num_samples * arb(problem.lambda_w) * problem.lambda_h
        below = scale < 1
        need(below or scale > 1, "the decay is at the collapse threshold")
        searches = [Rank(problem, part) for part in self.data["searches"]]
        wanted = list(range(1, min(d, K - 2) + 1)) if below else []
        need([search.r for search in searches] == wanted, "other ranks are searched than there are to search")
        self.ranks = Counter({0: 1, K - 1: int(bool(below) and d >= K - 1)})
        self.ranks.update({search.r: len(search.points) for search in searches})
        self.numbers()
        self.go_through([tree for search in searches for tree in search.trees()], jobs, on_piece)


class Rank:
    """The points of one rank, 1 or K - 2: the boxes that are listed, and the pieces."""

    def __init__(self, problem: Problem, part: dict[str, Any]):
        self.problem, self.part, self.r, self.m = problem, part, int(part["rank"]), problem.num_classes - 2
        self.points = listed_boxes(part)

    def trees(self) -> list["RangeTree"]:
        """The pieces, whose union has a point of every orbit; Fails where not, or where listed boxes are not good."""
        edges = [[float(e) for e in side] for side in self.part["edges"]]
        rising = all(a < b for side in edges for a, b in itertools.pairwise(side))
        need(len(edges) == self.m and rising, "edges are out of order")
        need(all(side[0] <= 0 and side[-1] >= 1 for side in edges), "the region is too small: points have other u")
        cells: list[Any] = [
            tuple(zip(*cell, strict=True)) for cell in itertools.product(*map(itertools.pairwise, edges))
        ]
        pieces = self.part["pieces"]
        need(len(cells) == len(pieces), "there are not as many pieces as the edges make")
        need(None not in pieces, "a piece is left out")
        self._alone()
        return [
            RangeTree(0, True, self.points, cell, str(p["codes"]), list(map(float, p["cuts"])), self.problem, self.r)
            for cell, p in zip(cells, pieces, strict=True)
        ]

    def _alone(self) -> None:
        c = unknowns(self.problem, self.r)
        for i, box in enumerate(self.points):
            need(len(box[0]) == len(box[1]) == self.m, f"the box of point {i} of rank {self.r} is none")
            alone = Local(c, box).alone()
            need(alone, f"the box of point {i} of rank {self.r} is not shown to hold exactly one critical point")
        for (i, a), (j, b) in itertools.combinations(enumerate(self.points), 2):
            need(not _may_be_one(a, b), f"points {i} and {j} of rank {self.r} may be one and the same")


@dataclass(eq=False)
class RangeTree(Tree):
    """A piece of the region of one rank."""

    problem: Problem
    rank: int

    def begin(self) -> None:
        self.c = unknowns(self.problem, self.rank)

    def look(self, box: Box) -> tuple[bool, int]:
        local = Local(self.c, box)
        return local.misses(), local.widest


def unknowns(problem: Problem, rank: int) -> Unknowns:
    kappa = problem.num_samples * arb(problem.lambda_w) * problem.lambda_h
    return Unknowns(problem.num_classes, rank, kappa)


def _may_be_one(a: Box, b: Box) -> bool:
    """Whether points of two boxes may be of one orbit: have one u, shifted and scaled to [0, 1], sorted or mirrored."""
    one, same = _shape(a), _shape(b)
    mirrored = [(1 - high, 1 - low) for low, high in reversed(same)]
    return any(all(x <= w and z <= y for (x, y), (z, w) in zip(one, u, strict=True)) for u in (same, mirrored))


def _shape(box: Box) -> list[tuple[Fraction, Fraction]]:
    """Enclosures of (u_j - min u)/(max u - min u), sorted: all permutations, shifts and scales of u have the same."""
    lo, hi = ([Fraction(1), *map(Fraction, end), Fraction(0)] for end in box)
    least, most = max(lo) - min(hi), max(hi) - min(lo)  # max u - min u, which is 1 at least
    low = sorted(max(x - min(hi), Fraction(0)) / most for x in lo)
    high = sorted((y - min(lo)) / least for y in hi)
    return list(zip(low, high, strict=True))
