"""The system over ranges and its derivatives in balls, for `ufm check` (docs/theory, section 16.6)."""

import itertools
from typing import Any

import numpy as np
from flint import arb, arb_mat

from .unknowns import Unknowns, gaps


class Frame:
    """u and y by x and e: the columns of V, which begins with the identity in u, and its rows by what they move."""

    def __init__(self, c: Unknowns, V: np.ndarray):
        rows, m, still = V.tolist(), c.m, [[0.0] * V.shape[1]]
        self.all, self.width, self.a = arb_mat(rows), V.shape[1], arb_mat(rows[m + c.logits : m + c.linear])
        self.zeta = [arb_mat(rows[m + k * c.r : m + k * c.r + c.r]) for k in range(c.K)]
        beta = rows[m + c.linear :] + still if c.biased else still * c.K
        self.beta, self.shifted = arb_mat(beta), gaps(arb_mat(beta).table())


class Equations:
    """R, C, B, D where u, y and z_kj - z_ki (for each k, pairs j < i) are in balls; `slopes` along a frame's columns.

    flat: whether C and D are written by I^T q_k, in place of zeta_k.
    """

    def __init__(self, c: Unknowns, u: list[arb], y: list[arb], z: list[list[arb]], flat: bool):
        K, r, self.c, self.flat, frames = c.K, c.r, c, flat, c.frames(u, arb(1))
        self.zeta = [arb_mat([[x] for x in y[k * r : k * r + r]]) for k in range(K)]
        self.a, self.beta = arb_mat(c.symmetric(y[c.logits : c.linear])), [*y[c.linear :], arb(0)]
        self.I, self.O = ([_seen_from(x, k) for k in range(K)] for x in frames)
        self.gaps, self.p = [gaps(x) for x in frames], [_softmax(K, row) for row in z]
        other = c.smoothing / K
        self.q = [arb_mat([[(other - x) * int(j != k) for j, x in enumerate(p)]]) for k, p in enumerate(self.p)]
        self.eta, self.omega = ([q * x for q, x in zip(self.q, frame, strict=True)] for frame in (self.I, self.O))
        self.square = _summed(x.transpose() * x for x in self.I) / K / 2
        self.gram = self.square * c.kappa
        self.seen = [x.transpose() for x in self.eta] if flat else self.zeta

    def wrong(self) -> list[list[arb]]:
        """q_kj = r_kj - p_kj"""
        a, ways = self.c.smoothing, range(self.c.K)
        return [[(j == k) * (1 - a) + a / self.c.K - self.p[k][j] for j in ways] for k in ways]

    def value(self) -> list[arb]:
        a, c, R = self.a, self.c, []
        for zeta, eta in zip(self.zeta, self.eta, strict=True):
            R += (zeta - a * eta.transpose()).entries()
        C = self._shared([x * x.transpose() for x in self.seen]) - (self.gram if self.flat else a * self.gram * a)
        D = self._shared([x * y for x, y in zip(self.seen, self.omega, strict=True)])
        B: list[arb] = []
        if c.biased:
            mean, pulled = sum(self.beta, arb(0)) / c.K, self._shared([arb_mat([q]) for q in self.wrong()]).entries()
            B = [c.lb * (x - mean) - y for x, y in zip(self.beta, pulled, strict=True)][:-1]
        return R + [C[i, j] for i, j in c.triangle] + B + D.entries()

    def _shared(self, terms: list[arb_mat]) -> arb_mat:
        """sum_k s_k x_k"""
        return _summed(x * share for x, share in zip(terms, self.c.shares, strict=True))

    def turn(self, V: Frame) -> list[arb_mat]:
        """The derivatives of z_kj - z_ki, for each k."""
        turned = self.c.turned_gaps[0]
        return [
            self.gaps[0] * dzeta + _sides([x * zeta for x in turned], V.width) + V.shifted
            for zeta, dzeta in zip(self.zeta, V.zeta, strict=True)
        ]

    def slopes(self, V: Frame) -> arb_mat:
        """(n + m, n + m): the derivatives along the columns of V."""
        c, R, C, D, flows = self.c, [], [], [], []
        for k, (dzeta, dz) in enumerate(zip(V.zeta, self.turn(V), strict=True)):
            q, p, seen = self.q[k], self.p[k], self.seen[k]
            flow = arb_mat([[p[j] * p[i] * x for x in row] for (j, i), row in zip(c.pairs, dz.table(), strict=True)])
            deta, domega = (
                _sides([(q * _seen_from(x, k)).transpose() for x in dx], V.width) - between.transpose() * flow
                for between, dx in zip(self.gaps, c.turned, strict=True)
            )
            R += (dzeta - self.a * deta - self._by_a(self.eta[k]) * V.a).table()
            dseen = deta if self.flat else dzeta
            C.append(self._squared(seen) * dseen)
            D.append(_kron(self.omega[k], dseen, seen, domega))
            flows.append(flow)
        decay = _sides(self._gram_by(), V.width)
        decay = decay if self.flat else decay + self._gram_by_a() * V.a
        B = self._pulled(V.beta, self._shared(flows)).table() if c.biased else []
        return arb_mat(R + (self._shared(C) - decay).table() + B + self._shared(D).table())

    def _pulled(self, dbeta: arb_mat, flow: arb_mat) -> arb_mat:
        """The derivatives of B; flow: those of sum_k s_k p_k, pair by pair."""
        c, ways = self.c, range(self.c.K)
        centred = arb_mat([[(i == j) - arb(1) / c.K for i in ways] for j in ways[:-1]])
        signs = arb_mat([[(j == a) - (i == a) for j, i in c.pairs] for a in ways[:-1]])
        return centred * dbeta * c.lb + signs * flow

    def _by_a(self, eta: arb_mat) -> arb_mat:
        """The matrix of da -> da eta^T."""
        columns = [arb_mat(self.c.symmetric(unit)) * eta.transpose() for unit in np.eye(len(self.c.triangle)).tolist()]
        return arb_mat([x.entries() for x in columns]).transpose()

    def _squared(self, x: arb_mat) -> arb_mat:
        """The matrix of dx -> the upper triangle of x dx^T + dx x^T."""
        size = range(self.c.r)
        return arb_mat([[x[i, 0] * int(s == j) + x[j, 0] * int(s == i) for s in size] for i, j in self.c.triangle])

    def _gram_by(self) -> list[arb_mat]:
        """The upper triangle of a dgram a, or of dgram in the flat form, by each side of u."""
        found = []
        for dinside in self.c.turned[0]:
            crossed = _summed(_seen_from(dinside, k).transpose() * x for k, x in enumerate(self.I))
            moved = (crossed + crossed.transpose()) * (self.c.kappa / self.c.K / 2)
            moved = moved if self.flat else self.a * moved * self.a
            found.append(arb_mat([[moved[i, j]] for i, j in self.c.triangle]))
        return found

    def _gram_by_a(self) -> arb_mat:
        """The matrix of da -> the upper triangle of da gram a + a gram da."""
        columns = []
        for unit in np.eye(len(self.c.triangle)).tolist():
            moved = arb_mat(self.c.symmetric(unit)) * self.gram * self.a
            columns.append([moved[i, j] + moved[j, i] for i, j in self.c.triangle])
        return arb_mat(columns).transpose()

    def only(self) -> bool:
        """Whether an inner solution here is shown to be the only one: a positive or, if flat, I a I^T above -2."""
        S = self.square
        return _positive(S * self.a * S + S * 2 if self.flat else self.a)

    def positive(self) -> bool:
        """Whether a is shown to be positive definite."""
        return _positive(self.a)

    def negative(self) -> bool:
        """Whether a is shown not to be positive definite: v^T a v <= 0 for some v."""
        v = np.linalg.eigh(np.array([[float(x.mid()) for x in row] for row in self.a.table()]))[1][:, :1]
        row = arb_mat(v.T.tolist())
        return bool((row * self.a * row.transpose())[0, 0] <= 0)


