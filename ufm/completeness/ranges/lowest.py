"""Whether a listed point is a global minimiser, shown in balls for `ufm check` (docs/theory, section 16.1)."""

import numpy as np
from flint import arb, arb_mat

from ..local import inverse
from ..lowest import definite
from ..trees import Box
from .local import Local
from .unknowns import Unknowns

NARROW = 1e-6  # half the sides of the box in which a point is evaluated


def at_point(c: Unknowns, box: Box) -> bool | None:
    """Of the one critical point in a box of u; None where it is not decided."""
    u = np.array([a + (b - a) / 2 for a, b in zip(*box, strict=True)])
    for _ in range(50):
        place, J, flat = c.solved(u)
        u = u - (inverse(J) @ c.values(place[None], flat)[0])[: c.m]
    low, high = u - NARROW, u + NARROW
    if not (np.isfinite(u).all() and (low >= box[0]).all() and (high <= box[1]).all()):
        return None
    small = Local(c, (tuple(low.tolist()), tuple(high.tolist())))
    if not (small.known and small.alone()):
        return None
    line = [arb(1), *(x + arb(0, 2 * NARROW) for x in u.tolist()), arb(0)]
    column = arb_mat([[x - sum(line, arb(0)) / c.K] for x in line])
    P = column * column.transpose() * (1 / (column.transpose() * column)[0, 0])
    if c.r > 1:
        P = arb_mat([[(i == j) - arb(1) / c.K for j in range(c.K)] for i in range(c.K)]) - P
    return definite(c.kappa, c.shares, small.there.wrong(), P)
