"""The system over ranges in plain floating point, for `ufm check`: approximations, which prove nothing.

Source: docs/theory, section 16.6.
"""

import itertools
from typing import Any

import numpy as np
from flint import arb, arb_mat

from ...problem import Problem
from ..local import inverse

STEPS = 30  # of Newton's method, from one start
TURNS = 40  # of what leads to a start
CLOSE = 1e-7  # a step of Newton's method below this, relative to 1 + |y| entry by entry, is the last
SOLVED = 1e-9  # where less than this is left
FLAT = 2.5  # where I a I^T has an eigenvalue below this, C and D are written by I^T q_k


class Unknowns:
    """u (m), and y (n): zeta (K, r), the upper triangle of a and with a bias b_j - b_K; n_k = counts as u falls."""

    def __init__(self, problem: Problem, counts: list[int], smoothing: float, rank: int):
        K = self.K = len(counts)
        self.r, self.m, self.biased = rank, K - 2, problem.bias
        self.kappa = problem.num_samples * arb(problem.lambda_w) * arb(problem.lambda_h)
        self.lb, self.smoothing = arb(problem.lambda_b), arb(smoothing)
        self.shares = [arb(n) / sum(counts) for n in counts]
        self.triangle = list(itertools.combinations_with_replacement(range(rank), 2))
        self.pairs = list(itertools.combinations(range(K), 2))
        self.logits, self.linear = K * rank, K * rank + len(self.triangle)
        self.n = self.linear + (K - 1) * self.biased
        self.size = self.m + self.n
        self.weights, self.targets = np.array(counts) / sum(counts), np.eye(K) - smoothing * (np.eye(K) - 1 / K)
        turned = [self.frames([float(i == j) for j in range(self.m)], 0.0) for i in range(self.m)]
        self.turned = list(zip(*turned, strict=True))  # I and O by each side of u
        self.turned_gaps = [[gaps(x) for x in frames] for frames in self.turned]
        self.start = self.guess()
        self.u, self.y, self.S = np.full(self.m, 0.5), self.start, np.zeros((self.n, self.m))  # the last inner solution
        self.curved = np.full(self.n, 0.1)  # how far the last ones were from linear

    def frames(self, u: Any, one: Any) -> tuple[Any, Any]:
        """I and O (K rows each) of u; with one = 0 their derivatives along a direction u."""
        line = [[one], *([x] for x in u), [one - one]]
        units = [[-one * int(i == j) for j in range(self.m)] for i in range(self.m)]
        plane = [list(u), *units, [one - x for x in u]]
        return (line, plane) if self.r == 1 else (plane, line)

    def symmetric(self, entries: Any) -> list[list[Any]]:
        """(r, r) of its upper triangle."""
        place = {pair: i for i, pair in enumerate(self.triangle)}
        return [[entries[place[min(i, j), max(i, j)]] for j in range(self.r)] for i in range(self.r)]

    def _parts(self, places: np.ndarray) -> tuple[np.ndarray, ...]:
        """I, O, I^T (1 - 11^T/K) I, zeta, a, b_j - b_K of places (B, m + n)."""
        m, size = self.m, len(places)
        inside, outside = (np.moveaxis(np.array(x), 2, 0) for x in self.frames(list(places[:, :m].T), np.ones(size)))
        square = inside.swapaxes(1, 2) @ (inside - inside.mean(1, keepdims=True))
        zeta = places[:, m : m + self.logits].reshape(-1, self.K, self.r)
        a = np.moveaxis(np.array(self.symmetric(places[:, m + self.logits : m + self.linear].T)), 2, 0)
        beta = np.zeros((size, self.K))
        beta[:, :-1] += places[:, m + self.linear :] if self.biased else 0.0
        return inside, outside, square, zeta, a, beta

    def values(self, places: np.ndarray, flat: bool) -> np.ndarray:
        """R, C, B, D at places (B, m + n); flat: whether C and D are written by I^T q_k."""
        inside, outside, square, zeta, a, beta = self._parts(places)
        z = zeta @ inside.swapaxes(1, 2) + beta[:, None]
        e = np.exp(z - z.max(2, keepdims=True))
        q = self.targets - e / e.sum(2, keepdims=True)
        seen, decay = (q @ inside, square) if flat else (zeta, a @ square @ a)
        weighted = (seen * self.weights[:, None]).swapaxes(1, 2)
        C, D = weighted @ seen - float(self.kappa) * decay, weighted @ (q @ outside)
        B = float(self.lb) * (beta - beta.mean(1, keepdims=True)) - self.weights @ q
        triangle = np.stack([C[:, i, j] for i, j in self.triangle], 1)
        parts = (zeta - q @ inside @ a, triangle, B[:, : (self.K - 1) * self.biased], D)
        return np.concatenate([x.reshape(len(places), -1) for x in parts], 1)

    def linear_at(self, place: np.ndarray, flat: bool) -> tuple[np.ndarray, np.ndarray]:
        """(`values` at one place, their Jacobian by central differences)"""
        h = 1e-5 * np.maximum(1.0, np.abs(place))
        found = self.values(np.concatenate([place + np.diag(h), place - np.diag(h), place[None]]), flat)
        return found[-1], ((found[: len(h)] - found[len(h) : -1]) / (2 * h[:, None])).T

    def is_flat(self, place: np.ndarray) -> bool:
        """Whether I a I^T is nearly singular on the range, or not positive."""
        _, _, square, _, a, _ = self._parts(place[None])
        L = np.linalg.cholesky(square[0])
        return bool(np.linalg.eigvalsh(np.nan_to_num(L.T @ a[0] @ L))[0] < FLAT)

    def left(self, places: np.ndarray, flat: bool) -> np.ndarray:
        """(B,) how large R, C and B are, beside the logits where C has their squares.

        This keeps Newton's method from the zero at a = 0, zeta = 0.
        """
        size = 1.0 if flat else np.abs(places[:, self.m : self.m + self.logits]).max(1)
        R, C, B = np.split(np.abs(self.values(places, flat)[:, : self.n]), [self.logits, self.linear], 1)
        return np.maximum(np.maximum(R.max(1) / size, C.max(1) / size**2), B.max(1, initial=0.0))

    def guess(self) -> np.ndarray:
        """Inner unknowns to begin Newton's method with: the simplex frame's, in the range of u = 1/2."""
        K, s = self.K, float(self.kappa / self.K) ** 0.5
        inside = np.array(self.frames([0.5] * self.m, 1.0)[0])
        a = np.log(max((1 - (K - 1) * s) / s, 1.1)) / (K * s) * np.linalg.inv(inside.T @ (inside - inside.mean(0)))
        zeta = K * s * (inside - inside.mean(0)) @ a
        return np.concatenate([zeta.ravel(), a[np.triu_indices(self.r)], np.zeros((K - 1) * self.biased)])

    def solved(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        """(u and an approximate inner solution, the Jacobian there, whether that is the flat form's)"""
        m, n = self.m, self.n
        for start in (lambda: self.y + self.S @ (u - self.u), lambda: self.y, lambda: self._approached(u)):
            place = self._newton(np.concatenate([u, start()]))
            flat = self.is_flat(place)
            if solved := bool(self.left(place[None], flat)[0] < SOLVED):
                break
        J = self.linear_at(place, flat)[1]
        S = -inverse(J[:n, m:]) @ J[:n, :m]
        if solved and np.isfinite(S).all():
            self.u, self.y, self.S = u, place[m:], S
        return place, J, flat

    def _approached(self, u: np.ndarray) -> np.ndarray:
        """y after turns of a Newton step in zeta and beta and of the best a: a convex function falls each time."""
        place, m, free = np.concatenate([u, self.start]), self.m, np.r_[0 : self.logits, self.linear : self.n]
        L = np.linalg.cholesky(self._parts(place[None])[2][0])
        for _ in range(TURNS):
            F, J = self.linear_at(place, False)
            step = np.zeros(self.size)
            step[m + free] = inverse(J[free][:, m + free]) @ F[free]
            trials = place - 0.5 ** np.arange(12)[:, None] * step
            place = trials[self._energy(trials).argmin()]
            zeta = place[m : m + self.logits].reshape(self.K, self.r) @ L
            values, vectors = np.linalg.eigh((zeta.T * self.weights) @ zeta / float(self.kappa))
            root = vectors @ np.diag(np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
            a = np.linalg.solve(L.T, np.linalg.solve(L.T, root).T)
            place[m + self.logits : m + self.linear] = [a[i, j] for i, j in self.triangle]
        return place[m:]

    def _energy(self, places: np.ndarray) -> np.ndarray:
        """(B,) sum_k s_k (<zeta_k, a^-1 zeta_k>/2 + log sum_j exp(z_kj) - <r_k, z_k>) + lb/2 |b|^2."""
        inside, _, _, zeta, a, beta = self._parts(places)
        z = zeta @ inside.swapaxes(1, 2) + beta[:, None]
        most = z.max(2, keepdims=True)
        losses = (most[..., 0] + np.log(np.exp(z - most).sum(2))) - (self.targets * z).sum(2)
        pulls = (zeta * np.linalg.solve(a, zeta.swapaxes(1, 2)).swapaxes(1, 2)).sum(2) / 2
        decay = float(self.lb) / 2 * ((beta - beta.mean(1, keepdims=True)) ** 2).sum(1)
        return (losses + pulls) @ self.weights + decay

    def _newton(self, place: np.ndarray) -> np.ndarray:
        """Where Newton's method, damped, leads from there."""
        m, n = self.m, self.n
        for _ in range(STEPS):
            flat = self.is_flat(place)
            F, J = self.linear_at(place, flat)
            step = np.concatenate([np.zeros(m), inverse(J[:n, m:]) @ F[:n]])
            trials = place - 0.5 ** np.arange(11)[:, None] * step
            place = trials[self.left(trials, flat).argmin()]
            if not (np.abs(step) > CLOSE * (1 + np.abs(place))).any():
                break
        return place


def gaps(rows: Any) -> arb_mat:
    """The differences of rows, over pairs."""
    return arb_mat([[x - y for x, y in zip(*pair, strict=True)] for pair in itertools.combinations(rows, 2)])
