"""Focal loss, in balls: not convex, and yet its conjugate is exact.

l(z) = F(v),   v = CE(z),   F(v) = m^g v,   m = 1 - e^-v = 1 - p_y,   odds = e^-v/m

F'         m^g (1 + g v odds)
F''        g m^g odds (2 - v + (g - 1) v odds)
slope      F' u,   u the slope of CE
curvature  F' S + F'' u u^T
conjugate  with U = t F' m, -l*(t slope) = -sum_{k != y} t F' p_k log(p_k/m) - max over w > 0 of phi(w),
           phi(w) = U log(e^w - 1) - F(w)

phi'(w) = (U - Q(w))/(1 - e^-w), Q(w) = F'(w)(1 - e^-w), and Q rises from 0 above 1 and falls to its limit 1
(docs/theory, section 10.4): for U < 1 it is below U, then equal to U at one w, then above, and there phi is largest.
Hence Q(v) < 1 proves l(z) + l*(u) = <u, z>, and for U < 1 the maximum is between any a < b with Q(a) < U < Q(b).
"""

import math
from functools import cached_property
from typing import Any

from flint import arb, arb_mat, ctx

from .row import Row, total, without
from .soft_cross_entropy import CrossEntropyRow

ROOM = arb(2) ** -30  # how far below 1 the largest share keeps U


class FocalRow(Row):
    @cached_property
    def inner(self) -> CrossEntropyRow:
        return CrossEntropyRow(self.loss, self.z, self.t)

    @cached_property
    def outer(self) -> "Outer":
        """F at v, with 1 - p_y as the sum of the others."""
        return Outer(self.g, self.inner.value, self.inner.misses[self.t], self.inner.p[self.t])

    @property
    def g(self) -> arb:
        return arb(float(self.loss.focusing))

    @cached_property
    def value(self) -> arb:
        return self.outer.value

    @cached_property
    def slope(self) -> list[arb]:
        return [self.outer.first * u for u in self.inner.slope]

    @cached_property
    def curvature(self) -> arb_mat:
        u = arb_mat([[entry] for entry in self.inner.slope])
        return self.inner.curvature * self.outer.first + u * u.transpose() * self.outer.second

    def negative_conjugate(self, share: arb) -> arb:
        others = list(zip(without(self.slope, self.t), self._shares, strict=True))
        spread = total([share * u * part.log() for u, part in others])
        return -spread - self._best(share)

    @cached_property
    def _shares(self) -> list[arb]:
        """p_k/m, k != y, from differences of logits."""
        others = without(self.z, self.t)
        return [1 / (1 + total([(j - k).exp() for j in without(others, i)])) for i, k in enumerate(others)]

    def _best(self, share: arb) -> arb:
        """max over w > 0 of phi; at v where the share is 1."""
        U = share * self.outer.Q
        where = self.inner.value if share == 1 else _crossing(self.g, U)
        return U * where.expm1().log() - Outer.at(self.g, where).value

    @property
    def touches_envelope(self) -> bool:
        return self.loss.convex or bool(self.outer.Q < 1)

    @property
    def most(self) -> arb:
        bound = (1 - ROOM) / self.outer.Q.upper()
        return bound.lower() if bound < 1 else arb(1)

    @staticmethod
    def shift(loss: Any, num_classes: int) -> list[arb]:
        return CrossEntropyRow.shift(loss, num_classes)


class Outer:
    """F(v) = m^g v and its derivatives, from v > 0, m = 1 - e^-v and e^-v."""

    def __init__(self, g: arb, v: arb, miss: arb, fit: arb):
        power, odds = miss**g, fit / miss
        self.value = power * v
        self.first = power * (1 + g * v * odds)
        self.second = g * power * odds * (2 - v + (g - 1) * v * odds)
        self.Q = self.first * miss

    @classmethod
    def at(cls, g: arb, v: arb) -> "Outer":
        return cls(g, v, -(-v).expm1(), (-v).exp())


def _crossing(g: arb, U: arb) -> arb:
    """A ball with the one w where Q(w) = U, for U < 1; NaN where it is not found.

    Bisection of log w at exact points; the ends are the last ones at which Q is proved below, and above, U.
    """
    low, high = arb(-690), arb(math.log(700.0))
    for _ in range(ctx.prec + 20):
        middle = ((low + high) / 2).mid()
        Q = Outer.at(g, middle.exp()).Q
        if Q < U:
            low = middle
        elif Q > U:
            high = middle
        else:
            break
    below, above = Outer.at(g, low.exp()).Q, Outer.at(g, high.exp()).Q
    return low.union(high).exp() if below < U < above else arb("nan")
