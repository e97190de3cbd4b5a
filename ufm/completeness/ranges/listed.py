"""The atlas's points of ranks 1 and K - 2: where they are in the regions, and which may be of one orbit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...atlas import CriticalPoint
from ...problem import Problem
from ..boxes import Boxes
from ..intervals import Interval
from ..listed import NARROW, Sides, Signatures, in_order, within
from .enclosed import Enclosed
from .region import Region
from .search import single
from .system import System


@dataclass(frozen=True, eq=False)
class Place:
    """u and the inner unknowns of a point, about, in the region of its rank and of its order of the classes."""

    order: int
    region: Region
    u: np.ndarray
    y: np.ndarray

    @property
    def rank(self) -> int:
        return self.region.system.rank

    @property
    def said(self) -> str:
        return f"rank {self.rank}, u = {np.round(self.u, 6).tolist()}"

    def box(self, widest: float) -> Sides | None:
        return single(self.region.system, self.u, self.y, widest)

    def seen(self, box: Sides) -> Signatures:
        return signatures(self.region.system.counts, *box)

    def is_global(self) -> bool | None:
        return within(self.box(NARROW), lambda lo, hi: Enclosed(self.region.system, Boxes(lo, hi, self.y[:, None])))


def place(problem: Problem, point: CriticalPoint, regions: Sequence[Region]) -> Place:
    """The place of a point in the first region that has its rank and its order."""
    line, counts = _line(point), np.array(problem.class_counts)
    asked = [(region.system.rank, region.system.counts) for region in regions]
    falling, ways = np.argsort(-line, kind="stable"), []
    for sign, order in ((1, falling), (-1, falling[::-1])):
        u = sign * line[order]
        u = (u - u[-1]) / (u[0] - u[-1])
        if (which := (point.rank, tuple(counts[order].tolist()))) in asked:
            ways.append((u[1] + u[-2], asked.index(which), u[1:-1], order))
    _, i, u, order = min(ways, key=lambda way: way[0])
    return Place(i, regions[i], u, inner(problem, point, regions[i].system, u, order))


def _line(point: CriticalPoint) -> np.ndarray:
    """(K,) The direction that spans the range of W (rank 1) or what is orthogonal to it and to 1 (rank K - 2)."""
    W = point.point.W.numpy()
    directions = np.linalg.svd(W - W.mean(0), full_matrices=True)[0]
    if point.rank == 1:
        return directions[:, 0]
    rest = directions[:, point.rank :]
    return rest @ np.linalg.svd(rest.sum(0)[None])[2][-1]  # sums to 0


def inner(problem: Problem, point: CriticalPoint, system: System, u: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(inner,) zeta, a and beta of a point whose classes in this order have u."""
    W, H = (x.numpy()[order] for x in (point.point.W, point.point.H))
    inside = system.frames(u[:, None])[0][..., 0]
    inside = inside - inside.mean(0)
    back = np.linalg.solve(inside.T @ inside, inside.T)
    a = back @ W @ W.T @ back.T / (problem.num_samples * problem.lambda_h)
    b = point.point.b.numpy()[order] if problem.bias else np.zeros(0)
    return np.concatenate([(H @ W.T @ back.T).ravel(), [a[i, j] for i, j in system.triangle], b[:-1] - b[-1:]])


def signatures(counts: tuple[int, ...], lo: np.ndarray, hi: np.ndarray) -> Signatures:
    """(u - min u)/(max u - min u), sorted among the classes of each count, and (max u - u)/(max u - min u).

    Points of one orbit have the same two, in one order or the other: -u is as good as u.
    """
    u = Interval(np.array([1.0, *lo, 0.0]), np.array([1.0, *hi, 0.0]))
    least, most = Interval(u.lo.min(), u.hi.min()), Interval(u.lo.max(), u.hi.max())
    scale = (most - least).reciprocal()
    return in_order(counts, (u - least) * scale), in_order(counts, (most - u) * scale)
