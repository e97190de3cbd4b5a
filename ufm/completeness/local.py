"""What `ufm check` shows of one box, in balls of ctx.prec bits (Arb), by code of its own: docs/theory, section 16.4.

The system about the middle of a box is p = p0 + x, y = y0 + S x + T e. Newton's method, S, T and C are in plain
floating point: whatever they are does no harm. G(0) and G' on |x| <= half, |e| <= room are enclosed. A matrix of balls
times the balls 0 +- half, 0 +- room is one ball a row, whose radius is what the tests ask for.
"""

import itertools
from typing import Any

import numpy as np
from flint import arb, arb_mat

from ..problem import Problem
from .trees import Box

TRIES = 5  # rooms that are tried
DAMPED = 1.5  # the longest step of Newton's method
SPARE = 1.1  # how much larger the room is than it needs to be
CLOSE = 1e-7  # a step below this is the last


class Equations:
    """R, B, E of one order of the classes, with n_k = counts; z is z_kj - z_ki for all k and pairs j < i."""

    def __init__(self, problem: Problem, counts: list[int], smoothing: float):
        K = self.K = len(counts)
        self.m, self.biased, self.counts = K - 1, problem.bias, counts
        self.size = self.m + K + (K - 1) * self.biased
        self.kappa = problem.num_samples * arb(problem.lambda_w) * arb(problem.lambda_h)
        self.lb, self.a = arb(problem.lambda_b), arb(smoothing)
        self.shares = [arb(n) / sum(counts) for n in counts]
        self.pairs = list(itertools.combinations(range(K), 2))
        n = self.size - self.m
        self.p, self.y, self.S = np.zeros(self.m), np.zeros(n), np.zeros((n, self.m))  # the last inner solution
        self.curved = np.full(self.size - self.m, 0.1)  # how far the last ones were from linear
        unit, still = np.eye(self.size), np.zeros((1, self.size))
        self.du = np.concatenate([still, unit[1 : self.m], still])
        self.dzeta = unit[self.m : self.m + K]
        self.dbeta = np.concatenate([unit[self.m + K :], still]) if self.biased else np.zeros((K, self.size))
        self.exact_du = arb_mat(self.du.tolist())
        self.centred = arb_mat([[int(i == j) - arb(1) / K for i in range(K)] for j in range(K - 1)])
        self.pulled = self.centred * self.exact_du * self.kappa
        self.targets = np.eye(K) - smoothing * (np.eye(K) - 1 / K)

    def parts(self, place: Any) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """t, u, zeta, beta of all unknowns"""
        K, m = self.K, self.m
        beta = [*place[m + K :], 0.0] if self.biased else [0.0] * K
        return place[0], [1.0, *place[1:m], 0.0], list(place[m : m + K]), beta

    def approximate(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R, B, E and their derivatives), in floating point."""
        t, u, zeta, beta = (np.asarray(part) for part in self.parts(place))
        z, shares = zeta[:, None] * u + beta, np.array(self.counts) / sum(self.counts)
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        q, kappa, lb, du = self.targets - p, float(self.kappa), float(self.lb), self.du
        eta, dz = q @ u, zeta[:, None, None] * du + u[:, None] * self.dzeta[:, None] + self.dbeta
        dp = p[:, :, None] * (dz - p[:, None] @ dz)
        deta = q @ du - u @ dp
        deta_t = t * deta
        deta_t[:, 0] += eta
        value, slopes = [zeta - t * eta], [self.dzeta - deta_t]
        if self.biased:
            value.append((lb * (beta - beta.sum() / self.K) - shares @ q)[:-1])
            slopes.append((lb * (self.dbeta - self.dbeta.sum(0) / self.K) + _mixed(shares, dp))[:-1])
        value.append((kappa * (u - u.sum() / self.K) - (shares * eta) @ q)[:-1])
        moved = q.T @ (shares[:, None] * deta) - _mixed(shares * eta, dp)
        slopes.append((kappa * (du - du.sum(0) / self.K) - moved)[:-1])
        return np.concatenate(value), np.concatenate(slopes)

    def seen(self, u: list[arb], z: list[list[arb]]) -> tuple[list[list[arb]], list[list[arb]], list[arb]]:
        """p_kj, q_kj = r_kj - p_kj, eta_k = <q_k, u>"""
        ways, p, q = range(self.K), [], []
        for row in z:
            over = [arb(1)] * self.K
            for (j, i), x in zip(self.pairs, row, strict=True):
                over[j] = over[j] + (-x).exp()
                over[i] = over[i] + x.exp()
            p.append([1 / x for x in over])
        for k in ways:
            wrong = [total(p[k][i] for i in ways if i != k) if j == k else -p[k][j] for j in ways]
            q.append([wrong[j] - self.a * ((j == k) - arb(1) / self.K) for j in ways] if self.a else wrong)
        eta = [total(p[k][j] * (u[k] - u[j]) for j in ways if j != k) for k in ways]
        if self.a:
            eta = [eta[k] - self.a * (u[k] - total(u) / self.K) for k in ways]
        return p, q, eta

    def value(self, place: list[arb], z: list[list[arb]]) -> list[arb]:
        (t, u, zeta, beta), ways = self.parts(place), range(self.K)
        _, q, eta = self.seen(u, z)
        mean_u, mean_b, shares = total(u) / self.K, total(beta) / self.K, self.shares
        value = [x - t * y for x, y in zip(zeta, eta, strict=True)]
        if self.biased:
            value += [self.lb * (beta[j] - mean_b) - total(shares[k] * q[k][j] for k in ways) for j in ways[:-1]]
        weights = [share * x for share, x in zip(shares, eta, strict=True)]
        return value + [self.kappa * (u[j] - mean_u) - total(weights[k] * q[k][j] for k in ways) for j in ways[:-1]]

    def turn(self, place: list[arb]) -> arb_mat:
        """The derivatives of all z_kj - z_ki by all unknowns."""
        (_, u, zeta, _), m, rows = self.parts(place), self.m, []
        for k, (j, i) in itertools.product(range(self.K), self.pairs):
            row = [0] * self.size
            row[m + k] = u[j] - u[i]
            for sign, a in ((1, j), (-1, i)):
                if 0 < a < self.K - 1:
                    row[a] = sign * zeta[k]
                if self.biased and a < self.K - 1:
                    row[m + self.K + a] = sign
            rows.append(row)
        return arb_mat(rows)

    def slopes(self, place: list[arb], z: list[list[arb]], V: "Frame") -> arb_mat:
        """The derivatives of R, B, E along the columns of V."""
        (t, u, _, _), ways, shares = self.parts(place), range(self.K), self.shares
        p, q, eta = self.seen(u, z)
        moved, none = self.turn(place) * V.all, [0] * len(self.pairs)
        to_mean: list[list[Any]] = []
        to_p: list[list[list[Any]]] = []
        for k in ways:
            both = [p[k][j] * p[k][i] for j, i in self.pairs]
            to_mean.append([*none * k, *(x * (u[j] - u[i]) for x, (j, i) in zip(both, self.pairs, strict=True))])
            to_mean[k] += none * (self.K - 1 - k)
            signs = [[(j == a) - (i == a) for j, i in self.pairs] for a in ways[:-1]]
            to_p.append([[s * x for s, x in zip(sign, both, strict=True)] for sign in signs])
        deta = arb_mat(q) * self.exact_du - arb_mat(to_mean) * moved
        R = V.zeta - arb_mat([[x] for x in eta]) * V.t - deta * t
        weights = [share * x for share, x in zip(shares, eta, strict=True)]
        felt = arb_mat([[shares[k] * q[k][j] for k in ways] for j in ways[:-1]])
        E = self.pulled - felt * deta + arb_mat(_weighted(weights, to_p)) * moved
        rows = R.table()
        if self.biased:
            rows += (self.centred * V.beta * self.lb + arb_mat(_weighted(shares, to_p)) * moved).table()
        return arb_mat(rows + E.table())


def _mixed(weights: np.ndarray, parts: np.ndarray) -> np.ndarray:
    return (weights[:, None, None] * parts).sum(0)


def _weighted(weights: list[arb], blocks: list[list[list[Any]]]) -> list[list[Any]]:
    """The rows of weight_k block_k, side by side over k."""
    rows = range(len(blocks[0]))
    return [[w * x for w, block in zip(weights, blocks, strict=True) for x in block[j]] for j in rows]


class Frame:
    """p and y by x and e: the columns of V, and its rows by what they move."""

    def __init__(self, c: Equations, V: np.ndarray):
        m, K, rows = c.m, c.K, V.tolist()
        self.all, self.t, self.zeta = arb_mat(rows), arb_mat(rows[:1]), arb_mat(rows[m : m + K])
        self.beta = arb_mat([*(rows[m + K :] if c.biased else [[0.0] * c.size] * (K - 1)), [0.0] * c.size])


class Local:
    """A box. known: the inner unknowns of all p in it are within `bound`."""

    def __init__(self, c: Equations, box: Box):
        self.c, m, n = c, c.m, c.size - c.m
        p0 = self._sides(box)
        y0, J, S = self.newton(p0)
        V = np.eye(c.size)
        V[m:, :m] = S
        V[m : m + c.K, m + c.K :] = -J[: c.K, m + c.K :] / np.diag(J[: c.K, m : m + c.K])[:, None]
        self.near, self.V = J @ V, Frame(c, V)
        self.C = inverse(self.near[:n, m:])
        self.place = [arb(x) for x in (*p0, *y0.tolist())]
        _, u, zeta, beta = c.parts(self.place)
        self.z = [[x * (u[j] - u[i]) + beta[j] - beta[i] for j, i in c.pairs] for x in zeta]
        self.at = c.value(self.place, self.z)
        self.turned = c.turn(self.place) * self.V.all
        self.by_side = np.abs(V[m:, :m]).max(0) * [float(h) for h in self.half]
        self._find_room(np.abs(V[m:, :m]) @ [float(h) for h in self.half], 1e-12 * (1 + np.abs(y0)))

    def _sides(self, box: Box) -> list[float]:
        """The middle; half and inside: how far the sides are from it, at most and at least."""
        lo, hi = box
        p0 = [a + (b - a) / 2 for a, b in zip(lo, hi, strict=True)]
        sides = [(arb(b) - arb(x), arb(x) - arb(a)) for a, x, b in zip(lo, p0, hi, strict=True)]
        self.half = [max(x.abs_upper(), y.abs_upper()) for x, y in sides]
        self.inside = [min(x.lower(), y.lower()) for x, y in sides]
        return p0

    def _find_room(self, first: np.ndarray, rounding: np.ndarray) -> None:
        """A room mapped into itself, or none. first: how far the box moves the inner unknowns, to first order."""
        c, m, n = self.c, self.c.m, self.c.size - self.c.m
        least, self.known = c.curved * first, False
        for tried in range(TRIES):
            self.room = [arb(r) for r in (SPARE * least + rounding).tolist()]
            self._enclose()
            still, moved = self._mapped(self.C, self.at[:n], arb_mat(self.slopes.table()[:n]), m)
            self.bound = [(x + y).abs_upper() for x, y in zip(still, moved, strict=True)]
            self.known = all(b < r for b, r in zip(self.bound, self.room, strict=True))
            shrinks = all(x < r for x, r in zip(moved, self.room, strict=True))
            least = _least_room(*(np.array([float(x) for x in part]) for part in (still, moved, self.room)))
            if self.known:
                c.curved = least / np.maximum(first, 1e-300)
                return
            if not tried and not shrinks:
                least = 0.1 * first
            if not (least < 2 + 6 * first).all():
                return

    def newton(self, p0: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(an approximate inner solution, the derivatives near it, its own)"""
        c, m, n = self.c, self.c.m, self.c.size - self.c.m
        y = c.y + c.S @ (np.array(p0) - c.p)
        for _ in range(80):
            F, J = c.approximate(np.array([*p0, *y]))
            step = inverse(J[:n, m:]) @ F[:n]
            most = np.abs(step).max()
            y = y - step * min(1.0, DAMPED / most if most else 1.0)
            if not most > CLOSE * (1 + np.abs(y).max()):
                break
        S = -inverse(J[:n, m:]) @ J[:n, :m]
        if np.isfinite(S).all():
            c.p, c.y, c.S = np.array(p0), y, S
        return y, J, S

    def _enclose(self) -> None:
        """The unknowns and the derivatives by x and e on the box |x| <= half, |e| <= room."""
        c, m = self.c, self.c.m
        reach = column([arb(0, r) for r in [*self.half, *self.room]])
        moved = (self.V.all * reach).entries()
        self.wide = [x + y for x, y in zip(self.place, moved, strict=True)]
        du, off = [arb(0), *moved[1:m], arb(0)], (self.turned * reach).entries()
        second = [moved[m + k] * (du[j] - du[i]) for k in range(c.K) for j, i in c.pairs]
        z = [x + y + w for x, y, w in zip(itertools.chain(*self.z), off, second, strict=True)]
        self.around = [z[k * len(c.pairs) : (k + 1) * len(c.pairs)] for k in range(c.K)]
        self.slopes = c.slopes(self.wide, self.around, self.V)

    def _mapped(self, C: np.ndarray, at: list[arb], slopes: arb_mat, first: int) -> tuple[list[arb], list[arb]]:
        """Upper bounds on |C G(0)| + |[0 I] - C G'| (half, 0), and on |[0 I] - C G'| (0, room)."""
        exact, zero = arb_mat(C.tolist()), arb(0)
        identity = arb_mat(np.eye(self.c.size)[first : first + len(C)].tolist())
        reach = [[arb(0, r), zero] for r in self.half] + [[zero, arb(0, r)] for r in self.room]
        found = ((identity - exact * slopes) * arb_mat(reach)).table()
        off = (exact * column(at)).entries()
        return [(x + y).abs_upper() for x, (y, _) in zip(off, found, strict=True)], [y.abs_upper() for _, y in found]

    def misses(self) -> bool:
        """Whether a row over the equations shows that none of the box is a zero."""
        m, n = self.c.m, self.c.size - self.c.m
        felt, E = self.near[n:, m:] @ self.C, np.array([float(x.mid()) for x in self.at[n:]])
        rows = np.concatenate([inverse(self.near[n:, :m] - felt @ self.near[:n, :m]), E[None]])
        exact = arb_mat(np.concatenate([-rows @ felt, rows], 1).tolist())
        reach = [*self.half, *(min(a, b) for a, b in zip(self.bound, self.room, strict=True))]
        found = exact * column(self.at) + exact * self.slopes * column([arb(0, r) for r in reach])
        return any(not x.contains(0) for x in found.entries())

    def alone(self) -> bool:
        """Whether exactly one zero is in the box."""
        still, moved = self._mapped(inverse(self.near), self.at, self.slopes, 0)
        return all(x + y < r for x, y, r in zip(still, moved, [*self.inside, *self.room], strict=True))


def _least_room(still: np.ndarray, moved: np.ndarray, room: np.ndarray) -> np.ndarray:
    """About the least that is mapped into itself: with s room to still + s moved, for some s."""
    free = room - moved
    return still + (still / free).max() * moved if (free > 0).all() else 1.3 * (still + moved)


def inverse(A: np.ndarray) -> np.ndarray:
    """The inverse, about; NaN, which decides nothing, where there is none."""
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        return np.full_like(A, np.nan)


def column(entries: list[arb]) -> arb_mat:
    return arb_mat([[x] for x in entries])


def total(terms: Any) -> Any:
    return sum(terms, arb(0))
