"""What `ufm check` shows of one box of u, in balls and by code of its own (docs/theory, sections 16.4 and 16.6)."""

import itertools
from typing import Any

import numpy as np
from flint import arb, arb_mat

from ..trees import Box

PASSES = 4  # rooms that are tried
CLOSE = 1e-11  # a step of Newton's method below this, relative to 1 + |y| entry by entry, is the last


class Unknowns:
    """u (m), and y (n): zeta (K, r) and the upper triangle of a; the system in floating point."""

    def __init__(self, K: int, r: int, kappa: arb):
        self.K, self.r, self.kappa, self.m = K, r, kappa, K - 2
        self.triangle = list(itertools.combinations_with_replacement(range(r), 2))
        self.pairs = list(itertools.combinations(range(K), 2))
        self.n = K * r + len(self.triangle)
        self.y = self.guess()  # where Newton's method ended last

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

    def values(self, places: np.ndarray) -> np.ndarray:
        """R, C, D at places (B, m + n), in floating point."""
        u, logits = places[:, : self.m].T, self.m + self.K * self.r
        inside, outside = (np.moveaxis(np.array(x), 2, 0) for x in self.frames(list(u), np.ones(len(places))))
        zeta = places[:, self.m : logits].reshape(-1, self.K, self.r)
        a = np.moveaxis(np.array(self.symmetric(places[:, logits:].T)), 2, 0)
        z = zeta @ inside.swapaxes(1, 2)
        e = np.exp(z - z.max(2, keepdims=True))
        q = np.eye(self.K) - e / e.sum(2, keepdims=True)
        gram = inside.swapaxes(1, 2) @ (inside - inside.mean(1, keepdims=True))
        C = zeta.swapaxes(1, 2) @ zeta / self.K - float(self.kappa) * a @ gram @ a
        D = zeta.swapaxes(1, 2) @ (q @ outside) / self.K
        parts = (zeta - q @ inside @ a, np.stack([C[:, i, j] for i, j in self.triangle], 1), D)
        return np.concatenate([x.reshape(len(places), -1) for x in parts], 1)

    def jacobian(self, place: np.ndarray) -> np.ndarray:
        """Of `values` at one place, by central differences."""
        h = 1e-5 * np.maximum(1.0, np.abs(place))
        ahead, behind = self.values(place + np.diag(h)), self.values(place - np.diag(h))
        return ((ahead - behind) / (2 * h[:, None])).T

    def left(self, places: np.ndarray) -> np.ndarray:
        """(B,) how large R and C are beside the logits: this keeps Newton's method from the zero at a = 0, zeta = 0."""
        logits = self.K * self.r
        size = np.abs(places[:, self.m : self.m + logits]).max(1)
        R, C = np.split(np.abs(self.values(places)[:, : self.n]), [logits], 1)
        return np.maximum(R.max(1) / size, C.max(1) / size**2)

    def guess(self) -> np.ndarray:
        """Inner unknowns to begin Newton's method with: the simplex frame's, in the range of u = 1/2."""
        K, s = self.K, float(self.kappa / self.K) ** 0.5
        inside = np.array(self.frames([0.5] * self.m, 1.0)[0])
        a = np.log(max((1 - (K - 1) * s) / s, 1.1)) / (K * s) * np.linalg.inv(inside.T @ (inside - inside.mean(0)))
        return np.concatenate([(K * s * (inside - inside.mean(0)) @ a).ravel(), a[np.triu_indices(self.r)]])


