"""The listed points of rank 1: where they are in the regions, a box with one each, and which may be of one orbit."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..atlas import CriticalPoint
from ..problem import Problem
from .boxes import Boxes, Enclosed
from .intervals import Interval
from .ranks import at_point
from .region import Region
from .search import single

WIDEST = 0.1  # the half side, relative to t and of u, of the first box tried around a point
NARROW = 1e-6  # no two points nearer than that are told apart
Sides = tuple[np.ndarray, np.ndarray]
Signatures = tuple[Interval, Interval]


class Listed(Protocol):
    """A listed point, about."""

    @property
    def order(self) -> int:
        """The number of its region."""

    @property
    def rank(self) -> int: ...

    @property
    def said(self) -> str:
        """Where it is, in words."""

    def box(self, widest: float) -> Sides | None:
        """[lo, hi] (outer,) with just this critical point in it, proved; None if none was found."""

    def seen(self, box: Sides) -> Signatures:
        """Two arrays that points of one orbit have both, in one order or the other, if the point is in the box."""

    def is_global(self) -> bool | None:
        """Whether it is a global minimiser; None where neither that nor the contrary is proved."""


@dataclass(frozen=True, eq=False)
class Place:
    """(t, u_2 ..) and the inner unknowns of a point, about, in the region of its order of the classes."""

    order: int
    region: Region
    p: np.ndarray
    y: np.ndarray

    rank: int = 1

    @property
    def said(self) -> str:
        return f"rank 1, t = {self.p[0]:.6g}, u = {np.round(self.p[1:], 6).tolist()}"

    def box(self, widest: float) -> Sides | None:
        return single(self.region, self.p, self.y, widest)

    def seen(self, box: Sides) -> Signatures:
        return signatures(self.region.system.counts, *box)

    def is_global(self) -> bool | None:
        return within(self.box(NARROW), lambda lo, hi: Enclosed(self.region.system, Boxes(lo, hi, self.y[:, None])))


def within(box: Sides | None, enclosed: Callable[[np.ndarray, np.ndarray], Enclosed]) -> bool | None:
    """Whether the critical point in a box, if there is one, is a global minimiser, by what is enclosed there."""
    return None if box is None else at_point(enclosed(*(end[:, None] for end in box)))


def place(problem: Problem, point: CriticalPoint, regions: list[Region]) -> Place:
    """The place of a point of rank 1 in the first region that has its order."""
    K, counts = problem.num_classes, np.array(problem.class_counts)
    W, H = point.point.W.numpy(), point.point.H.numpy()
    axis = np.linalg.svd(W)[2][0]
    w, h, b = W @ axis, H @ axis, point.point.b.numpy() if problem.bias else np.zeros(K)
    asked, ways = [region.system.counts for region in regions], []
    falling = np.argsort(-w, kind="stable")
    for sign, order in ((1, falling), (-1, falling[::-1])):
        v, r = sign * w[order], float(w.max() - w.min())
        u, n = (v - v[-1]) / r, tuple(counts[order].tolist())
        if n in asked:
            ways.append((u[1] + u[-2], asked.index(n), u, sign * h[order] * r, b[order] - b[order[-1]], r))
    _, i, u, zeta, beta, r = min(ways, key=lambda way: way[0])
    t = r**2 / (problem.num_samples * problem.lambda_h)
    y = np.concatenate([zeta, beta[:-1]] if problem.bias else [zeta])
    return Place(i, regions[i], np.array([t, *u[1:-1]]), y)


def isolated(places: Sequence[Listed]) -> list[Sides] | str:
    """A box about each place with just one critical point in it, no two of one orbit; else why there are none."""
    widths = [WIDEST] * len(places)
    pairs = [(i, j) for i, j in itertools.combinations(range(len(places)), 2) if places[i].rank == places[j].rank]
    while True:
        found: list[Sides] = []
        for place, width in zip(places, widths, strict=True):
            box = place.box(width)
            if box is None:
                return f"the atlas's point of {place.said} is not proved isolated: it is degenerate, or nearly"
            found.append(box)
        seen = [place.seen(box) for place, box in zip(places, found, strict=True)]
        same = [(i, j) for i, j in pairs if meet(seen[i], seen[j])]
        if not same:
            return found
        if min(widths) < NARROW:
            one, other = (places[i].said for i in same[0])
            return f"two of the atlas's points, of {one} and of {other}, are not proved to differ"
        for i in {i for pair in same for i in pair}:
            widths[i] /= 2


def signatures(counts: tuple[int, ...], lo: np.ndarray, hi: np.ndarray) -> Signatures:
    """t (u_j - min u)^2, sorted among the classes of each count, and t (max u - u_j)^2: an orbit has the same two.

    In one order or the other: v -> -v exchanges them.
    """
    t, u = Interval(lo[0], hi[0]), Interval(np.array([1.0, *lo[1:], 0.0]), np.array([1.0, *hi[1:], 0.0]))
    below = u - Interval(u.lo.min(), u.hi.min())
    above = Interval(u.lo.max(), u.hi.max()) - u
    return in_order(counts, t * below.square()), in_order(counts, t * above.square())


def in_order(counts: tuple[int, ...], x: Interval) -> Interval:
    """The numbers of each count, sorted: the k-th largest is between those of their lower and of their upper ends."""
    order = (np.lexsort((end, np.array(counts))) for end in (x.lo, x.hi))
    return Interval(*(end[i] for end, i in zip((x.lo, x.hi), order, strict=True)))


def meet(one: Signatures, other: Signatures) -> bool:
    """Whether points of these signatures may be of one orbit."""
    return any(bool(((one[0].lo <= x.hi) & (x.lo <= one[0].hi)).all()) for x in other)
