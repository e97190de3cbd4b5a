"""The reduced problem in balls: f, its gradient and its Hessian with one feature a type in r dimensions.

Variables x = (X, Y, b): X = W V_r (K, r), Y (T, r) with rows sqrt(n_t) h_t V_r, b (K,) where there is a bias.
With z_t = X y_t/sqrt(n_t) + b, S_t the curvature of l_t there, and G~ (T, K) the matrix of rows sqrt(n_t) u_t/N, u_t
the slope, as in `ufm.landscape`:

    f         (1/N) sum_t n_t l_t(z_t) + lW/2 |X|^2 + lH/2 |Y|^2 + lb/2 |b|^2
    gradient  X: G~^T Y + lW X          Y: G~ X + lH Y          b: sum_t sqrt(n_t) g~_t + lb b
    Hessian   sum_t J_t^T (n_t S_t/N) J_t + 2 <G~, dY dX^T> + decay,      J_t dx = (dX y_t + X dy_t)/sqrt(n_t) + db

f does not change under (X, Y) -> (X R, Y R), R in O(r), nor, where nothing decays the bias and the loss does not change
under z -> z + c s, under b -> b + c s (s = 1 for a shift-invariant loss; there is none for squares or one logistic loss
a class). The tangent vectors of these symmetries, (X A, Y A, 0) for skew A and (0, 0, s), are linear in x.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from flint import arb, arb_mat

from ..problem import Problem
from . import losses
from .balls import column, exact


@dataclass(frozen=True, eq=False)
class Reduced:
    """The reduced problem of rank r: a loss of `ufm.proofs.losses`, and settings that are exact doubles.

    It is posed for 2^power W and 2^-power H, with the decays 4^-power lW and 4^power lH, which are doubles too: boxes
    are cubes, the right shape where the two decays are nearly equal. `square_norm` is that of W, H and b.
    """

    problem: Problem
    rank: int
    power: int = 0

    @classmethod
    def of(cls, problem: Problem, rank: int) -> "Reduced":
        """The reduced problem whose power brings the decays within a factor of 2 of their geometric mean."""
        power = round(math.log2(problem.stretch))
        lW, lH = problem.lambda_w * 4.0**-power, problem.lambda_h * 4.0**power
        return cls(replace(problem, lambda_w=lW, lambda_h=lH), rank, power)

    @property
    def num_classes(self) -> int:
        return self.problem.num_classes

    @property
    def num_types(self) -> int:
        return self.problem.num_types

    @property
    def num_samples(self) -> int:
        return self.problem.num_samples

    @property
    def half(self) -> int:
        """K r: the number of entries of X."""
        return self.num_classes * self.rank

    @property
    def features(self) -> int:
        """(K + T) r: the number of entries of X and Y together, where those of b begin."""
        return (self.num_classes + self.num_types) * self.rank

    @property
    def size(self) -> int:
        """The number of variables."""
        return self.features + self.num_classes * self.problem.bias

    @cached_property
    def roots(self) -> list[arb]:
        """sqrt(n_t)."""
        return [arb(n).sqrt() for n in self.problem.class_counts]

    @cached_property
    def decays(self) -> tuple[arb, arb, arb]:
        """lW, lH, lb: as doubles, exact."""
        problem = self.problem
        return arb(float(problem.lambda_w)), arb(float(problem.lambda_h)), arb(float(problem.lambda_b))

    @cached_property
    def decay(self) -> list[arb]:
        """The weight decay of every variable."""
        lW, lH, lb = self.decays
        return [lW] * self.half + [lH] * (self.features - self.half) + [lb] * (self.size - self.features)

    @cached_property
    def shift(self) -> list[arb] | None:
        """s (K,) where b -> b + c s is a symmetry; None where there is none."""
        problem = self.problem
        free = problem.bias and problem.lambda_b == 0
        return losses.shift(problem.loss, problem.num_classes) if free else None

    @property
    def scales(self) -> tuple[arb, arb]:
        """What X and Y are to be multiplied by for W and H~: 2^-power and 2^power."""
        return arb(2) ** -self.power, arb(2) ** self.power

    def square_norm(self, x: arb_mat) -> arb:
        """|W|^2 + |H~|^2 + |b|^2 of a column x."""
        entries, (to_W, to_H) = x.entries(), self.scales
        parts = entries[: self.half], entries[self.half : self.features], entries[self.features :]
        W, H, b = (sum((v * v for v in part), arb(0)) for part in parts)
        return to_W * to_W * W + to_H * to_H * H + b

    @property
    def planes(self) -> list[tuple[int, int]]:
        """The coordinate planes of R^r, one for each generator of its rotations."""
        return list(combinations(range(self.rank), 2))

    @property
    def num_symmetries(self) -> int:
        return len(self.planes) + (self.shift is not None)

    def split(self, x: arb_mat) -> tuple[arb_mat, arb_mat, list[arb]]:
        """X (K, r), Y (T, r) and b of a column x; b is zero for a problem without one."""
        entries, K, T, r = x.entries(), self.num_classes, self.num_types, self.rank
        X, Y, b = entries[: self.half], entries[self.half : self.features], entries[self.features :]
        return arb_mat(K, r, X), arb_mat(T, r, Y), b or [arb(0)] * K

    def tangents(self, x: arb_mat) -> arb_mat:
        """(size, m): the tangent vectors at x of the m one-parameter symmetries."""
        columns = [self._turned(x.entries(), a, c) for a, c in self.planes]
        if self.shift is not None:
            columns.append([arb(0)] * self.features + self.shift)
        return arb_mat(self.num_symmetries, self.size, [entry for col in columns for entry in col]).transpose()

    def _turned(self, x: list[arb], a: int, c: int) -> list[arb]:
        """(X A, Y A, 0) for the generator A = e_a e_c^T - e_c e_a^T."""
        image = [arb(0)] * self.size
        for start in range(0, self.features, self.rank):
            image[start + c] = x[start + a]
            image[start + a] = -x[start + c]
        return image

    def tangent_derivative(self, mu: list[arb]) -> arb_mat:
        """(size, size): the derivative in x of tangents(x) mu."""
        derivative = arb_mat(self.size, self.size)
        for (a, c), turn in zip(self.planes, mu, strict=False):
            for start in range(0, self.features, self.rank):
                derivative[start + c, start + a] = turn
                derivative[start + a, start + c] = -turn
        return derivative

    def at(self, x: arb_mat) -> "BallJet":
        """f to second order on the box x (size, 1)."""
        return BallJet(self, x)


class BallJet:
    """f on a box: `value`, `gradient` (size, 1), `hessian` (size, size), `G` (T, K), each an enclosure."""

    def __init__(self, reduced: Reduced, x: arb_mat):
        self.reduced, self.x = reduced, x
        self.X, self.Y, self.b = reduced.split(x)

    @cached_property
    def logits(self) -> list[list[arb]]:
        """Row t holds z_t."""
        rows = (self.Y * self.X.transpose()).table()
        roots = self.reduced.roots
        return [[z / root + b for z, b in zip(row, self.b, strict=True)] for row, root in zip(rows, roots, strict=True)]

    @cached_property
    def rows(self) -> list[losses.Row]:
        """l_t at z_t."""
        return [losses.row(self.reduced.problem.loss, z, t) for t, z in enumerate(self.logits)]

    @cached_property
    def G(self) -> arb_mat:
        """G~, rows a type."""
        scale = [root / self.reduced.num_samples for root in self.reduced.roots]
        return arb_mat([[c * slope for slope in row.slope] for c, row in zip(scale, self.rows, strict=True)])

    @cached_property
    def total_slope(self) -> list[arb]:
        """sum_t sqrt(n_t) g~_t (K,): the gradient of the loss in the bias."""
        return (arb_mat(1, self.reduced.num_types, self.reduced.roots) * self.G).entries()

    @cached_property
    def value(self) -> arb:
        counts, N = self.reduced.problem.class_counts, self.reduced.num_samples
        loss = sum((n * row.value for n, row in zip(counts, self.rows, strict=True)), arb(0)) / N
        return loss + sum((c * v * v for c, v in zip(self.reduced.decay, self.x.entries(), strict=True)), arb(0)) / 2

    @cached_property
    def gradient(self) -> arb_mat:
        loss = (self.G.transpose() * self.Y).entries() + (self.G * self.X).entries()
        loss += self.total_slope if self.reduced.problem.bias else []
        decay = self.reduced.decay
        return column(g + c * v for g, c, v in zip(loss, decay, self.x.entries(), strict=True))

    @cached_property
    def hessian(self) -> arb_mat:
        """By the columns that a type has of its own, those of y_t, and the others, (X, b), which all types share."""
        reduced, r, half, N = self.reduced, self.reduced.rank, self.reduced.half, self.reduced.num_samples
        own = [half + i for i in range(reduced.features - half)]
        shared = [*range(half), *range(reduced.features, reduced.size)]
        hessian, between = arb_mat(reduced.size, reduced.size), arb_mat(len(shared), len(shared))
        for t, (n, row) in enumerate(zip(reduced.problem.class_counts, self.rows, strict=True)):
            place, in_y, in_rest = own[t * r : (t + 1) * r], self.X / reduced.roots[t], self._jacobian(t)
            curved = row.curvature * (arb(n) / N)
            between += in_rest.transpose() * (curved * in_rest)
            _add(hessian, place, place, in_y.transpose() * curved * in_y)
            cross = in_y.transpose() * curved * in_rest
            for k, a in np.ndindex(reduced.num_classes, r):
                cross[a, k * r + a] += self.G[t, k]
            _add(hessian, place, shared, cross)
            _add(hessian, shared, place, cross.transpose())
        _add(hessian, shared, shared, between)
        for i, decay in enumerate(reduced.decay):
            hessian[i, i] += decay
        return hessian

    def _jacobian(self, t: int) -> arb_mat:
        """(K, K r + K): the derivative of z_t in X and b; (K, K r) without a bias."""
        K, r = self.reduced.num_classes, self.reduced.rank
        jacobian = arb_mat(K, self.reduced.size - (self.reduced.features - self.reduced.half))
        for i, a in np.ndindex(K, r):
            jacobian[i, i * r + a] = self.Y[t, a] / self.reduced.roots[t]
        for i in range(K if self.reduced.problem.bias else 0):
            jacobian[i, self.reduced.half + i] = arb(1)
        return jacobian


def _add(matrix: arb_mat, rows: list[int], columns: list[int], block: arb_mat) -> None:
    """Add a block to the entries at those rows and columns."""
    for i, row in enumerate(rows):
        for j, col in enumerate(columns):
            matrix[row, col] += block[i, j]


def pack(reduced: Reduced, W: torch.Tensor, H: torch.Tensor, b: torch.Tensor) -> arb_mat:
    """The float tensors W V_r (K, r), H~ V_r (T, r), b (K,) as an exact column."""
    parts = [W.reshape(-1), H.reshape(-1), b] if reduced.problem.bias else [W.reshape(-1), H.reshape(-1)]
    return exact(np.concatenate([part.numpy() for part in parts])[:, None])