def _sides(columns: list[arb_mat], width: int) -> arb_mat:
    """The columns (a, 1), and zeros up to the width."""
    rows = zip(*(x.entries() for x in columns), strict=True)
    return arb_mat([[*row, *[0] * (width - len(columns))] for row in rows])


def _summed(matrices: Any) -> arb_mat:
    first, *others = matrices
    return sum(others, first)


def _positive(matrix: arb_mat) -> bool:
    """By all leading minors."""
    rows = matrix.table()
    return all(bool(arb_mat([row[:i] for row in rows[:i]]).det() > 0) for i in range(1, len(rows) + 1))


def _seen_from(rows: Any, k: int) -> arb_mat:
    """The differences of the rows of a frame to row k."""
    return arb_mat([[x - y for x, y in zip(row, rows[k], strict=True)] for row in rows])


def _softmax(K: int, z: list[arb]) -> list[arb]:
    over = [arb(1) for _ in range(K)]
    for (j, i), x in zip(itertools.combinations(range(K), 2), z, strict=True):
        over[j] += (-x).exp()
        over[i] += x.exp()
    return [1 / x for x in over]


def _kron(omega: arb_mat, dx: arb_mat, x: arb_mat, domega: arb_mat) -> arb_mat:
    """The derivative of x omega, its entries (i, t) as rows."""
    first, second, columns = range(x.nrows()), range(omega.ncols()), range(dx.ncols())
    return arb_mat([[omega[0, t] * dx[i, c] + x[i, 0] * domega[t, c] for c in columns] for i in first for t in second])
