"""The atlas's points of one rank as points u of the region, and boxes about them that are proved to hold one each."""

import itertools

import numpy as np

from ...atlas import CriticalPoint
from ..intervals import Interval
from ..work import NotProved
from .search import WIDEST, single
from .system import System

Sides = tuple[np.ndarray, np.ndarray]


def coordinates(point: CriticalPoint, rank: int) -> np.ndarray:
    """u_2 .. u_{K-1} of the range of W (rank 1), or of what is orthogonal to it and to 1 (rank K - 2), about."""
    W = point.point.W.numpy()
    directions = np.linalg.svd(W - W.mean(0), full_matrices=True)[0]
    if rank == 1:
        line = directions[:, 0]
    else:
        rest = directions[:, rank:]
        line = rest @ np.linalg.svd(rest.sum(0)[None])[2][-1]  # sums to 0
    u = np.sort(line)[::-1]
    u = (u - u[-1]) / (u[0] - u[-1])
    return (u if u[1] + u[-2] <= 1 else 1 - u[::-1])[1:-1]


def boxes(system: System, listed: list[np.ndarray]) -> list[Sides]:
    """A box about each u (outer,) with one critical point in it, no two of which can be of one orbit."""
    widths = [WIDEST] * len(listed)
    while True:
        found = [_single(system, u, width) for u, width in zip(listed, widths, strict=True)]
        same = [pair for pair in itertools.combinations(range(len(found)), 2) if meet(*(found[i] for i in pair))]
        if not same:
            return found
        if min(widths) < 1e-6:
            i, j = same[0]
            raise NotProved(f"two of the atlas's points, {i} and {j} of rank {system.rank}, are not proved to differ")
        for i in set(itertools.chain(*same)):
            widths[i] /= 2


def _single(system: System, u: np.ndarray, widest: float) -> Sides:
    box = single(system, u, widest)
    if box is None:
        where = f"rank {system.rank}, u = {np.round(u, 6).tolist()}"
        raise NotProved(f"the atlas's point of {where} is not proved isolated: it is degenerate, or nearly")
    return box


def meet(one: Sides, other: Sides) -> bool:
    """Whether points of two boxes may have one u, sorted or mirrored and sorted."""
    (lo, hi), (low, high) = one, other
    mirrored = Interval(1.0, 1.0) - Interval(low, high)
    ways = [(np.sort(low), np.sort(high)), (np.sort(mirrored.lo), np.sort(mirrored.hi))]
    return any(bool((np.sort(lo) <= b).all() and (a <= np.sort(hi)).all()) for a, b in ways)