class Equations:
    """R, C, D where u, y and z_kj - z_ki (for each k, pairs j < i) are in balls; `slopes` along the columns of V."""

    def __init__(self, c: Unknowns, u: list[arb], y: list[arb], z: list[list[arb]]):
        K, r, self.c = c.K, c.r, c
        self.zeta = [arb_mat([[x] for x in y[k * r : k * r + r]]) for k in range(K)]
        self.a = arb_mat(c.symmetric(y[K * r :]))
        self.I, self.O = ([_seen_from(x, k) for k in range(K)] for x in c.frames(u, arb(1)))
        self.gaps = [_gaps(x) for x in c.frames(u, arb(1))]
        self.p = [_softmax(K, row) for row in z]
        self.q = [-arb_mat([[x * int(j != k) for j, x in enumerate(p)]]) for k, p in enumerate(self.p)]
        self.eta, self.omega = ([q * x for q, x in zip(self.q, frame, strict=True)] for frame in (self.I, self.O))
        self.gram = c.kappa / K / 2 * _total_of(x.transpose() * x for x in self.I)

    def value(self) -> list[arb]:
        a, K = self.a, self.c.K
        R = [x for zeta, eta in zip(self.zeta, self.eta, strict=True) for x in (zeta - a * eta.transpose()).entries()]
        C = _total_of(zeta * zeta.transpose() for zeta in self.zeta) / K - a * self.gram * a
        D = _total_of(zeta * omega for zeta, omega in zip(self.zeta, self.omega, strict=True)) / K
        return R + [C[i, j] for i, j in self.c.triangle] + D.entries()

    def slopes(self, V: np.ndarray) -> arb_mat:
        """(n + m, n + m): the derivatives along the columns of V, which begins with the identity in u."""
        c, K, r = self.c, self.c.K, self.c.r
        turned = [c.frames([float(i == j) for j in range(c.m)], 0.0) for i in range(c.m)]
        dzeta = [arb_mat(V[c.m + k * r : c.m + k * r + r].tolist()) for k in range(K)]
        da = arb_mat(V[c.m + K * r :].tolist())
        R, C, D = [], _sides(self._gram_by(turned), V.shape[1]) + self._gram_by_a() * da, arb_mat(0, 0)
        for k in range(K):
            zeta, q, p = self.zeta[k], self.q[k], self.p[k]
            dz = self.gaps[0] * dzeta[k] + _sides([_gaps(x) * zeta for x, _ in turned], V.shape[1])
            flow = arb_mat([[p[j] * p[i] * x for x in row] for (j, i), row in zip(c.pairs, dz.table(), strict=True)])
            deta, domega = (
                _sides([(q * _seen_from(x, k)).transpose() for x in dx], V.shape[1]) - gaps.transpose() * flow
                for gaps, dx in zip(self.gaps, zip(*turned, strict=True), strict=True)
            )
            R += (dzeta[k] - self.a * deta - self._by_a(self.eta[k]) * da).table()
            C -= self._squared(zeta) * dzeta[k] / K
            moved = _kron(self.omega[k], dzeta[k], zeta, domega)
            D = moved if k == 0 else D + moved
        return arb_mat(R + (-C).table() + (D / K).table())

    def _by_a(self, eta: arb_mat) -> arb_mat:
        """The matrix of da -> da eta^T."""
        columns = [arb_mat(self.c.symmetric(unit)) * eta.transpose() for unit in np.eye(len(self.c.triangle)).tolist()]
        return arb_mat([x.entries() for x in columns]).transpose()

    def _squared(self, zeta: arb_mat) -> arb_mat:
        """The matrix of dzeta -> the upper triangle of zeta dzeta^T + dzeta zeta^T."""
        size = range(self.c.r)
        return arb_mat(
            [[zeta[i, 0] * int(s == j) + zeta[j, 0] * int(s == i) for s in size] for i, j in self.c.triangle]
        )

    def _gram_by(self, turned: Any) -> list[arb_mat]:
        """The upper triangle of a dgram a, by each side of u."""
        found = []
        for dinside, _ in turned:
            crossed = _total_of(_seen_from(dinside, k).transpose() * x for k, x in enumerate(self.I))
            moved = self.a * (crossed + crossed.transpose()) * self.a * (self.c.kappa / self.c.K / 2)
            found.append(arb_mat([[moved[i, j]] for i, j in self.c.triangle]))
        return found

    def _gram_by_a(self) -> arb_mat:
        """The matrix of da -> the upper triangle of da gram a + a gram da."""
        columns = []
        for unit in np.eye(len(self.c.triangle)).tolist():
            moved = arb_mat(self.c.symmetric(unit)) * self.gram * self.a
            columns.append([moved[i, j] + moved[j, i] for i, j in self.c.triangle])
        return arb_mat(columns).transpose()

    def positive(self) -> bool:
        """Whether a is shown to be positive definite: all leading minors are positive."""
        rows = self.a.table()
        return all(bool(arb_mat([row[:i] for row in rows[:i]]).det() > 0) for i in range(1, self.c.r + 1))


