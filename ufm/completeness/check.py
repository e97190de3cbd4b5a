"""ufm check: verify a certificate of `ufm.prove_complete`, in ball arithmetic and by code of its own.

Only the tree of boxes is the prover's. Checked here: the pieces tile a region that is large enough, the leaves of each
tree tile its piece, each leaf is empty (or in the box of a listed point, out of order, or mirrored), each listed box
holds exactly one critical point, no two of these can be one, and what theorems say of ranks 0 and K - 1. A leaf that
these enclosures do not decide is cut further. The mathematics: docs/theory, section 16.
"""

import itertools
import time
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from ..errors import InputError
from ..problem import Problem
from ..results import Result, Shown
from ..results.plain import UNFIT
from ..storage.files import read_json
from .ranges.check import RangeChecker
from .refused import Fails, need

BITS = 64
DEPTH = 14  # how many times a leaf may be cut here
LETTERS = "abcdefghijklnpqrstuvwyz"  # leaves inside the boxes of the points 0, 1, ...
FORMAT, RANGES = "ufm completeness 1", "ufm completeness over ranges 1"
Box = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Checked(Shown, Result):
    """holds, the theorem (or what fails), how many leaves were looked at and into how many more boxes they were cut."""

    holds: bool
    statement: str
    boxes: int
    cut: int
    seconds: float
    precision: str = f"balls of {BITS} bits"


def check(file: Path | str) -> Checked:
    """Verify the certificate in a file; InputError where it is none."""
    data = read_json(file)
    if not isinstance(data, dict) or data.get("format") not in (FORMAT, RANGES):
        raise InputError(f"{file} is no certificate of completeness; name the proof.json of an atlas")
    before, ctx.prec = ctx.prec, BITS
    start, checker = time.monotonic(), None
    try:
        checker = _checker(data)
        checker.run()
        holds, statement = True, checker.statement
    except Fails as failure:
        holds, statement = False, f"does not hold: {failure}"
    except UNFIT as error:
        holds, statement = False, f"does not hold: the certificate is damaged ({error!r:.200})"
    finally:
        ctx.prec = before
    seen = (checker.leaves, checker.cut) if checker else (0, 0)
    return Checked(holds, statement, *seen, round(time.monotonic() - start, 1))


def _checker(data: dict[str, Any]) -> "Checker | RangeChecker":
    return RangeChecker(data) if data["format"] == RANGES else Checker(data)


