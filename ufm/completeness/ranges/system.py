"""The critical points whose range is a line, or a hyperplane, as zeros of a small system (docs/theory, section 16.6).

W W^T/(N lH) = I a I^T has rank r, its range is spanned by the columns of I, and O spans the rest of what is orthogonal
to 1. Both are made of u: 1 = u_1 >= u_2 >= ... >= u_K = 0, up to a shift, is I at rank 1 and O at rank K - 2; the other
one has the columns u_j e_1 - e_j + (1 - u_j) e_K, 1 < j < K. On the inside are zeta_k, the logits of class k being
I zeta_k, and a. With p_k = softmax(I zeta_k), q_k = e_k - p_k and kappa = N lW lH

    R_k = zeta_k - a I^T q_k
    C   = (1/K) sum_k zeta_k zeta_k^T - kappa a I^T (1 - 11^T/K) I a      upper triangle
    D   = (1/K) sum_k zeta_k (O^T q_k)^T

vanish just at critical points. R = C = 0 has one solution with a positive at most for each u, as the problem with
logits in a given range is convex.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..intervals import Interval, Numbers, down, each, up


@dataclass(frozen=True)
class System:
    """The system of a problem and a rank, 1 or K - 2: K classes of n samples each, no bias."""

    K: int
    n: int
    rank: int
    lambda_w: float
    lambda_h: float

    @property
    def outer(self) -> int:
        """How many u_2 .. u_{K-1} are."""
        return self.K - 2

    @property
    def logits(self) -> int:
        """How many the zeta are, the first of the inner unknowns; then comes the upper triangle of a."""
        return self.K * self.rank

    @property
    def inner(self) -> int:
        return self.logits + len(self.triangle)

    @cached_property
    def triangle(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.rank) for j in range(i, self.rank)]

    @cached_property
    def kappa(self) -> Interval:
        """N lW lH"""
        N = float(self.K * self.n)
        return Interval(N, N) * self.lambda_w * self.lambda_h

    def constants(self, exact: bool) -> tuple[Any, Any]:
        """(kappa, 1/K): intervals, or (exact is False) doubles near them."""
        share = np.float64(1 / self.K)
        return (self.kappa, Interval(down(share), up(share))) if exact else (float(self.kappa.middle()[0]), share)


class Jet:
    """The equations and their derivatives at many points (arrays) or on many boxes (Intervals).

    u (outer, M), y (inner, M): the unknowns. z: narrower enclosures of `differences`, if there are any. What is said of
    pairs of classes j < i is in the order of `pairs`.
    """

    def __init__(self, system: System, u: Numbers, y: Numbers, z: Interval | None = None):
        self.system, self.z, n = system, z, system.logits
        self.pairs = list(itertools.combinations(range(system.K), 2))
        self.exact = isinstance(u, Interval) or isinstance(y, Interval)
        self.kappa, self.share = system.constants(self.exact)
        shape = (system.K, system.rank, -1)
        self.zeta = each(lambda x: x[:n].reshape(shape), y)
        self.a = each(lambda x: _symmetric(system, x[n:]), y)
        self.I, self.O = (self._gaps(x) for x in _frames(system, u))

    def _gaps(self, x: Any) -> Any:
        """x_j - x_i, of the pairs."""
        first, second = ([pair[end] for pair in self.pairs] for end in (0, 1))
        return x[first] - x[second]

    @cached_property
    def differences(self) -> Any:
        """z_kj - z_ki (K, pairs, M)"""
        return _sum([self.zeta[:, None, r] * self.I[None, :, r] for r in range(self.system.rank)])

    @cached_property
    def p(self) -> list[Any]:
        """p_kj (K, M) for each j: 1/(1 + sum of exp(z_ki - z_kj)), each end at the ends of the differences."""
        z = self.differences if self.z is None else self.z
        rise, fall = (x.exp() if isinstance(x, Interval) else np.exp(x) for x in (z, -z))
        over: list[list[Any]] = [[] for _ in range(self.system.K)]
        for at, (j, i) in enumerate(self.pairs):
            over[j].append(fall[:, at])
            over[i].append(rise[:, at])
        sums = [_sum(terms) + 1.0 for terms in over]
        return [v.reciprocal() if self.exact else 1 / v for v in sums]

    def _seen(self, gaps: Any) -> Any:
        """q_k through a frame (K, columns, M): sum_j p_kj (x_k - x_j)."""
        return self._averaged(self.p, gaps)

    def _averaged(self, p: list[Any], gaps: Any) -> Any:
        K = self.system.K
        rows = []
        for k in range(K):
            terms = [p[i][k] * gaps[at] for at, (j, i) in enumerate(self.pairs) if j == k]
            terms += [-p[j][k] * gaps[at] for at, (j, i) in enumerate(self.pairs) if i == k]
            rows.append(_sum(terms))
        return each(lambda *x: np.stack(x), *rows)

    @cached_property
    def eta(self) -> Any:
        return self._seen(self.I)

    @cached_property
    def omega(self) -> Any:
        return self._seen(self.O)

    @property
    def value(self) -> Any:
        """R, C, D (inner + outer, M)"""
        zeta, omega = self.zeta, self.omega
        C = self._mean([_outer(x, x) for x in self._each(zeta)]) - _product(self.a, self.gram, self.a)
        D = self._mean([_outer(zeta[k], omega[k]) for k in range(self.system.K)])
        return self._rows(zeta - self._turned(self.a, self.eta), C, D)

    def _mean(self, terms: list[Any]) -> Any:
        """Over the classes."""
        return self.share * _sum(terms)

    @cached_property
    def gram(self) -> Any:
        """kappa I^T (1 - 11^T/K) I (r, r, M): the products of the gaps over pairs of classes."""
        return (self.kappa * self.share) * _sum([_outer(x, x) for x in self._each(self.I)])

    @staticmethod
    def _each(x: Any) -> list[Any]:
        return [x[i] for i in range(x.shape[0])]

    def _turned(self, a: Any, eta: Any) -> Any:
        """a eta_k (K, r, ...)"""
        return _sum([a[None, :, r] * eta[:, None, r] for r in range(self.system.rank)])

    def _rows(self, R: Any, C: Any, D: Any) -> Any:
        triangle = [C[i, j][None] for i, j in self.system.triangle]
        flat = [each(lambda x: x.reshape(-1, *x.shape[2:]), part) for part in (R, D)]
        return each(lambda *x: np.concatenate(x), flat[0], *triangle, flat[1])

    def turned(self, V: np.ndarray) -> tuple[Any, ...]:
        """Along the columns of V (outer + inner, C, M): the gaps of I and O (pairs, columns, C, M), zeta (K, r, C, M),
        a (r, r, C, M), and z_kj - z_ki (K, pairs, C, M)."""
        system, m, n = self.system, self.system.outer, self.system.outer + self.system.logits
        dI, dO = (self._gaps(x) for x in _frames(system, V[:m], 0.0))
        dzeta = V[m:n].reshape(system.K, system.rank, *V.shape[1:])
        zeta, gaps = self.zeta[..., None, :], self.I[..., None, :]
        moved = [dzeta[:, None, r] * gaps[None, :, r] + zeta[:, None, r] * dI[None, :, r] for r in range(system.rank)]
        return dI, dO, dzeta, _symmetric(system, V[n:]), _sum(moved)

    def slopes(self, V: np.ndarray) -> Any:
        """The derivatives of R, C, D (inner + outer, C, M) along the columns of V (outer + inner, C, M).

        Written by the differences of the logits: dp_kj = p_kj sum_i p_ki d(z_kj - z_ki).
        """
        ways = range(self.system.K)
        dI, dO, dzeta, da, Z = self.turned(V)
        flow = [self.p[j][:, None] * self.p[i][:, None] * Z[:, at] for at, (j, i) in enumerate(self.pairs)]
        deta, domega = self._moved(dI, self.I, flow), self._moved(dO, self.O, flow)
        zeta, a, gram = (x[..., None, :] for x in (self.zeta, self.a, self.gram))
        dR = dzeta - self._turned(da, self.eta[..., None, :]) - self._turned(a, deta)
        dC = self._mean([_outer(dzeta[k], zeta[k]) + _outer(zeta[k], dzeta[k]) for k in ways])
        dD = self._mean([_outer(dzeta[k], self.omega[k][:, None]) + _outer(zeta[k], domega[k]) for k in ways])
        gaps = zip(self._each(self.I[..., None, :]), dI, strict=True)
        dgram = (self.kappa * self.share) * _sum([_outer(x, dx) + _outer(dx, x) for x, dx in gaps])
        dC = dC - _product(da, gram, a) - _product(a, gram, da) - _product(a, dgram, a)
        return self._rows(dR, dC, dD)

    def _moved(self, dgaps: Any, gaps: Any, flow: list[Any]) -> Any:
        """The derivative of `_seen` (K, columns, C, M); flow: p_kj p_ki d(z_kj - z_ki)."""
        still = self._averaged([p[..., None, :] for p in self.p], dgaps)
        return still - _sum([x[:, None] * gaps[at][None, :, None] for at, x in enumerate(flow)])

    @property
    def jacobian(self) -> Any:
        """(inner + outer, outer + inner, M): rows R, C, D, columns u_2 .., zeta, a."""
        size = self.system.inner + self.system.outer
        return self.slopes(np.broadcast_to(np.eye(size)[..., None], (size, size, self.zeta.shape[-1])))


def _frames(system: System, u: Any, one: float = 1.0) -> tuple[Any, Any]:
    """I and O (K, columns, ...) of u (outer, ...); with one = 0 their derivatives along u."""
    line = each(lambda x: np.concatenate([np.full_like(x[:1], one), x, np.zeros_like(x[:1])])[:, None], u)
    unit = each(lambda x: -one * np.eye(system.outer).reshape(system.outer, system.outer, *[1] * (x.ndim - 1)), u)
    plane = each(lambda x, y, e: np.concatenate([x[None], e + np.zeros_like(x), y[None]]), u, one - u, unit)
    return (line, plane) if system.rank == 1 else (plane, line)


def _outer(x: Any, y: Any) -> Any:
    return x[:, None] * y[None]


def _product(*matrices: Any) -> Any:
    """Of matrices (r, r, ...)."""
    first, *others = matrices
    for x in others:
        first = _sum([first[:, i, None] * x[None, i] for i in range(x.shape[0])])
    return first


def _symmetric(system: System, values: np.ndarray) -> np.ndarray:
    """(r, r, ...) of the upper triangle."""
    a = np.empty((system.rank, system.rank, *values.shape[1:]))
    for value, (i, j) in zip(values, system.triangle, strict=False):
        a[i, j] = a[j, i] = value
    return a


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
