"""What is proved of boxes of (t, u): where the inner unknowns lie, that no zero is there, or just one.

On a box P about p0, y0 near the inner solution at p0, S near its derivative: p = p0 + x, y = y0 + S x + T e (`frame`).
G(x, e) is the system (R, B, E) in these coordinates, G' its derivative, enclosed on |x| <= half, |e| <= room
(docs/theory, section 16.4):
  known    the inner solution of every p in P has |e| <= room: |C G_in(0)| + |[0 I] - C G_in'| (half, room) < room
  empty    no zero: |row G(0)| > |row G'| (half, reach), for some row over (R, B, E)
  isolated exactly one zero: known, and |C G(0)| + |I - C G'| (half, room) < (half, room), C for all of G
Vectors are compared entry by entry; C and the row are any numbers: what rounding did to them does not matter.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .inner import inner_solution
from .intervals import Interval, Numbers, down, up
from .linear import spread, times
from .system import Jet, System

PASSES = 4  # rooms that are tried
ROOM = 1.3  # each this much larger than the room before was mapped to
LOOSE = 1.0  # logits that vary by so much beyond first order are not worth a larger room
SLACK = 1 + 2.0**-44  # above what some hundred roundings of sums of positive numbers take


@dataclass(frozen=True, eq=False)
class Boxes:
    """M boxes [lo, hi] (outer, M) of p = (t, u_2 .. u_{K-1}); y (inner, M): where the inner unknowns may be near."""

    lo: np.ndarray
    hi: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return self.lo.shape[1]

    def part(self, chosen: np.ndarray) -> "Boxes":
        return Boxes(self.lo[:, chosen], self.hi[:, chosen], self.y[:, chosen])

    @property
    def middle(self) -> np.ndarray:
        return self.lo + (self.hi - self.lo) / 2


class Enclosed:
    """The system on M boxes: `known` (M,) bool, and for those the enclosures that the other verdicts rest on."""

    def __init__(self, system: System, boxes: Boxes):
        self.system, self.boxes = system, boxes
        m, n, p0 = system.outer, system.inner, boxes.middle
        self.y = self.solve(p0)
        self.half = up(np.maximum(up(boxes.hi - p0), up(p0 - boxes.lo)))
        point = self.jet(p0, self.y)
        self.J, self.E = _first(point.jacobian), point.value[n:].T
        self.S = -np.linalg.solve(self.J[:, :n, m:], self.J[:, :n, :m])
        self.frame = self._frame()
        self.C = np.linalg.inv((self.J @ np.moveaxis(self.frame, 2, 0))[:, :n, m:])
        self.at = self.jet(Interval(p0, p0), Interval(self.y, self.y)).value
        first = np.einsum("mij,jm->im", np.abs(self.S), self.half)
        self.room = 0.1 * first + 1e-13 * (1 + np.abs(self.y))
        self.reach, self.known = self.room.copy(), np.zeros(len(boxes), bool)
        self.slopes = Interval(np.zeros_like(self.J), np.zeros_like(self.J))
        self._find_room(LOOSE + 4 * first)

    def solve(self, p0: np.ndarray) -> np.ndarray:
        """y (inner, M) in the middle, about."""
        return inner_solution(self.system, p0, self.boxes.y)

    def jet(self, p: Numbers, y: Numbers, z: Interval | None = None, boxes: Any = slice(None)) -> Any:
        """The equations, of these boxes."""
        return Jet(self.system, p, y, z)

    def _frame(self) -> np.ndarray:
        """(outer + inner, n + m, M): p and y by x and e; where beta moves zeta follows as R = 0 has it, nearly."""
        m, K, size = self.system.outer, self.system.K, self.J.shape[1]
        V = np.tile(np.eye(size), (len(self.boxes), 1, 1))
        V[:, m:, :m] = self.S
        own = np.einsum("mkk->mk", self.J[:, :K, m : m + K])
        V[:, m : m + K, m + K :] = -self.J[:, :K, m + K :] / own[..., None]
        return np.ascontiguousarray(np.moveaxis(V, 0, 2))

    def _find_room(self, most: np.ndarray) -> None:
        m, n, going = self.system.outer, self.system.inner, np.arange(len(self.boxes))
        for _ in range(PASSES):
            slopes, room = self._slopes_on(going), self.room[:, going]
            self.slopes.lo[going], self.slopes.hi[going] = slopes.lo, slopes.hi
            bound = mapped(self.C[going], self.at[:n, going], slopes[:, :n], self.half[:, going], room, m)
            good = (bound < room).all(0)
            self.known[going] = good
            self.reach[:, going] = np.minimum(bound, room)
            trying = ~good & (bound < most[:, going]).all(0)
            self.room[:, going[trying]] = ROOM * bound[:, trying]
            going = going[trying]
            if not len(going):
                return

    def around(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, Interval]:
        """(reach, wide, y) of the boxes g: where |(x, e)| <= reach, y is no farther than wide from y0, and in y."""
        reach = np.concatenate([self.half[:, g], self.room[:, g]])
        wide = above((np.abs(self.frame[self.system.outer :, :, g]) * reach).sum(1))
        return reach, wide, Interval(down(self.y[:, g] - wide), up(self.y[:, g] + wide))

    def _slopes_on(self, g: np.ndarray) -> Interval:
        """G' (M, n + m, n + m) where |x| <= half, |e| <= room, of the boxes g."""
        system, boxes, y0, V = self.system, self.boxes.part(g), self.y[:, g], self.frame[..., g]
        K, (reach, wide, y), p = system.K, self.around(g), Interval(boxes.lo, boxes.hi)
        there, point = self.jet(p, y), self.jet(Interval(boxes.middle, boxes.middle), Interval(y0, y0))
        _, du, _, _, D = point.turned(V)
        turned = (np.abs(du[:, None] - du[None]) * reach).sum(2)  # |u_j - u_l| moves by so much
        first = (np.maximum(np.abs(D.lo), np.abs(D.hi)) * reach).sum(3)
        radius = above(first + wide[:K, None, None] * turned)
        z, natural = point.differences, there.differences
        near = Interval(np.maximum(down(z.lo - radius), natural.lo), np.minimum(up(z.hi + radius), natural.hi))
        J = self.jet(p, y, near).slopes(V)
        return Interval(_first(J.lo), _first(J.hi))

    def empty(self) -> np.ndarray:
        """(M,) bool"""
        rows = self._rows()
        value, change = times(rows, _column(self.at)), times(rows, self.slopes)
        sides = spread(*change, np.concatenate([self.half, self.reach]).T)
        return self.known & (down(np.abs(value[0]) - value[1])[..., 0] > sides).any(1)

    def _rows(self) -> np.ndarray:
        """(M, 2, n + m): rows that do not feel e to first order.

        The first is, to first order, the component of Newton's step that leaves the box most; the second is along E.
        """
        m, n = self.system.outer, self.system.inner
        slopes = self.J @ np.moveaxis(self.frame, 2, 0)
        felt = slopes[:, n:, m:] @ self.C
        D = slopes[:, n:, :m] - felt @ slopes[:, :n, :m]
        inverse = np.linalg.pinv(np.where(np.isfinite(D), D, 0.0), rcond=1e-14)
        steps = np.abs(np.einsum("mij,mj->mi", inverse, self.E)) / self.half.T
        newton = inverse[np.arange(len(D)), steps.argmax(1)]
        chosen = np.stack([v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-300) for v in (newton, self.E)], 1)
        return np.concatenate([-chosen @ felt, chosen], 2)

    def isolated(self) -> np.ndarray:
        """(M,) bool"""
        p0 = self.boxes.middle
        inside = np.minimum(down(self.boxes.hi - p0), down(p0 - self.boxes.lo))
        C = np.linalg.inv(self.J @ np.moveaxis(self.frame, 2, 0))
        bound = mapped(C, self.at, self.slopes, self.half, self.room, 0)
        return self.known & (bound < np.concatenate([inside, self.room])).all(0)

    def axis(self) -> np.ndarray:
        """(M,) the side along which the logits change most."""
        moved = np.abs(self.S).max(1).T * self.half
        moved[1:] += np.abs(self.y[: self.system.K]).max(0) * self.half[1:]
        return moved.argmax(0)


def mapped(C: np.ndarray, at: Interval, slopes: Interval, half: np.ndarray, room: np.ndarray, first: int) -> np.ndarray:
    """(n, M): no less than |C G(0)| + |[0 I] - C G'| (half, room), the identity from column `first` on."""
    middle, radius = times(C, slopes)
    identity = np.eye(middle.shape[2])[first : first + C.shape[1]]
    off, extra = times(C, _column(at))
    left = identity - middle
    moved = spread(left, up(radius + np.abs(left) * 2.0**-52), np.concatenate([half, room]).T)
    return up(up(np.abs(off) + extra)[..., 0] + moved).T


def above(x: np.ndarray) -> np.ndarray:
    """No less than the exact sum of products >= 0 that x approximates."""
    return up(x * SLACK) + 1e-290


def _first(matrix: np.ndarray) -> np.ndarray:
    """(a, b, M) as (M, a, b), in one block."""
    return np.ascontiguousarray(np.moveaxis(matrix, 2, 0))


def _column(values: Interval) -> Interval:
    """(n, M) as (M, n, 1)"""
    return Interval(values.lo.T[..., None], values.hi.T[..., None])