class Local:
    """The system about the middle of a box: u = u0 + x, y = y0 + S x + T e (docs/theory, section 16.4)."""

    def __init__(self, unknowns: Unknowns, box: Box):
        (lo, hi), c, self.c = box, unknowns, unknowns
        m, n, end = c.m, c.n, c.m + c.K * c.r
        u0 = [a + (b - a) / 2 for a, b in zip(lo, hi, strict=True)]
        self.inside = [min(arb(b) - arb(x), arb(x) - arb(a)) for a, x, b in zip(lo, u0, hi, strict=True)]
        self.half = [max(arb(b) - arb(x), arb(x) - arb(a)) for a, x, b in zip(lo, u0, hi, strict=True)]
        place, J = self._newton(np.array(u0))
        self.V = np.eye(m + n)
        self.V[m:, :m] = -np.linalg.solve(J[:n, m:], J[:n, :m])
        self.V[m:end, end:] = -np.linalg.solve(J[: end - m, m:end], J[: end - m, end:])
        self.near, self.place = J @ self.V, [arb(x) for x in place.tolist()]
        self.C = np.linalg.inv(self.near[:n, m:])
        half, first = _floats([self.half])[0], np.abs(self.V[m:, :m]) @ _floats([self.half])[0]
        self.widest = int(((np.abs(self.V[m:end, :m]).max(0) + np.abs(place[m:end]).max()) * half).argmax())
        self.z = self._differences()
        self.at = Equations(c, self.place[:m], self.place[m:], self.z).value()
        room, self.known = 0.1 * first + 1e-12 * (1 + np.abs(place[m:])), False
        for _ in range(PASSES):
            self.room = [arb(x) for x in room.tolist()]
            around = self._around()
            self.slopes = around.slopes(self.V)
            self.bound = self._mapped(self.C, self.at[:n], arb_mat(self.slopes.table()[:n]), m)
            self.known = all(b < x for b, x in zip(self.bound, self.room, strict=True)) and around.positive()
            room = 1.3 * _floats([self.bound])[0]
            if self.known or not (room < 2 + 6 * first).all():
                break

    def _newton(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(u and an approximate inner solution, the Jacobian there)"""
        c, m, n = self.c, self.c.m, self.c.n
        starts = np.array([np.concatenate([u, y]) for y in (c.y, c.guess())])
        place = starts[c.left(starts).argmin()]
        for _ in range(80):
            J, F = c.jacobian(place), c.values(place[None])[0, :n]
            step = np.concatenate([np.zeros(m), np.linalg.solve(J[:n, m:], F)])
            if (np.abs(step) <= CLOSE * (1 + np.abs(place))).all():
                break
            trials = place - 0.5 ** np.arange(11)[:, None] * step
            place = trials[c.left(trials).argmin()]
        c.y = place[m:]
        return place, J

    def _differences(self) -> list[list[arb]]:
        """z_kj - z_ki in the middle."""
        c, zeta = self.c, self.place[self.c.m :]
        gaps = _gaps(c.frames(self.place[: c.m], arb(1))[0])
        return [(gaps * arb_mat([[x] for x in zeta[k * c.r : k * c.r + c.r]])).entries() for k in range(c.K)]

    def _around(self) -> Equations:
        """The equations on the box |x| <= half, |e| <= room, with the differences of logits to first order."""
        c, reach = self.c, self.half + self.room
        moved = [_total(abs(arb(v)) * x for v, x in zip(row, reach, strict=True)) for row in self.V.tolist()]
        wide = [x + arb(0, by.abs_upper()) for x, by in zip(self.place, moved, strict=True)]
        gaps, z = _gaps(c.frames(self.place[: c.m], arb(1))[0]), []
        turned = [_gaps(c.frames([float(i == j) for j in range(c.m)], 0.0)[0]) for i in range(c.m)]
        for k in range(c.K):
            at = slice(c.m + k * c.r, c.m + k * c.r + c.r)
            zeta, off = arb_mat([[x] for x in self.place[at]]), arb_mat([[x] for x in moved[at]])
            first = gaps * arb_mat(self.V[at].tolist()) + _sides([x * zeta for x in turned], self.V.shape[1])
            sizes = [_total(abs(x) * by for x, by in zip(row, reach, strict=True)) for row in first.table()]
            second = _total_of(_sizes(x) * off * h for x, h in zip(turned, self.half, strict=True)).entries()
            z.append([x + arb(0, (a + b).abs_upper()) for x, a, b in zip(self.z[k], sizes, second, strict=True)])
        return Equations(c, wide[: c.m], wide[c.m :], z)

    def _mapped(self, C: np.ndarray, at: list[arb], slopes: arb_mat, first: int) -> list[arb]:
        """Upper bounds on |C G(0)| + |[0 I] - C G'| (half, room)."""
        exact, reach, bounds = arb_mat(C.tolist()), self.half + self.room, []
        off, image = (exact * arb_mat([[x] for x in at])).entries(), (exact * slopes).table()
        for i, row in enumerate(image):
            sizes = (abs((j == first + i) - x) * by for j, (x, by) in enumerate(zip(row, reach, strict=True)))
            bounds.append((abs(off[i]) + _total(sizes)).abs_upper())
        return bounds

    def misses(self) -> bool:
        """Whether the inner solutions are known, and a row over the equations shows that none of the box is a zero."""
        if not self.known:
            return False
        m, n = self.c.m, self.c.n
        felt, D = self.near[n:, m:] @ self.C, _floats([self.at])[0, n:]
        reach = self.half + [min(a, b) for a, b in zip(self.bound, self.room, strict=True)]
        for outer in (*np.linalg.pinv(self.near[n:, :m] - felt @ self.near[:n, :m]), D):
            row = arb_mat([[*(-outer @ felt).tolist(), *outer.tolist()]])
            value, slopes = (row * arb_mat([[x] for x in self.at]))[0, 0], (row * self.slopes).entries()
            if abs(value) > _total(abs(s) * by for s, by in zip(slopes, reach, strict=True)):
                return True
        return False

    def alone(self) -> bool:
        """Whether the inner solutions are known and exactly one zero is in the box."""
        bound = self._mapped(np.linalg.inv(self.near), self.at, self.slopes, 0)
        return self.known and all(b < x for b, x in zip(bound, self.inside + self.room, strict=True))


def _seen_from(rows: Any, k: int) -> arb_mat:
    """The differences of the rows of a frame to row k."""
    return arb_mat([[x - y for x, y in zip(row, rows[k], strict=True)] for row in rows])


def _gaps(rows: Any) -> arb_mat:
    """The differences of the rows of a frame, over pairs."""
    return arb_mat([[x - y for x, y in zip(*pair, strict=True)] for pair in itertools.combinations(rows, 2)])


def _sizes(matrix: arb_mat) -> arb_mat:
    return arb_mat([[abs(x) for x in row] for row in matrix.table()])


def _softmax(K: int, z: list[arb]) -> list[arb]:
    over = [arb(1) for _ in range(K)]
    for (j, i), x in zip(itertools.combinations(range(K), 2), z, strict=True):
        over[j] += (-x).exp()
        over[i] += x.exp()
    return [1 / x for x in over]


def _sides(columns: list[arb_mat], width: int) -> arb_mat:
    """The columns (a, 1), and zeros up to the width."""
    rows = zip(*(x.entries() for x in columns), strict=True)
    return arb_mat([[*row, *[0] * (width - len(columns))] for row in rows])


def _kron(omega: arb_mat, dzeta: arb_mat, zeta: arb_mat, domega: arb_mat) -> arb_mat:
    """The derivative of zeta omega, its entries (i, t) as rows."""
    first, second = zeta.nrows(), omega.ncols()
    return arb_mat(
        [
            [omega[0, t] * dzeta[i, c] + zeta[i, 0] * domega[t, c] for c in range(dzeta.ncols())]
            for i in range(first)
            for t in range(second)
        ]
    )


def _floats(rows: Any) -> np.ndarray:
    return np.array([[float(x.mid()) for x in row] for row in rows])


def _total(terms: Any) -> Any:
    return sum(terms, arb(0))


def _total_of(matrices: Any) -> arb_mat:
    first, *others = matrices
    return sum(others, first)
