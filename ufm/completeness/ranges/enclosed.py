"""What is proved of boxes of u: as in ..boxes, with `known` saying besides that a is positive.

Source: docs/theory, section 16.6.
"""

import numpy as np

from .. import boxes
from ..boxes import Boxes, above
from ..intervals import Interval, down, up
from .inner import inner_solution
from .system import Jet, System


class Enclosed(boxes.Enclosed):
    """The system on M boxes; `known` says besides that a is positive for all inner solutions."""

    system: System  # type: ignore[assignment]
    jet = Jet
    solve = staticmethod(inner_solution)

    def __init__(self, system: System, some: Boxes):
        super().__init__(system, some)  # type: ignore[arg-type]
        y = self._around(np.arange(len(some)))[1]
        self.known &= positive(Jet(system, Interval(some.lo, some.hi), y).a)

    def _frame(self) -> np.ndarray:
        """(outer + inner, n + m, M): u and y by x and e; where a moves zeta follows as R = 0 has it, nearly."""
        m, n, size = self.system.outer, self.system.logits, self.J.shape[1]
        V = np.tile(np.eye(size), (len(self.boxes), 1, 1))
        V[:, m:, :m] = self.S
        V[:, m : m + n, m + n :] = -np.linalg.solve(self.J[:, :n, m : m + n], self.J[:, :n, m + n :])
        return np.ascontiguousarray(np.moveaxis(V, 0, 2))

    def _around(self, g: np.ndarray) -> tuple[np.ndarray, Interval]:
        """(wide, y): how far y moves from y0 where |x| <= half, |e| <= room, of the boxes g, and where it is."""
        reach = np.concatenate([self.half[:, g], self.room[:, g]])
        wide = above((np.abs(self.frame[self.system.outer :, :, g]) * reach).sum(1))
        return wide, Interval(down(self.y[:, g] - wide), up(self.y[:, g] + wide))

    def _slopes_on(self, g: np.ndarray) -> Interval:
        """G' (M, n + m, n + m) where |x| <= half, |e| <= room, of the boxes g."""
        some, y0, V = self.boxes.part(g), self.y[:, g], self.frame[..., g]
        reach, (wide, y) = np.concatenate([self.half[:, g], self.room[:, g]]), self._around(g)
        u, middle = Interval(some.lo, some.hi), some.middle
        point = Jet(self.system, Interval(middle, middle), Interval(y0, y0))
        dI, *_, Z = point.turned(V)
        turned = (np.abs(dI) * reach).sum(2)  # I_j - I_i moves by so much
        off = wide[: self.system.logits].reshape(self.system.K, 1, self.system.rank, -1)
        first = (np.maximum(np.abs(Z.lo), np.abs(Z.hi)) * reach).sum(2)
        radius = above(first + (off * turned[None]).sum(2))
        z, natural = point.differences, Jet(self.system, u, y).differences
        near = Interval(np.maximum(down(z.lo - radius), natural.lo), np.minimum(up(z.hi + radius), natural.hi))
        J = Jet(self.system, u, y, near).slopes(V)
        return Interval(*(np.ascontiguousarray(np.moveaxis(end, 2, 0)) for end in (J.lo, J.hi)))

    def axis(self) -> np.ndarray:
        """(M,) the side along which the logits change most."""
        n = self.system.logits
        return ((np.abs(self.S[:, :n]).max(1).T + np.abs(self.y[:n]).max(0)) * self.half).argmax(0)


def positive(a: Interval) -> np.ndarray:
    """(M,) bool: whether all symmetric matrices in a (r, r, M) are shown to be positive, by Gauss's pivots."""
    good = np.ones(a.shape[-1], bool)
    while a.shape[0]:
        pivot, row = a[0, 0], a[0, 1:]
        good &= pivot.lo > 0
        inverse = Interval(*(np.where(good, end, 1.0) for end in (pivot.lo, pivot.hi))).reciprocal()
        a = a[1:, 1:] - row[:, None] * row[None] * inverse
    return good
