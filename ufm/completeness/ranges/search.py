"""A piece of a region cut until every box is decided, as in ..search, and the box about a point that is listed."""

from dataclasses import dataclass

import numpy as np

from .. import search
from ..boxes import Boxes
from ..intervals import down, up
from .enclosed import Enclosed
from .inner import first_guess, inner_solution
from .region import Region
from .system import System

NARROWEST = 1e-8


@dataclass(frozen=True, eq=False)
class Task(search.Task):
    """A piece to search."""

    region: Region  # type: ignore[assignment]

    def enclosed(self, boxes: Boxes) -> Enclosed:
        return Enclosed(self.region.system, boxes)

    def start(self) -> np.ndarray:
        return first_guess(self.region.system)


def single(system: System, u: np.ndarray, y: np.ndarray, widest: float) -> tuple[np.ndarray, np.ndarray] | None:
    """[lo, hi] (outer,) about u with just one critical point in it, proved; None if not found.

    y (inner,) is near the inner unknowns at u.

    It is half as wide as could be: the checker's enclosures are wider.
    """
    y, width, before = inner_solution(system, u[:, None], y[:, None]), widest, False
    while width > NARROWEST:
        lo, hi = down(u - width), up(u + width)
        alone = bool(Enclosed(system, Boxes(lo[:, None], hi[:, None], y)).isolated()[0])
        if alone and before:
            return lo, hi
        width, before = width / 2, alone
    return None
