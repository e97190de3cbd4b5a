"""How many critical points of rank 0 and K - 1 there are, up to symmetry (docs/theory, section 16.1).

Rank 0: one. Rank K - 1, for d >= K - 1: one where no point of lower rank is a global minimiser, else none. A point of
rank r, with P the projection to the range of W, is global if kappa (I + P) - M is positive definite, M = sum_k s_k q_k
q_k^T, and a strict saddle if that has a negative eigenvalue.
"""

import numpy as np

from .boxes import Enclosed, above
from .intervals import Interval, down, up
from .system import System, quotient


def at_origin(system: System) -> bool | None:
    """Whether the origin is a global minimiser; None where neither that nor the contrary is proved."""
    q = _wrong_at_origin(system)
    return _is_global(system, q, [[Interval(0.0, 0.0)] * system.K] * system.K)


def at_point(found: Enclosed) -> bool | None:
    """The same of the one critical point in a box."""
    if not found.isolated()[0]:
        return None
    system, boxes, y = found.system, found.boxes, found.around(np.arange(1))[2]
    wrong = found.jet(Interval(boxes.lo, boxes.hi), y).wrong
    return _is_global(system, wrong, _projection(system, Interval(boxes.lo[2 - system.K :], boxes.hi[2 - system.K :])))


def _projection(system: System, u: Interval) -> list[list[Interval]]:
    """(K, K), to the range of W: u without its mean spans it or, where the rank is not 1, its complement."""
    K, mean = system.K, quotient(1, system.K)
    line = [Interval(1.0, 1.0), *(u[j] for j in range(K - 2)), Interval(0.0, 0.0)]
    middle = mean * _sum(line)
    line = [x - middle for x in line]
    size = _sum([x.square() for x in line]).reciprocal()
    P = [[size * (x * z) for z in line] for x in line]
    if system.rank == 1:
        return P
    return [[float(i == j) - mean - P[i][j] for j in range(K)] for i in range(K)]


def _wrong_at_origin(system: System) -> Interval:
    """q_kj = r_kj - p_j (K, K, 1) at W = 0 and the best b."""
    K, (_, mean, shares, smoothed) = system.K, system.constants
    targets = Interval(np.eye(K), np.eye(K))[..., None] - smoothed
    right = _sum([shares[k] * targets[k] for k in range(K)])
    if system.lambda_b is None or len(set(system.counts)) == 1:
        return targets - Interval(mean.lo * np.ones((K, 1)), mean.hi * np.ones((K, 1)))
    if system.lambda_b == 0:
        return targets - right
    return targets - _likely(*_best_bias(system.lambda_b, right))


def _best_bias(decay: float, right: Interval) -> tuple[np.ndarray, float]:
    """(b (K,), how far it is from the zero of lb b + softmax(b) - right where sum b = 0, at most).

    The derivative is at least lb, so the distance is at most that of the value from 0, over lb.
    """
    r, b = right.middle()[0][:, 0], np.zeros(len(right.lo))
    for _ in range(100):
        p = np.exp(b - b.max()) / np.exp(b - b.max()).sum()
        step = np.linalg.solve(np.diag(p + decay) - np.outer(p, p) + 1 / len(p), decay * b + p - r)
        b = b - step * min(1.0, 1.0 / np.abs(step).max(initial=1e-300))
    value = decay * Interval(b, b)[:, None]
    value = value - _sum([value[j] for j in range(len(b))]) * quotient(1, len(b)) + _likely(b, 0.0) - right
    off = _sum([x.square() for x in (value[j] for j in range(len(b)))])
    return b, float(above(np.sqrt(off.hi[0]) / decay))


def _likely(b: np.ndarray, off: float) -> Interval:
    """softmax (K, 1) of numbers within `off` of b."""
    x = Interval(down(b - off), up(b + off))[:, None]
    K = len(b)
    total = [_sum([(x[i] - x[j]).exp() for i in range(K) if i != j]) + 1.0 for j in range(K)]
    p = [t.reciprocal() for t in total]
    return Interval(np.stack([v.lo for v in p]), np.stack([v.hi for v in p]))


def _is_global(system: System, q: Interval, P: list[list[Interval]]) -> bool | None:
    """Whether kappa (I + P) - M is positive definite: by the signs of its pivots."""
    kappa, _, shares, _ = system.constants
    K, ways = system.K, range(system.K)
    M = [[_sum([shares[k] * (q[k, i] * q[k, j]) for k in ways]) for j in ways] for i in ways]
    A = [[kappa * (P[i][j] + float(i == j)) - M[i][j] for j in ways] for i in ways]
    for k in ways:
        if not A[k][k].lo > 0:
            return False if A[k][k].hi < 0 else None
        inverse = A[k][k].reciprocal()
        for i in range(k + 1, K):
            A[i] = [A[i][j] - inverse * (A[i][k] * A[k][j]) for j in ways]
    return True


def _sum(terms: list[Interval]) -> Interval:
    return sum(terms[1:], terms[0])
