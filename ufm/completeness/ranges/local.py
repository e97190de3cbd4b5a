"""What `ufm check` shows of one box of u, in balls and by code of its own (docs/theory, sections 16.4 and 16.6)."""

import numpy as np
from flint import arb

from .. import local
from ..local import column, inverse
from ..trees import Box
from .equations import Equations, Frame
from .unknowns import Unknowns, gaps


class Local(local.Local):
    """A box. known: an inner solution for each u in it is within `bound`, and is the only one of its form."""

    c: Unknowns  # type: ignore[assignment]

    def __init__(self, unknowns: Unknowns, box: Box):
        c, self.c, m, n, end = unknowns, unknowns, unknowns.m, unknowns.n, unknowns.m + unknowns.logits
        u0 = self._sides(box)
        place, J, self.flat = c.solved(np.array(u0))
        V = np.eye(m + n)
        V[m:, :m] = -inverse(J[:n, m:]) @ J[:n, :m]
        V[m:end, end:] = -inverse(J[: end - m, m:end]) @ J[: end - m, end:]
        self.near, self.frame, self.place = J @ V, Frame(c, V), [arb(x) for x in place.tolist()]
        self.C = inverse(self.near[:n, m:])
        S, half = np.abs(V[m:, :m]), [float(h) for h in self.half]
        moved = S[: c.logits].max(0) + S[c.linear :].max(0, initial=0.0) + np.abs(place[m:end]).max()
        self.by_side = moved * half
        self.z = self._differences()
        middle = Equations(c, self.place[:m], self.place[m:], self.z, self.flat)
        self.at, self.first = middle.value(), middle.turn(self.frame)
        self._find_room(S @ half, 1e-12 * (1 + np.abs(place[m:])))
        self.known = self.known and self.there.only()

    def _differences(self) -> list[list[arb]]:
        """z_kj - z_ki in the middle."""
        c, y = self.c, self.place[self.c.m :]
        inside, zeta = gaps(c.frames(self.place[: c.m], arb(1))[0]), y[: c.logits]
        beta = gaps([[x] for x in [*y[c.linear :], arb(0)]] if c.biased else [[arb(0)]] * c.K)
        return [(inside * column(zeta[k * c.r : k * c.r + c.r]) + beta).entries() for k in range(c.K)]

    def _enclose(self) -> None:
        """The equations and the derivatives by x and e on the box |x| <= half, |e| <= room."""
        c, m, z = self.c, self.c.m, []
        reach = column([arb(0, r) for r in [*self.half, *self.room]])
        moved = (self.frame.all * reach).entries()
        wide = [x + y for x, y in zip(self.place, moved, strict=True)]
        for k, first in enumerate(self.first):
            at = m + k * c.r
            turned = [x * column(moved[at : at + c.r]) * by for x, by in zip(c.turned_gaps[0], moved, strict=False)]
            z.append([x + y for x, y in zip(self.z[k], (sum(turned, first * reach)).entries(), strict=True)])
        self.there = Equations(c, wide[:m], wide[m:], z, self.flat)
        self.slopes = self.there.slopes(self.frame)

    def misses(self) -> bool:
        """Whether no critical point is in the box: a is nowhere positive, or a row shows that none of it is a zero."""
        return self.there.negative() or super().misses()

    def alone(self) -> bool:
        """Whether exactly one zero is in the box, and a is positive."""
        return super().alone() and self.there.positive()
