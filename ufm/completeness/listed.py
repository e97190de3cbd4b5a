"""The listed points of rank 1: where they are in the regions, a box with one each, and which may be of one orbit."""

import itertools
from dataclasses import dataclass

import numpy as np

from ..atlas import CriticalPoint
from ..problem import Problem
from .intervals import Interval
from .region import Region
from .search import single

WIDEST = 0.1  # the half side, relative to t and of u, of the first box tried around a point
NARROW = 1e-6  # no two points nearer than that are told apart


@dataclass(frozen=True, eq=False)
class Place:
    """(t, u_2 ..) and the inner unknowns of a point, about, in the region of its order of the classes."""

    order: int
    region: Region
    p: np.ndarray
    y: np.ndarray

    def box(self, widest: float) -> tuple[np.ndarray, np.ndarray] | None:
        """[lo, hi] (outer,) with just this critical point in it, proved; None if none was found."""
        return single(self.region, self.p, self.y, widest)


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


def isolated(places: list[Place]) -> list[tuple[np.ndarray, np.ndarray]] | str:
    """A box about each place with just one critical point in it, no two of one orbit; else why there are none."""
    widths = [WIDEST] * len(places)
    while True:
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for place, width in zip(places, widths, strict=True):
            box = place.box(width)
            if box is None:
                where = f"t = {place.p[0]:.6g}, u = {place.p[1:].tolist()}"
                return f"the atlas's point at {where} is not proved isolated: it is degenerate, or nearly"
            found.append(box)
        seen = [signatures(place.region.system.counts, *box) for place, box in zip(places, found, strict=True)]
        same = [(i, j) for i, j in itertools.combinations(range(len(found)), 2) if meet(seen[i], seen[j])]
        if not same:
            return found
        if min(widths) < NARROW:
            return f"two of the atlas's points, {same[0][0]} and {same[0][1]} of rank 1, are not proved to differ"
        for i in {i for pair in same for i in pair}:
            widths[i] /= 2


def signatures(counts: tuple[int, ...], lo: np.ndarray, hi: np.ndarray) -> tuple[Interval, Interval]:
    """t (u_j - min u)^2, sorted among the classes of each count, and t (max u - u_j)^2: an orbit has the same two.

    In one order or the other: v -> -v exchanges them.
    """
    t, u = Interval(lo[0], hi[0]), Interval(np.array([1.0, *lo[1:], 0.0]), np.array([1.0, *hi[1:], 0.0]))
    below = u - Interval(u.lo.min(), u.hi.min())
    above = Interval(u.lo.max(), u.hi.max()) - u
    return _sorted(counts, t * below.square()), _sorted(counts, t * above.square())


def _sorted(counts: tuple[int, ...], x: Interval) -> Interval:
    """The k-th largest of numbers is between the k-th largest of their lower and of their upper ends."""
    order = (np.lexsort((end, np.array(counts))) for end in (x.lo, x.hi))
    return Interval(*(end[i] for end, i in zip((x.lo, x.hi), order, strict=True)))


def meet(one: tuple[Interval, Interval], other: tuple[Interval, Interval]) -> bool:
    """Whether points of these signatures may be of one orbit."""
    return any(bool(((one[0].lo <= x.hi) & (x.lo <= one[0].hi)).all()) for x in other)
