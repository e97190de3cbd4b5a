"""Whether a point of rank 0 or 1 is a global minimiser, shown in balls for `ufm check` (docs/theory, section 16.1).

With q_k = r_k - p_k, M = sum_k s_k q_k q_k^T and the projection P to the range of W it is one if kappa (I + P) - M is
positive definite, and none if that has a negative eigenvalue and W is not of rank d.
"""

import numpy as np
from flint import arb, arb_mat

from .local import Box, Equations, Local, inverse, total

NARROW = 1e-6  # half the sides, of t and of u, of the box in which a point is evaluated


def at_origin(c: Equations) -> bool | None:
    """Of W = 0 and the best b; None where it is not decided."""
    ways, flat = range(c.K), arb(1) / c.K
    targets = [[(k == j) - c.a * ((k == j) - flat) for j in ways] for k in ways]
    right = [total(share * row[j] for share, row in zip(c.shares, targets, strict=True)) for j in ways]
    if not c.biased or len(set(c.counts)) == 1:
        right = [flat] * c.K
    elif c.lb > 0:
        right = _with_decay(c, right)
    q = [[row[j] - right[j] for j in ways] for row in targets]
    return definite(c.kappa, c.shares, q, arb_mat(c.K, c.K))


def at_point(c: Equations, box: Box) -> bool | None:
    """Of the one critical point of rank 1 in a box; None where it is not decided."""
    local = _narrowed(c, box)
    if local is None:
        return None
    _, u, _, _ = c.parts(local.wide)
    column = arb_mat([[x - total(u) / c.K] for x in u])
    square = (column.transpose() * column)[0, 0]
    return definite(c.kappa, c.shares, c.seen(u, local.around)[1], column * column.transpose() * (1 / square))


def _narrowed(c: Equations, box: Box) -> Local | None:
    """The one zero in a box, in a box so small that what is evaluated there is known well; None if it is not found."""
    place = np.array([a + (b - a) / 2 for a, b in zip(*box, strict=True)])
    place = np.concatenate([place, Local(c, box).newton(place.tolist())[0]])
    for _ in range(50):
        F, J = c.approximate(place)
        place = place - inverse(J) @ F
    half = NARROW * np.array([place[0], *[1.0] * (c.m - 1)])
    low, high = place[: c.m] - half, place[: c.m] + half
    if not (np.isfinite(place).all() and (low >= box[0]).all() and (high <= box[1]).all()):
        return None
    small = Local(c, (tuple(low.tolist()), tuple(high.tolist())))
    return small if small.known and small.alone() else None


def _with_decay(c: Equations, right: list[arb]) -> list[arb]:
    """softmax(b) where lb b + softmax(b) = right, sum b = 0: that map is steeper than lb, which bounds the distance."""
    r, lb, b = np.array([float(x) for x in right]), float(c.lb), np.zeros(c.K)
    for _ in range(100):
        p = np.exp(b - b.max()) / np.exp(b - b.max()).sum()
        step = np.linalg.solve(np.diag(p + lb) - np.outer(p, p) + 1 / c.K, lb * b + p - r)
        b = b - step * min(1.0, 1.0 / (np.abs(step).max() or 1.0))
    near = [arb(x) for x in b.tolist()]
    near = [x - total(near) / c.K for x in near]
    off = [c.lb * x + y - z for x, y, z in zip(near, _softmax(near), right, strict=True)]
    far = (total(map(abs, off)) / c.lb).abs_upper()
    return _softmax([x + arb(0, far) for x in near])


def _softmax(b: list[arb]) -> list[arb]:
    return [1 / total((x - y).exp() for x in b) for y in b]


def definite(kappa: arb, shares: list[arb], q: list[list[arb]], P: arb_mat) -> bool | None:
    """Whether kappa (I + P) - M is positive definite, by the signs of its pivots."""
    ways, rows, K = range(len(q)), arb_mat(q), len(q)
    M = rows.transpose() * arb_mat([[shares[i] if i == j else 0 for j in ways] for i in ways]) * rows
    A = [[kappa * ((i == j) + P[i, j]) - M[i, j] for j in ways] for i in ways]
    for k in ways:
        if not A[k][k] > 0:
            return False if A[k][k] < 0 else None
        for i in range(k + 1, K):
            A[i] = [A[i][j] - A[i][k] * A[k][j] / A[k][k] for j in ways]
    return True
