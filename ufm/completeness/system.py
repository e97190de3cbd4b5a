"""The critical points of rank 1 as zeros of a small system, in scaled coordinates (docs/theory, section 16.2).

The classes are in the order of their rows, w = r u with u_1 = 1 >= u_2 >= ... >= u_K = 0 up to a shift. With
t = r^2/(N lH), h_k = (r/(N lH)) eta_k and kappa = N lW lH a point is (t, u_2 .. u_{K-1}) and, on the inside, zeta_k =
t eta_k and, with a bias, beta_j = b_j - b_K. Then p_k = softmax(zeta_k u + beta), and with m_k = <p_k, u>

    R_k = zeta_k - t eta_k                                                 eta_k = u_k - m_k
    B_j = lb (beta_j - mean beta) + (1/K) sum_k (p_kj - [k = j])             j < K
    E_j = kappa (u_j - mean u) - (1/K) sum_k eta_k ([k = j] - p_kj)          j < K

vanish just at critical points. R = B = 0 has one solution (zeta, beta) for each (t, u): it is the gradient of a
strictly convex function.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .intervals import Interval, Numbers, down, each, up


@dataclass(frozen=True)
class System:
    """The system of a problem: K classes of n samples each; lambda_b is None without a bias."""

    K: int
    n: int
    lambda_w: float
    lambda_h: float
    lambda_b: float | None

    @property
    def inner(self) -> int:
        """How many unknowns zeta and beta are."""
        return self.K + (self.K - 1) * (self.lambda_b is not None)

    @property
    def outer(self) -> int:
        """How many t and u_2 .. u_{K-1} are."""
        return self.K - 1

    @cached_property
    def kappa(self) -> Interval:
        """N lW lH"""
        N = float(self.K * self.n)
        return Interval(N, N) * self.lambda_w * self.lambda_h

    def constants(self, exact: bool) -> tuple[Any, Any]:
        """(kappa, 1/K): intervals, or (exact is False) doubles near them."""
        values = (self.kappa, Interval(down(np.float64(1 / self.K)), up(np.float64(1 / self.K))))
        return values if exact else tuple(float(v.lo + v.hi) / 2 for v in values)  # type: ignore[return-value]


class Jet:
    """The equations and their derivatives at many points (arrays) or on many boxes (Intervals).

    p (outer, M), y (inner, M): the unknowns. z: narrower enclosures of `differences`, if there are any.
    """

    def __init__(self, system: System, p: Numbers, y: Numbers, z: Interval | None = None):
        self.system, self.z, K = system, z, system.K
        self.exact = isinstance(p, Interval) or isinstance(y, Interval)
        self.kappa, self.share = system.constants(self.exact)
        self.t, self.zeta = p[0], y[:K]  # type: ignore[index]
        self.u = each(lambda x: np.concatenate([np.ones_like(x[:1]), x[1:], np.zeros_like(x[:1])]), p)
        biased = system.lambda_b is not None
        self.beta = each(lambda x: np.concatenate([x[K:], np.zeros_like(x[:1])]), y) if biased else None
        self.du = self.u[:, None] - self.u[None]

    @cached_property
    def differences(self) -> Any:
        """z_ki - z_kj (K, K, K, M), at k, i, j."""
        z = self.zeta[:, None, None] * self.du[None]
        return z if self.beta is None else z + (self.beta[:, None] - self.beta[None])[None]

    @cached_property
    def probabilities(self) -> Any:
        """p_kj (K, K, M): 1/(1 + sum of exp(z_ki - z_kj)), each end at the ends of the differences."""
        K, z = self.system.K, self.differences if self.z is None else self.z
        e = z.exp() if isinstance(z, Interval) else np.exp(z)
        off = [_sum([e[:, i, j] for i in range(K) if i != j]) + 1.0 for j in range(K)]
        return each(lambda *x: np.stack(x, 1), *[v.reciprocal() if self.exact else 1 / v for v in off])

    @cached_property
    def wrong(self) -> Any:
        """q_kj = [k = j] - p_kj (K, K, M)"""
        K, p = self.system.K, self.probabilities
        own = [_sum([p[k, j] for j in range(K) if j != k]) for k in range(K)]
        return each(lambda x, *w: np.where(np.eye(K)[..., None] > 0, np.stack(w)[:, None], x), -p, *own)

    @cached_property
    def eta(self) -> Any:
        """eta_k = sum_j p_kj (u_k - u_j) (K, M)"""
        p, K = self.probabilities, self.system.K
        return _sum([p[:, j] * self.du[:, j] for j in range(K)])

    @property
    def value(self) -> Any:
        """R, B, E (inner + outer, M)"""
        K, q, eta = self.system.K, self.wrong, self.eta
        E = self.kappa * (self.u - _sum([self.u[j] for j in range(K)]) * self.share)
        for k in range(K):
            E = E - self.share * (eta[k] * q[k])
        parts = [self.zeta - self.t * eta]
        if self.beta is not None:
            B = self.system.lambda_b * (self.beta - _sum([self.beta[j] for j in range(K)]) * self.share)
            for k in range(K):
                B = B - self.share * q[k]
            parts.append(B[:-1])
        return each(lambda *x: np.concatenate(x), *parts, E[:-1])

    def turned(self, V: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Any]:
        """Along the columns of V (outer + inner, C, M): dt (C, M), du, dzeta, dbeta (K, C, M), d(z_kj - z_kl).

        The last has the axes k, j, l, C, M: dzeta_k (u_j - u_l) + dbeta_j - dbeta_l + zeta_k (du_j - du_l).
        """
        K, zero = self.system.K, np.zeros_like(V[:1])
        du, dzeta = np.concatenate([zero, V[1 : K - 1], zero]), V[K - 1 : 2 * K - 1]
        dbeta = np.concatenate([V[2 * K - 1 :], zero]) if self.beta is not None else np.zeros_like(du)
        D = dzeta[:, None, None] * self.du[None, :, :, None] + self._gap(dbeta)
        return V[0], du, dzeta, dbeta, D + self.zeta[:, None, None, None] * (du[:, None] - du[None])

    def _gap(self, b: np.ndarray) -> Any:
        return (Interval(b, b)[:, None] - Interval(b, b)[None])[None] if self.exact else (b[:, None] - b[None])[None]

    def slopes(self, V: np.ndarray) -> Any:
        """The derivatives of R, B, E (inner + outer, C, M) along the columns of V (outer + inner, C, M).

        Written by the differences of the logits: dp_kj = p_kj sum_l p_kl d(z_kj - z_kl), so that what cancels between
        zeta and beta does so before it is enclosed.
        """
        K, p = self.system.K, self.probabilities[..., None, :]
        dt, du, dzeta, dbeta, D = self.turned(V)
        dp = p * _sum([p[:, None, j] * D[:, :, j] for j in range(K)])
        pairs = [(j, i) for i in range(K) for j in range(i)]
        dm = _sum([(p[:, j] * p[:, i]) * (D[:, j, i] * self.du[j, i][None, None]) for j, i in pairs])
        deta = _sum([p[:, j] * (du - du[j]) for j in range(K)]) - dm
        q, eta = self.wrong[..., None, :], self.eta[:, None]
        E = self.kappa * (du - du.sum(0) * self.share)
        for k in range(K):
            E = E - self.share * (deta[k] * q[k] - eta[k] * dp[k])
        parts = [dzeta - dt * eta - self.t[None] * deta]
        if self.beta is not None:
            B = self.system.lambda_b * (dbeta - _sum([self._one(dbeta[j]) for j in range(K)]) * self.share)
            for k in range(K):
                B = B + self.share * dp[k]
            parts.append(B[:-1])
        return each(lambda *x: np.concatenate(x), *parts, E[:-1])

    def _one(self, x: np.ndarray) -> Any:
        return Interval(x, x) if self.exact else x

    @property
    def jacobian(self) -> Any:
        """(inner + outer, outer + inner, M): rows R, B, E, columns t, u_2 .., zeta, beta."""
        size = self.system.inner + self.system.outer
        return self.slopes(np.broadcast_to(np.eye(size)[..., None], (size, size, self.zeta.shape[-1])))


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