class Checker:
    """One certificate; `run` raises Fails where something does not hold."""

    def __init__(self, data: dict[str, Any]):
        self.data, self.problem = data, Problem.of_plain(data["problem"])
        self.K, self.m, self.biased = self.problem.num_classes, self.problem.num_classes - 1, self.problem.bias
        self.size = self.m + self.K + self.m * self.biased
        lW, lH = arb(self.problem.lambda_w), arb(self.problem.lambda_h)
        self.kappa, self.lb = self.problem.num_samples * lW * lH, arb(self.problem.lambda_b)
        self.leaves = self.cut = 0
        self.points = [(tuple(map(float, p["lo"])), tuple(map(float, p["hi"]))) for p in data["points"]]
        self.y = np.zeros(self.size - self.m)

    @property
    def statement(self) -> str:
        listed = ", ".join(f"{number} of rank {rank}" for rank, number in sorted(self.ranks.items()) if number)
        whole = f"up to O({self.problem.dim}) and permutations of the classes the problem has exactly"
        return f"{whole} {sum(self.ranks.values())} critical points: {listed}"

    def run(self) -> None:
        K, d = self.K, self.problem.dim
        scope = self.problem.loss.to_plain() == "cross-entropy" and self.problem.is_balanced and (K <= 3 or d == 1)
        need(scope, "the certificate is about cross-entropy with balanced classes and K <= 3 or d = 1 alone")
        below = K * self.kappa < 1
        need(below or K * self.kappa > 1, "the decay is at the collapse threshold")
        self.ranks = {0: 1, 1: len(self.points)} | {K - 1: int(bool(below) and d >= K - 1)}
        stated = {int(rank): int(number) for rank, number in self.data["ranks"].items()}
        need(+Counter(stated) == +Counter(self.ranks), "the numbers of points of each rank are others")
        if K == 2:
            return
        cells = self._cells()
        need(len(cells) == len(self.data["pieces"]), "there are not as many pieces as the edges make")
        for i, point in enumerate(self.points):
            local = Local(self, point)
            need(local.known and local.alone(), f"the box of point {i} is not shown to hold exactly one critical point")
        for (i, a), (j, b) in itertools.combinations(enumerate(self.points), 2):
            need(not _may_be_one(a, b), f"points {i} and {j} may be one and the same")
        for i, (cell, piece) in enumerate(zip(cells, self.data["pieces"], strict=True)):
            need(piece is not None, f"piece {i} is left out")
            self._piece(i, cell, piece["codes"], [float(cut) for cut in piece["cuts"]])

    def _cells(self) -> list[Box]:
        """The pieces, whose union is shown to have a point of every orbit."""
        edges = [[float(e) for e in side] for side in self.data["edges"]]
        need(len(edges) == self.m and all(a < b for e in edges for a, b in itertools.pairwise(e)), "edges out of order")
        M = self.kappa * arb(edges[0][-1]) / 2  # kappa t |u|^2 <= M of all points, and |u|^2 >= 1/2
        need(edges[0][0] == 0 and M * (M + 1).exp() >= self.K - 1, "the region is too small: points have larger t")
        whole = all(e[0] <= 0 and e[-1] >= (0.5 if self.K == 3 else 1.0) for e in edges[1:])
        need(whole, "the region is too small: points have other u")
        cells = itertools.product(*(list(itertools.pairwise(e)) for e in edges))
        return [(tuple(lo for lo, _ in cell), tuple(hi for _, hi in cell)) for cell in cells]

    def _piece(self, number: int, cell: Box, codes: str, cuts: list[float]) -> None:
        boxes, used, where = [cell], 0, f"in piece {number}"
        for i, code in enumerate(codes):
            lo, hi = boxes[i]
            if code.isdigit():
                need(lo[int(code)] < cuts[used] < hi[int(code)], f"{where} a box is cut outside itself")
                boxes += _halves(boxes[i], int(code), cuts[used])
                used += 1
            else:
                self.leaves += 1
                need(self._leaf(code, lo, hi), f"{where} the box {lo} to {hi} is not what its leaf {code!r} says")
        need(len(boxes) == len(codes) and used == len(cuts), f"{where} boxes are left out")

    def _leaf(self, code: str, lo: tuple[float, ...], hi: tuple[float, ...]) -> bool:
        if code == "x":
            return self._empty((lo, hi), DEPTH)
        if code == "o":
            return any(hi[i] < lo[i + 1] for i in range(1, self.m - 1))
        if code == "m":
            return Fraction(lo[1]) + Fraction(lo[-1]) > 1
        low, high = self.points[LETTERS.index(code)]
        return all(map(float.__le__, low, lo)) and all(map(float.__le__, hi, high))

    def _empty(self, box: Box, depth: int) -> bool:
        """Whether no critical point is there."""
        local = Local(self, box)
        if local.known and local.misses():
            return True
        axis = int((local.first_by_side * _floats([local.half])[0]).argmax())
        self.cut += 2 * (depth > 0)
        halves = _halves(box, axis, (box[0][axis] + box[1][axis]) / 2)
        return depth > 0 and all(self._empty(half, depth - 1) for half in halves)

    def equations(self, t: arb, u: list[arb], zeta: list[arb], beta: list[arb], z: Any, V: Any) -> tuple[Any, Any]:
        """((R, B, E), their derivatives along the columns of V); z[k][j][i] encloses z_kj - z_ki."""
        K, ways = self.K, range(self.K)
        p = [[1 / (1 + _sum((-z[k][j][i]).exp() for i in ways if i != j)) for j in ways] for k in ways]
        q = [[_sum(p[k][i] for i in ways if i != k) if j == k else -p[k][j] for j in ways] for k in ways]
        eta = [_sum(p[k][j] * (u[k] - u[j]) for j in ways if j != k) for k in ways]
        mean_u, mean_b = _sum(u) / K, _sum(beta) / K
        value = [zeta[k] - t * eta[k] for k in ways]
        if self.biased:
            value += [self.lb * (beta[j] - mean_b) - _sum(q[k][j] for k in ways) / K for j in range(K - 1)]
        value += [self.kappa * (u[j] - mean_u) - _sum(eta[k] * q[k][j] for k in ways) / K for j in range(K - 1)]
        columns = []
        for v in V:
            dt, du, dzeta, dbeta = self.parts(v)
            turn = [[[_turn(k, j, i, u, zeta, du, dzeta, dbeta) for i in ways] for j in ways] for k in ways]
            dp = [[p[k][j] * _sum(p[k][i] * turn[k][j][i] for i in ways if i != j) for j in ways] for k in ways]
            pairs = list(itertools.combinations(ways, 2))
            dm = [_sum(p[k][j] * p[k][i] * turn[k][j][i] * (u[j] - u[i]) for j, i in pairs) for k in ways]
            deta = [_sum(p[k][j] * (du[k] - du[j]) for j in ways) - dm[k] for k in ways]
            column = [dzeta[k] - dt * eta[k] - t * deta[k] for k in ways]
            if self.biased:
                mean = _sum(dbeta) / K
                column += [self.lb * (dbeta[j] - mean) + _sum(dp[k][j] for k in ways) / K for j in range(K - 1)]
            moved = [_sum(deta[k] * q[k][j] - eta[k] * dp[k][j] for k in ways) / K for j in ways]
            columns.append(column + [self.kappa * (du[j] - _sum(du) / K) - moved[j] for j in range(K - 1)])
        return value, arb_mat(columns).transpose()

    def parts(self, v: Any, first: int = 0) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """t, u, zeta, beta of the list of all unknowns (u_1 = first = 1) or of a direction."""
        K, m, zero = self.K, self.m, arb(0)
        beta = [*v[m + K :], zero] if self.biased else [zero] * K
        return v[0], [arb(first), *v[1:m], zero], list(v[m : m + K]), beta


