"""The critical points whose range is a line, or a hyperplane, as zeros of a small system (docs/theory, section 16.6).

W W^T/(N lH) = I a I^T has rank r, its range is spanned by the columns of I, and O spans the rest of what is orthogonal
to 1. Both are made of u: 1 = u_1 >= u_2 >= ... >= u_K = 0, up to a shift, is I at rank 1 and O at rank K - 2; the other
one has the columns u_j e_1 - e_j + (1 - u_j) e_K, 1 < j < K. On the inside are zeta_k, the logits of class k being
I zeta_k + beta, a, and with a bias beta_j = b_j - b_K. Shares s_k, targets r_k and kappa are those of `..system`. With
p_k = softmax(I zeta_k + beta) and q_k = r_k - p_k

    R_k = zeta_k - a I^T q_k
    C   = sum_k s_k zeta_k zeta_k^T - kappa a I^T (1 - 11^T/K) I a         upper triangle
    B_j = lb (beta_j - mean beta) - sum_k s_k q_kj                         j < K
    D   = sum_k s_k zeta_k (O^T q_k)^T

vanish just at critical points. R = C = B = 0 has one solution with a positive at most for each u, as the problem with
logits in a given range is convex. Where a is nearly singular, or not positive, I^T q_k takes the place of zeta_k and 1
that of a in C and D ("flat"): then there is one solution with I a I^T > -2 at most.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import system
from ..intervals import Interval, Numbers, each


@dataclass(frozen=True)
class System(system.System):
    """The system of a problem, an order of the classes, in which u falls, and a rank, 1 or K - 2."""

    @property
    def outer(self) -> int:
        """How many u_2 .. u_{K-1} are."""
        return self.K - 2

    @property
    def logits(self) -> int:
        """How many the zeta are, the first of the inner unknowns; then come the upper triangle of a, and beta."""
        return self.K * self.rank

    @property
    def linear(self) -> int:
        """How many the zeta and the entries of a are."""
        return self.logits + len(self.triangle)

    @property
    def inner(self) -> int:
        return self.linear + (self.K - 1) * (self.lambda_b is not None)

    @cached_property
    def triangle(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(self.rank) for j in range(i, self.rank)]

    def frames(self, u: Any, one: float = 1.0) -> tuple[Any, Any]:
        """I and O (K, columns, ...) of u (outer, ...); with one = 0 their derivatives along u."""
        m = self.outer
        line = each(lambda x: np.concatenate([np.full_like(x[:1], one), x, np.zeros_like(x[:1])])[:, None], u)
        unit = each(lambda x: -one * np.eye(m).reshape(m, m, *[1] * (x.ndim - 1)), u)
        plane = each(lambda x, y, e: np.concatenate([x[None], e + np.zeros_like(x), y[None]]), u, one - u, unit)
        return (line, plane) if self.rank == 1 else (plane, line)


class Jet:
    """The equations and their derivatives at many points (arrays) or on many boxes (Intervals).

    u (outer, M), y (inner, M): the unknowns. z: narrower enclosures of `differences`, if there are any. flat (M,) bool:
    where C and D are written by I^T q_k. What is said of pairs of classes j < i is in the order of `pairs`.
    """

    def __init__(
        self, system: System, u: Numbers, y: Numbers, z: Interval | None = None, flat: np.ndarray | bool = False
    ):
        self.system, self.z, self.flat, n, end = system, z, np.asarray(flat), system.logits, system.linear
        self.pairs = list(itertools.combinations(range(system.K), 2))
        self.exact = isinstance(u, Interval) or isinstance(y, Interval)
        constants: Any = system.constants if self.exact else system.near
        self.kappa, self.mean, self.shares, self.smoothed = constants
        shape = (system.K, system.rank, -1)
        self.zeta = each(lambda x: x[:n].reshape(shape), y)
        self.a = each(lambda x: _symmetric(system, x[n:end]), y)
        self.I, self.O = (self._gaps(x) for x in system.frames(u))
        biased = system.lambda_b is not None
        self.beta = each(lambda x: np.concatenate([x[end:], np.zeros_like(x[:1])]), y) if biased else None

    def _gaps(self, x: Any) -> Any:
        """x_j - x_i, of the pairs."""
        first, second = ([pair[end] for pair in self.pairs] for end in (0, 1))
        return x[first] - x[second]

    @cached_property
    def differences(self) -> Any:
        """z_kj - z_ki (K, pairs, M)"""
        z = _sum([self.zeta[:, None, r] * self.I[None, :, r] for r in range(self.system.rank)])
        return z if self.beta is None else z + self._gaps(self.beta)[None]

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

    @property
    def wrong(self) -> Any:
        """q_kj = r_kj - p_kj (K, K, M)"""
        p = each(lambda *x: np.stack(x, 1), *self.p)
        return np.eye(self.system.K)[..., None] - self.smoothed - p

    @cached_property
    def excess(self) -> list[Any]:
        """p_kj - a/K (K, M) for each j"""
        smoothing = self.system.smoothing
        return [p - smoothing * self.mean for p in self.p] if smoothing else self.p

    def _seen(self, gaps: Any) -> Any:
        """q_k through a frame (K, columns, M): sum_j (p_kj - a/K) (x_k - x_j)."""
        return self._averaged(self.excess, gaps)

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
        """R, C, B, D (inner + outer, M)"""
        seen = self._each(self._chosen(lambda: self.eta, self.zeta))
        decay = self._chosen(lambda: self.gram, product(self.a, self.gram, self.a))
        C = self._shared([_outer(x, x) for x in seen]) - decay
        D = self._shared([_outer(x, omega) for x, omega in zip(seen, self._each(self.omega), strict=True)])
        return self._rows(self.zeta - self._turned(self.a, self.eta), C, self._pull(), D)

    def _chosen(self, flat: Callable[[], Any], other: Any) -> Any:
        """The one where C and D are flat, the other elsewhere."""
        if not self.flat.any():
            return other
        return each(lambda x, y: np.asarray(np.where(self.flat, x, y)), flat(), other)

    def _shared(self, terms: list[Any]) -> Any:
        """sum_k s_k x_k: over the classes, or where their counts are equal the mean."""
        if len(set(self.system.counts)) == 1:
            return self.mean * _sum(terms)
        return _sum([share * x for share, x in zip(self.shares, terms, strict=True)])

    def _pull(self) -> Any:
        """B, or None"""
        if self.beta is None:
            return None
        centred = self.beta - self.mean * _sum(self._each(self.beta))
        return (self.system.lambda_b * centred - self._shared(self._each(self.wrong)))[:-1]

    @property
    def square(self) -> Any:
        """I^T (1 - 11^T/K) I (r, r, M): the products of the gaps over pairs of classes."""
        return self.mean * _sum([_outer(x, x) for x in self._each(self.I)])

    @cached_property
    def gram(self) -> Any:
        """kappa times that."""
        return self.kappa * self.square

    @staticmethod
    def _each(x: Any) -> list[Any]:
        return [x[i] for i in range(x.shape[0])]

    def _turned(self, a: Any, eta: Any) -> Any:
        """a eta_k (K, r, ...)"""
        return _sum([a[None, :, r] * eta[:, None, r] for r in range(self.system.rank)])

    def _rows(self, R: Any, C: Any, B: Any, D: Any) -> Any:
        triangle = [C[i, j][None] for i, j in self.system.triangle]
        flat = [each(lambda x: x.reshape(-1, *x.shape[2:]), part) for part in (R, D)]
        return each(lambda *x: np.concatenate(x), flat[0], *triangle, *([] if B is None else [B]), flat[1])

    def turned(self, V: np.ndarray) -> tuple[Any, ...]:
        """Along the columns of V (outer + inner, C, M): the gaps of I and O (pairs, columns, C, M), zeta (K, r, C, M),
        a (r, r, C, M), beta (K, C, M) and z_kj - z_ki (K, pairs, C, M)."""
        system, m, n = self.system, self.system.outer, self.system.outer + self.system.logits
        end = m + system.linear
        dI, dO = (self._gaps(x) for x in system.frames(V[:m], 0.0))
        dzeta = V[m:n].reshape(system.K, system.rank, *V.shape[1:])
        zeta, gaps = self.zeta[..., None, :], self.I[..., None, :]
        moved = [dzeta[:, None, r] * gaps[None, :, r] + zeta[:, None, r] * dI[None, :, r] for r in range(system.rank)]
        dbeta = np.concatenate([V[end:], np.zeros_like(V[:1])])
        if self.beta is not None:
            moved.append(self._gaps(Interval(dbeta, dbeta) if self.exact else dbeta)[None])
        return dI, dO, dzeta, _symmetric(system, V[n:end]), dbeta, _sum(moved)

    def slopes(self, V: np.ndarray) -> Any:
        """The derivatives of R, C, B, D (inner + outer, C, M) along the columns of V (outer + inner, C, M).

        Written by the differences of the logits: dp_kj = p_kj sum_i p_ki d(z_kj - z_ki).
        """
        ways = range(self.system.K)
        dI, dO, dzeta, da, dbeta, Z = self.turned(V)
        flow = [self.p[j][:, None] * self.p[i][:, None] * Z[:, at] for at, (j, i) in enumerate(self.pairs)]
        deta, domega = self._moved(dI, self.I, flow), self._moved(dO, self.O, flow)
        zeta, eta, a, gram = (x[..., None, :] for x in (self.zeta, self.eta, self.a, self.gram))
        dR = dzeta - self._turned(da, eta) - self._turned(a, deta)
        seen, dseen = self._chosen(lambda: eta, zeta), self._chosen(lambda: deta, dzeta)
        dC = self._shared([_outer(dseen[k], seen[k]) + _outer(seen[k], dseen[k]) for k in ways])
        dD = self._shared([_outer(dseen[k], self.omega[k][:, None]) + _outer(seen[k], domega[k]) for k in ways])
        gaps = zip(self._each(self.I[..., None, :]), dI, strict=True)
        dgram = (self.kappa * self.mean) * _sum([_outer(x, dx) + _outer(dx, x) for x, dx in gaps])
        ddecay = product(da, gram, a) + product(a, gram, da) + product(a, dgram, a)
        return self._rows(dR, dC - self._chosen(lambda: dgram, ddecay), self._pulled(dbeta, flow), dD)

    def _pulled(self, dbeta: np.ndarray, flow: list[Any]) -> Any:
        """The derivatives of B (K - 1, C, M), or None; flow: p_kj p_ki d(z_kj - z_ki)."""
        if self.beta is None:
            return None
        shared, pairs = [self._shared(self._each(x)) for x in flow], list(enumerate(self.pairs))
        moved = [
            _sum([shared[at] if a == j else -shared[at] for at, (j, i) in pairs if a in (j, i)])
            for a in range(self.system.K - 1)
        ]
        b = Interval(dbeta, dbeta) if self.exact else dbeta
        decayed = self.system.lambda_b * (b - self.mean * _sum(self._each(b)))[:-1]
        return decayed + each(lambda *x: np.stack(x), *moved)

    def _moved(self, dgaps: Any, gaps: Any, flow: list[Any]) -> Any:
        """The derivative of `_seen` (K, columns, C, M); flow: p_kj p_ki d(z_kj - z_ki)."""
        still = self._averaged([p[..., None, :] for p in self.excess], dgaps)
        return still - _sum([x[:, None] * gaps[at][None, :, None] for at, x in enumerate(flow)])

    @property
    def jacobian(self) -> Any:
        """(inner + outer, outer + inner, M): rows R, C, B, D, columns u_2 .., zeta, a, beta."""
        size = self.system.inner + self.system.outer
        return self.slopes(np.broadcast_to(np.eye(size)[..., None], (size, size, self.zeta.shape[-1])))


def _outer(x: Any, y: Any) -> Any:
    return x[:, None] * y[None]


def product(*matrices: Any) -> Any:
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
