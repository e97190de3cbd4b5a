"""Where the end of a search leads when more bits are read: to a critical point that is proved, with its index.

In a flat valley rounding hides the gradient, and float64 cannot tell where in it a critical point is. In 256 bits the
gradient is seen: Newton's method goes on from the end, and Krawczyk's test encloses the critical point that it comes to
(docs/theory, section 13.5). It is one wherever it lies: how far the way was does not matter to the proof.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..problem import Problem
from ..results import Result
from .proof import is_available

if TYPE_CHECKING:
    from .enclosure import Reduced

MOST = 64  # unknowns: a step takes milliseconds at 15 of them, a few hundredths of a second here


@dataclass(frozen=True, eq=False)
class Followed(Result):
    """A critical point of rank r that is proved to exist, and nondegenerate: no eigenvalue but the orbit's is 0.

    x        (size,) float64, the doubles next to it: W (K, r), H~ (T, r) and b, flattened
    index    proved: of the Hessian in (W, H~, b), with features of r dimensions
    further  proved: how many negative eigenvalues each further dimension adds
    least    the least eigenvalue, approximately        lowest  (size,) a unit vector of it
    way      how far it is from the end, relative to |x| (in coordinates whose decays are nearly equal)
    """

    x: torch.Tensor
    index: int
    further: int
    least: float
    lowest: torch.Tensor
    way: float


def follow(problem: Problem, rank: int, x: torch.Tensor) -> Followed | None:
    """Where the end x (size,) of a search among the points of rank r leads; None where that is not decided.

    Nothing is tried where the loss is not convex or not one of `ufm.losses`, with more than 64 unknowns, or where
    python-flint is not installed. It is not decided where Newton's method settles nowhere within its steps, or at a
    point that is degenerate or of lower rank.
    """
    reduced = _reduced(problem, rank)
    if reduced is None:
        return None
    from .settle import settled

    found = settled(reduced, x)
    return None if found is None else Followed(*found)


def is_empty(problem: Problem, rank: int, x: torch.Tensor) -> bool:
    """Whether it is proved that no critical point of rank r lies within 2^-30 |x| of the place x (size,).

    A place of float64 with such room about it is the rounding of no critical point. In a flat valley one may lie
    farther, where rounding hides it. False decides nothing; it is tried where `follow` is.
    """
    reduced = _reduced(problem, rank)
    if reduced is None:
        return False
    from .settle import excludes

    return excludes(reduced, x)


def _reduced(problem: Problem, rank: int) -> "Reduced | None":
    """The reduced problem in balls; None where nothing is tried."""
    if not is_available():
        return None
    from .enclosure import Reduced
    from .losses import is_enclosed

    reduced = Reduced.of(problem, rank)
    few = reduced.size + reduced.num_symmetries <= MOST
    return reduced if few and problem.loss.convex and is_enclosed(problem.loss) else None
