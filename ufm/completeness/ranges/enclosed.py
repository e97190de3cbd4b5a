"""What is proved of boxes of u: as in ..boxes, with `known` saying besides that the inner solution is the only one.

It is where a is positive, or in the flat form where I a I^T > -2. Where a is not positive there is no critical point.
Source: docs/theory, section 16.6.
"""

from typing import Any

import numpy as np

from .. import boxes
from ..boxes import Boxes, above
from ..intervals import Interval, Numbers, down, up
from .inner import flat_where, inner_solution
from .system import Jet, System, product


class Enclosed(boxes.Enclosed):
    """The system on M boxes; flat (M,): whether C and D are written by I^T q_k there."""

    system: System
    flat: np.ndarray

    def __init__(self, system: System, some: Boxes):
        super().__init__(system, some)
        jet = self.jet(Interval(some.lo, some.hi), self.around(np.arange(len(some)))[2])
        self.a, spare = jet.a, product(jet.square, jet.a, jet.square) + 2.0 * jet.square
        self.known &= np.where(self.flat, positive(spare), positive(jet.a))

    def empty(self) -> np.ndarray:
        """(M,) bool: no zero, or a is nowhere positive."""
        return super().empty() | (self.known & self._negative())

    def isolated(self) -> np.ndarray:
        """(M,) bool: exactly one zero, and a is positive there."""
        return super().isolated() & positive(self.a)

    def _negative(self) -> np.ndarray:
        """(M,) bool: whether v^T a v <= 0 for all a that there are, with the v that is best in the middle."""
        v = np.linalg.eigh(np.moveaxis(self.a.middle()[0], 2, 0))[1][:, :, 0].T
        return product(Interval(v, v)[None], self.a, Interval(v, v)[:, None]).hi[0, 0] <= 0

    def solve(self, p0: np.ndarray) -> np.ndarray:
        y = inner_solution(self.system, p0, self.boxes.y)
        self.flat = flat_where(Jet(self.system, p0, y))
        return y

    def jet(self, p: Numbers, y: Numbers, z: Interval | None = None, boxes: Any = slice(None)) -> Jet:
        return Jet(self.system, p, y, z, self.flat[boxes])

    def _frame(self) -> np.ndarray:
        """(outer + inner, n + m, M): u and y by x and e; where a or beta move zeta follows as R = 0 has it, nearly."""
        m, n, size = self.system.outer, self.system.logits, self.J.shape[1]
        V = np.tile(np.eye(size), (len(self.boxes), 1, 1))
        V[:, m:, :m] = self.S
        V[:, m : m + n, m + n :] = -np.linalg.solve(self.J[:, :n, m : m + n], self.J[:, :n, m + n :])
        return np.ascontiguousarray(np.moveaxis(V, 0, 2))

    def _slopes_on(self, g: np.ndarray) -> Interval:
        """G' (M, n + m, n + m) where |x| <= half, |e| <= room, of the boxes g."""
        some, y0, V = self.boxes.part(g), self.y[:, g], self.frame[..., g]
        reach, wide, y = self.around(g)
        u, middle = Interval(some.lo, some.hi), some.middle
        point = self.jet(Interval(middle, middle), Interval(y0, y0), boxes=g)
        dI, *_, Z = point.turned(V)
        turned = (np.abs(dI) * reach).sum(2)  # I_j - I_i moves by so much
        off = wide[: self.system.logits].reshape(self.system.K, 1, self.system.rank, -1)
        first = (np.maximum(np.abs(Z.lo), np.abs(Z.hi)) * reach).sum(2)
        radius = above(first + (off * turned[None]).sum(2))
        z, natural = point.differences, self.jet(u, y, boxes=g).differences
        near = Interval(np.maximum(down(z.lo - radius), natural.lo), np.minimum(up(z.hi + radius), natural.hi))
        J = self.jet(u, y, near, g).slopes(V)
        return Interval(*(np.ascontiguousarray(np.moveaxis(end, 2, 0)) for end in (J.lo, J.hi)))

    def axis(self) -> np.ndarray:
        """(M,) the side along which the logits change most."""
        n, end = self.system.logits, self.system.linear
        moved = np.abs(self.S[:, :n]).max(1) + np.abs(self.S[:, end:]).max(1, initial=0.0)
        return ((moved.T + np.abs(self.y[:n]).max(0)) * self.half).argmax(0)


def positive(a: Interval) -> np.ndarray:
    """(M,) bool: whether all symmetric matrices in a (r, r, M) are shown to be positive, by Gauss's pivots."""
    good = np.ones(a.shape[-1], bool)
    while a.shape[0]:
        pivot, row = a[0, 0], a[0, 1:]
        good &= pivot.lo > 0
        inverse = Interval(*(np.where(good, end, 1.0) for end in (pivot.lo, pivot.hi))).reciprocal()
        a = a[1:, 1:] - row[:, None] * row[None] * inverse
    return good
