"""ufm check: verify a certificate over ranges, in ball arithmetic and by code of its own.

Only the trees of boxes are the prover's. Checked here: for each rank the pieces tile the region, the leaves of each
tree tile its piece, each leaf is empty (or in the box of a listed point, out of order, or mirrored), each listed box
holds exactly one critical point, no two of these can be one, and what theorems say of the other ranks. A leaf that
these enclosures do not decide is cut further. The mathematics: docs/theory, sections 16.4 and 16.6.
"""

import itertools
from collections import Counter
from fractions import Fraction
from typing import Any

from flint import arb

from ...problem import Problem
from ..refused import need
from .local import Box, Local, Unknowns

DEPTH = 14  # how many times a leaf may be cut here
LETTERS = "abcdefghijklnpqrstuvwyz"  # leaves inside the boxes of the points 0, 1, ...


class RangeChecker:
    """One certificate; `run` raises Fails where something does not hold."""

    def __init__(self, data: dict[str, Any]):
        self.data, self.problem = data, Problem.of_plain(data["problem"])
        self.searches = [RankChecker(self.problem, part) for part in data["searches"]]

    @property
    def leaves(self) -> int:
        return sum(search.leaves for search in self.searches)

    @property
    def cut(self) -> int:
        return sum(search.cut for search in self.searches)

    @property
    def statement(self) -> str:
        listed = ", ".join(f"{number} of rank {rank}" for rank, number in sorted(self.ranks.items()) if number)
        whole = f"up to O({self.problem.dim}) and permutations of the classes the problem has exactly"
        return f"{whole} {sum(self.ranks.values())} critical points: {listed}"

    def run(self) -> None:
        problem, K, d = self.problem, self.problem.num_classes, self.problem.dim
        plain = problem.loss.to_plain() == "cross-entropy" and problem.is_balanced and not problem.bias
        need(plain, "the certificate is about cross-entropy with balanced classes and without a bias alone")
        need(K >= 3 and (K <= 4 or d == 1), "the certificate is about 3 or 4 classes, or d = 1, alone")
        scale = K * problem.num_samples * arb(problem.lambda_w) * problem.lambda_h
        below = scale < 1
        need(below or scale > 1, "the decay is at the collapse threshold")
        wanted = list(range(1, min(d, K - 2) + 1)) if below else []
        need([search.r for search in self.searches] == wanted, "other ranks are searched than there are to search")
        found = {search.r: len(search.points) for search in self.searches}
        self.ranks = {0: 1, K - 1: int(bool(below) and d >= K - 1)} | found
        stated = {int(rank): int(number) for rank, number in self.data["ranks"].items()}
        need(+Counter(stated) == +Counter(self.ranks), "the numbers of points of each rank are others")
        for search in self.searches:
            search.run()


class RankChecker:
    """The points of one rank, 1 or K - 2: the trees of its boxes."""

    def __init__(self, problem: Problem, data: dict[str, Any]):
        kappa = problem.num_samples * arb(problem.lambda_w) * problem.lambda_h
        self.data, self.r, self.m = data, int(data["rank"]), problem.num_classes - 2
        self.unknowns = Unknowns(problem.num_classes, self.r, kappa)
        self.points = [(tuple(map(float, p["lo"])), tuple(map(float, p["hi"]))) for p in data["points"]]
        self.leaves = self.cut = 0

    def run(self) -> None:
        edges = [[float(e) for e in side] for side in self.data["edges"]]
        rising = all(a < b for side in edges for a, b in itertools.pairwise(side))
        need(len(edges) == self.m and rising, "edges are out of order")
        need(all(side[0] <= 0 and side[-1] >= 1 for side in edges), "the region is too small: points have other u")
        cells = list(itertools.product(*(itertools.pairwise(side) for side in edges)))
        need(len(cells) == len(self.data["pieces"]), "there are not as many pieces as the edges make")
        for i, point in enumerate(self.points):
            alone = Local(self.unknowns, point).alone()
            need(alone, f"the box of point {i} of rank {self.r} is not shown to hold exactly one critical point")
        for (i, a), (j, b) in itertools.combinations(enumerate(self.points), 2):
            need(not _may_be_one(a, b), f"points {i} and {j} of rank {self.r} may be one and the same")
        for i, (cell, piece) in enumerate(zip(cells, self.data["pieces"], strict=True)):
            need(piece is not None, f"piece {i} is left out")
            lo, hi = zip(*cell, strict=True)
            self.tree(f"in piece {i} of rank {self.r}", (lo, hi), piece["codes"], [float(x) for x in piece["cuts"]])

    def tree(self, where: str, cell: Box, codes: str, cuts: list[float]) -> None:
        """Fails unless the leaves of a tree tile the cell, and each is what it says."""
        boxes, used = [cell], 0
        for i, code in enumerate(codes):
            need(i < len(boxes), f"{where} there are leaves too many")
            lo, hi = boxes[i]
            if code.isdigit():
                need(lo[int(code)] < cuts[used] < hi[int(code)], f"{where} a box is cut outside itself")
                boxes += _halves(boxes[i], int(code), cuts[used])
                used += 1
            else:
                self.leaves += 1
                need(self._leaf(code, lo, hi), f"{where} the box {lo} to {hi} is not what its leaf {code!r} says")
        need(len(boxes) == len(codes) and used == len(cuts), f"{where} boxes are left out")

    def _leaf(self, code: str, lo: tuple[float, ...], hi: tuple[float, ...]) -> bool:
        if code == "x":
            return self._empty((lo, hi), DEPTH)
        if code == "o":
            return any(hi[i] < lo[i + 1] for i in range(self.m - 1))
        if code == "m":
            return Fraction(lo[0]) + Fraction(lo[-1]) > 1
        low, high = self.points[LETTERS.index(code)]
        return all(map(float.__le__, low, lo)) and all(map(float.__le__, hi, high))

    def _empty(self, box: Box, depth: int) -> bool:
        """Whether no critical point is there."""
        local = Local(self.unknowns, box)
        if local.misses():
            return True
        self.cut += 2 * (depth > 0)
        axis = local.widest
        halves = _halves(box, axis, (box[0][axis] + box[1][axis]) / 2)
        return depth > 0 and all(self._empty(half, depth - 1) for half in halves)


def _may_be_one(a: Box, b: Box) -> bool:
    """Whether points of two boxes may have one u, sorted or mirrored and sorted."""
    one, same = ([sorted(map(Fraction, end)) for end in box] for box in (a, b))
    mirrored = [[1 - x for x in reversed(end)] for end in reversed(same)]
    return any(all(x <= w and z <= y for x, y, z, w in zip(*one, *u, strict=True)) for u in (same, mirrored))


def _halves(box: Box, axis: int, cut: float) -> tuple[Box, Box]:
    (lo, hi), after = box, axis + 1
    return (lo, (*hi[:axis], cut, *hi[after:])), ((*lo[:axis], cut, *lo[after:]), hi)