def _turn(k: int, j: int, i: int, u: Any, zeta: Any, du: Any, dzeta: Any, dbeta: Any) -> arb:
    """The derivative of z_kj - z_ki."""
    return dzeta[k] * (u[j] - u[i]) + dbeta[j] - dbeta[i] + zeta[k] * (du[j] - du[i])


class Local:
    """The system about the middle of a box: p = p0 + x, y = y0 + S x + T e (docs/theory, section 16.4)."""

    def __init__(self, checker: Checker, box: Box):
        (lo, hi), self.checker, c = box, checker, checker
        p0 = [a + (b - a) / 2 for a, b in zip(lo, hi, strict=True)]
        self.inside = [min(arb(b) - arb(m), arb(m) - arb(a)) for a, m, b in zip(lo, p0, hi, strict=True)]
        self.half = [max(arb(b) - arb(m), arb(m) - arb(a)) for a, m, b in zip(lo, p0, hi, strict=True)]
        y0, m, n, axes = c.y, c.m, c.size - c.m, [[arb(int(i == j)) for j in range(c.size)] for i in range(c.size)]
        for _ in range(80):  # Newton's method: to an approximation
            self.place = [arb(x) for x in (*p0, *y0.tolist())]
            t, u, zeta, beta = c.parts(self.place, 1)
            rows = list(zip(u, beta, strict=True))
            self.z = [[[x * (v - w) + b - a for w, a in rows] for v, b in rows] for x in zeta]
            self.at, slopes = c.equations(t, u, zeta, beta, self.z, axes)
            J, F = _floats(slopes.table()), _floats([self.at])[0, :n]
            step = np.linalg.solve(J[:n, m:], F)
            if np.abs(step).max() <= 1e-11 * (1 + np.abs(y0).max()):
                break
            y0 = y0 - step * min(1.0, 1.5 / np.abs(step).max())
        c.y, self.V = y0, np.eye(c.size)
        self.V[m:, :m] = -np.linalg.solve(J[:n, m:], J[:n, :m])
        self.V[m : m + c.K, m + c.K :] = -J[: c.K, m + c.K :] / np.diag(J[: c.K, m : m + c.K])[:, None]
        self.columns = [[arb(x) for x in column] for column in self.V.T.tolist()]
        self.near = J @ self.V
        self.C = np.linalg.inv(self.near[:n, m:])
        self.first_by_side, first = np.abs(self.V[m:, :m]).max(0), np.abs(self.V[m:, :m]) @ _floats([self.half])[0]
        room, self.known = 0.1 * first + 1e-12 * (1 + np.abs(y0)), False
        for _ in range(4):
            self.room = [arb(r) for r in room.tolist()]
            self.slopes = self._around()
            self.bound = self._mapped(self.C, self.at[:n], arb_mat(self.slopes.table()[:n]), m)
            self.known = all(b < r for b, r in zip(self.bound, self.room, strict=True))
            room = 1.3 * _floats([self.bound])[0]
            if self.known or not (room < 2 + 6 * first).all():
                break

    def _around(self) -> arb_mat:
        """The derivatives by x and e on the box |x| <= half, |e| <= room."""
        c, reach = self.checker, self.half + self.room
        moved = [_sum(abs(v) * r for v, r in zip(row, reach, strict=True)) for row in zip(*self.columns, strict=True)]
        t, u, zeta, beta = c.parts([x + arb(0, r.abs_upper()) for x, r in zip(self.place, moved, strict=True)], 1)
        _, u0, zeta0, _ = c.parts(self.place, 1)
        parts = [(*c.parts(v)[1:], r) for v, r in zip(self.columns, reach, strict=True)]
        z = [[list(row) for row in rows] for rows in self.z]
        for k, (j, i) in itertools.product(range(c.K), itertools.combinations(range(c.K), 2)):
            wide, radius = (zeta[k] - zeta0[k]).abs_upper(), arb(0)
            for du, dzeta, dbeta, r in parts:
                radius += (abs(_turn(k, j, i, u0, zeta0, du, dzeta, dbeta)) + wide * abs(du[j] - du[i])) * r
            z[k][j][i] += arb(0, radius.abs_upper())
            z[k][i][j] = -z[k][j][i]
        return c.equations(t, u, zeta, beta, z, self.columns)[1]

    def _mapped(self, C: np.ndarray, at: list[arb], slopes: arb_mat, first: int) -> list[arb]:
        """Upper bounds on |C G(0)| + |[0 I] - C G'| (half, room)."""
        exact, reach, bounds = arb_mat(C.tolist()), self.half + self.room, []
        off, image = (exact * arb_mat([[x] for x in at])).entries(), (exact * slopes).table()
        for i, row in enumerate(image):
            sizes = (abs((j == first + i) - x) * r for j, (x, r) in enumerate(zip(row, reach, strict=True)))
            bounds.append((abs(off[i]) + _sum(sizes)).abs_upper())
        return bounds

    def misses(self) -> bool:
        """Whether a row over the equations shows that none of the box is a zero."""
        m, n = self.checker.m, self.checker.size - self.checker.m
        felt = self.near[n:, m:] @ self.C
        newton = np.linalg.pinv(self.near[n:, :m] - felt @ self.near[:n, :m])
        E = _floats([self.at])[0, n:]
        reach = self.half + [min(a, b) for a, b in zip(self.bound, self.room, strict=True)]
        for outer in sorted([*newton, E], key=lambda row: -abs(row @ E) / np.linalg.norm(row)):
            row = arb_mat([[*(-outer @ felt).tolist(), *outer.tolist()]])
            value, slopes = (row * arb_mat([[x] for x in self.at]))[0, 0], (row * self.slopes).entries()
            if abs(value) > _sum(abs(s) * r for s, r in zip(slopes, reach, strict=True)):
                return True
        return False

    def alone(self) -> bool:
        """Whether exactly one zero is in the box."""
        bound = self._mapped(np.linalg.inv(self.near), self.at, self.slopes, 0)
        return all(b < r for b, r in zip(bound, self.inside + self.room, strict=True))


def _may_be_one(a: Box, b: Box) -> bool:
    """Whether points of two boxes may have one t and, sorted or mirrored and sorted, one u."""
    one, same = ([sorted(map(Fraction, end[1:])) for end in box] for box in (a, b))
    mirrored = [[1 - x for x in reversed(end)] for end in reversed(same)]
    met = b[0][0] <= a[1][0] and a[0][0] <= b[1][0]
    return met and any(all(x <= w and z <= y for x, y, z, w in zip(*one, *u, strict=True)) for u in (same, mirrored))


def _halves(box: Box, axis: int, cut: float) -> tuple[Box, Box]:
    (lo, hi), after = box, axis + 1
    return (lo, (*hi[:axis], cut, *hi[after:])), ((*lo[:axis], cut, *lo[after:]), hi)


def _floats(rows: Any) -> np.ndarray:
    return np.array([[float(x.mid()) for x in row] for row in rows])


def _sum(terms: Any) -> Any:
    return sum(terms, arb(0))
