"""The critical points of rank 1 as zeros of a small system, in scaled coordinates (docs/theory, section 16.2).

The classes are in the order of their rows, w = r u with u_1 = 1 >= u_2 >= ... >= u_K = 0 up to a shift, and class k has
a share s_k = n_k/N of the samples. With t = r^2/(N lH), h_k = (r/(N lH)) eta_k and kappa = N lW lH a point is
(t, u_2 .. u_{K-1}) and, on the inside, zeta_k = t eta_k and, with a bias, beta_j = b_j - b_K. The targets are
r_k = (1 - a) e_k + a/K, a = 0 without label smoothing. Then p_k = softmax(zeta_k u + beta), and

    R_k = zeta_k - t eta_k                                                 eta_k = <r_k - p_k, u>
    B_j = lb (beta_j - mean beta) - sum_k s_k (r_kj - p_kj)                  j < K
    E_j = kappa (u_j - mean u) - sum_k s_k eta_k (r_kj - p_kj)               j < K

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
    """The system of a problem with n_k samples of class k, in the order in which u falls.

    lambda_b is None without a bias; smoothing is a of the targets (1 - a) e_k + a/K; rank is the points'.
    """

    counts: tuple[int, ...]
    lambda_w: float
    lambda_h: float
    lambda_b: float | None
    smoothing: float = 0.0
    rank: int = 1

    @property
    def K(self) -> int:
        return len(self.counts)

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
        N = float(sum(self.counts))
        return Interval(N, N) * self.lambda_w * self.lambda_h

    @cached_property
    def constants(self) -> tuple[Interval, Interval, list[Interval], Interval]:
        """kappa, 1/K, the shares s_k, and the smoothing's a [k = j] - a/K (K, K, 1)"""
        K, N = self.K, sum(self.counts)
        a, mean, shares = self.smoothing, quotient(1, K), [quotient(n, N) for n in self.counts]
        return self.kappa, mean, shares, a * (Interval(np.eye(K), np.eye(K)) - mean)[..., None]

    @cached_property
    def near(self) -> tuple[Any, Any, list[Any], Any]:
        """Doubles near the constants."""
        kappa, mean, shares, smoothed = self.constants
        return _middle(kappa), _middle(mean), [_middle(share) for share in shares], _middle(smoothed)

    @property
    def weights(self) -> np.ndarray:
        """s_k (K,), about"""
        return np.array(self.near[2])

    @property
    def targets(self) -> np.ndarray:
        """r_kj (K, K), about"""
        return np.eye(self.K) - self.near[3][..., 0]


class Jet:
    """The equations and their derivatives at many points (arrays) or on many boxes (Intervals).

    p (outer, M), y (inner, M): the unknowns. z: narrower enclosures of `differences`, if there are any.
    """

    def __init__(self, system: System, p: Numbers, y: Numbers, z: Interval | None = None):
        self.system, self.z, K = system, z, system.K
        self.exact = isinstance(p, Interval) or isinstance(y, Interval)
        constants: Any = system.constants if self.exact else system.near
        self.kappa, self.mean, self.shares, self.smoothed = constants
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
        """q_kj = r_kj - p_kj (K, K, M)"""
        K, p = self.system.K, self.probabilities
        own = [_sum([p[k, j] for j in range(K) if j != k]) for k in range(K)]
        q = each(lambda x, *w: np.where(np.eye(K)[..., None] > 0, np.stack(w)[:, None], x), -p, *own)
        return q - self.smoothed if self.system.smoothing else q

    @cached_property
    def eta(self) -> Any:
        """eta_k = sum_j (p_kj - a/K) (u_k - u_j) (K, M)"""
        p, K = self.probabilities, self.system.K
        eta = _sum([p[:, j] * self.du[:, j] for j in range(K)])
        if self.system.smoothing:
            eta = eta - self.system.smoothing * (self.mean * _sum([self.du[:, j] for j in range(K)]))
        return eta

    @property
    def value(self) -> Any:
        """R, B, E (inner + outer, M)"""
        K, q, eta = self.system.K, self.wrong, self.eta
        E = self.kappa * (self.u - _sum([self.u[j] for j in range(K)]) * self.mean)
        for k in range(K):
            E = E - self.shares[k] * (eta[k] * q[k])
        parts = [self.zeta - self.t * eta]
        if self.beta is not None:
            B = self.system.lambda_b * (self.beta - _sum([self.beta[j] for j in range(K)]) * self.mean)
            for k in range(K):
                B = B - self.shares[k] * q[k]
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

        The entries of V that move u are 0 and 1: their sums and differences are exact.
        Written by the differences of the logits: dp_kj = p_kj sum_l p_kl d(z_kj - z_kl), so that what cancels between
        zeta and beta does so before it is enclosed.
        """
        K, p = self.system.K, self.probabilities[..., None, :]
        dt, du, dzeta, dbeta, D = self.turned(V)
        dp = p * _sum([p[:, None, j] * D[:, :, j] for j in range(K)])
        pairs = [(j, i) for i in range(K) for j in range(i)]
        dm = _sum([(p[:, j] * p[:, i]) * (D[:, j, i] * self.du[j, i][None, None]) for j, i in pairs])
        deta = _sum([p[:, j] * (du - du[j]) for j in range(K)]) - dm
        if self.system.smoothing:
            deta = deta - self.system.smoothing * (self.mean * (K * du - du.sum(0)))
        q, eta = self.wrong[..., None, :], self.eta[:, None]
        E = self.kappa * (du - du.sum(0) * self.mean)
        for k in range(K):
            E = E - self.shares[k] * (deta[k] * q[k] - eta[k] * dp[k])
        parts = [dzeta - dt * eta - self.t[None] * deta]
        if self.beta is not None:
            B = self.system.lambda_b * (dbeta - _sum([self._one(dbeta[j]) for j in range(K)]) * self.mean)
            for k in range(K):
                B = B + self.shares[k] * dp[k]
            parts.append(B[:-1])
        return each(lambda *x: np.concatenate(x), *parts, E[:-1])

    def _one(self, x: np.ndarray) -> Any:
        return Interval(x, x) if self.exact else x

    @property
    def jacobian(self) -> Any:
        """(inner + outer, outer + inner, M): rows R, B, E, columns t, u_2 .., zeta, beta."""
        size = self.system.inner + self.system.outer
        return self.slopes(np.broadcast_to(np.eye(size)[..., None], (size, size, self.zeta.shape[-1])))


def _middle(x: Interval) -> np.ndarray:
    return x.middle()[0]


def quotient(a: int, b: int) -> Interval:
    return Interval(down(np.float64(a / b)), up(np.float64(a / b)))


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
