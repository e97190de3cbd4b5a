"""The reduced problem in balls: f, its gradient and its Hessian with one feature a class in r dimensions.

Variables x = (X, Y, b): X = W V_r (K, r), Y (K, r) with rows sqrt(n_k) h_k V_r, b (K,) where there is a bias.
With z_k = X y_k/sqrt(n_k) + b, p_k = softmax(z_k), S_k = diag(p_k) - p_k p_k^T and G~ (K, K) the matrix of rows
sqrt(n_k) (p_k - e_k)/N, as in `ufm.models.free`:

    f         (1/N) sum_k n_k (-log p_kk) + lW/2 |X|^2 + lH/2 |Y|^2 + lb/2 |b|^2
    gradient  X: G~^T Y + lW X          Y: G~ X + lH Y          b: sum_k sqrt(n_k) g~_k + lb b
    Hessian   sum_k J_k^T (n_k S_k/N) J_k + 2 <G~, dY dX^T> + decay,      J_k dx = (dX y_k + X dy_k)/sqrt(n_k) + db

f does not change under (X, Y) -> (X R, Y R), R in O(r), nor, where nothing decays the bias, under b -> b + c 1.
The tangent vectors of these symmetries, (X A, Y A, 0) for skew A and (0, 0, 1), are linear in x.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from flint import arb, arb_mat

from ..problem import Problem
from .balls import column, exact


@dataclass(frozen=True, eq=False)
class Reduced:
    """The reduced problem of rank r: cross-entropy, and settings that are exact doubles.

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
    def num_samples(self) -> int:
        return self.problem.num_samples

    @property
    def half(self) -> int:
        """K r: the number of entries of X, and of Y."""
        return self.num_classes * self.rank

    @property
    def size(self) -> int:
        """The number of variables."""
        return 2 * self.half + self.num_classes * self.problem.bias

    @cached_property
    def roots(self) -> list[arb]:
        """sqrt(n_k)."""
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
        return [lW] * self.half + [lH] * self.half + [lb] * (self.size - 2 * self.half)

    @property
    def free_shift(self) -> bool:
        """Whether b -> b + c 1 is a symmetry."""
        return self.problem.bias and self.problem.lambda_b == 0

    @property
    def scales(self) -> tuple[arb, arb]:
        """What X and Y are to be multiplied by for W and H~: 2^-power and 2^power."""
        return arb(2) ** -self.power, arb(2) ** self.power

    def square_norm(self, x: arb_mat) -> arb:
        """|W|^2 + |H~|^2 + |b|^2 of a column x."""
        entries, (to_W, to_H) = x.entries(), self.scales
        parts = entries[: self.half], entries[self.half : 2 * self.half], entries[2 * self.half :]
        W, H, b = (sum((v * v for v in part), arb(0)) for part in parts)
        return to_W * to_W * W + to_H * to_H * H + b

    @property
    def planes(self) -> list[tuple[int, int]]:
        """The coordinate planes of R^r, one for each generator of its rotations."""
        return list(combinations(range(self.rank), 2))

    @property
    def num_symmetries(self) -> int:
        return len(self.planes) + self.free_shift

    def split(self, x: arb_mat) -> tuple[arb_mat, arb_mat, list[arb]]:
        """X (K, r), Y (K, r) and b of a column x; b is zero for a problem without one."""
        entries, K, r = x.entries(), self.num_classes, self.rank
        X, Y, b = entries[: self.half], entries[self.half : 2 * self.half], entries[2 * self.half :]
        return arb_mat(K, r, X), arb_mat(K, r, Y), b or [arb(0)] * K

    def tangents(self, x: arb_mat) -> arb_mat:
        """(size, m): the tangent vectors at x of the m one-parameter symmetries."""
        columns = [self._turned(x.entries(), a, c) for a, c in self.planes]
        if self.free_shift:
            columns.append([arb(0)] * (2 * self.half) + [arb(1)] * self.num_classes)
        return arb_mat(self.num_symmetries, self.size, [entry for col in columns for entry in col]).transpose()

    def _turned(self, x: list[arb], a: int, c: int) -> list[arb]:
        """(X A, Y A, 0) for the generator A = e_a e_c^T - e_c e_a^T."""
        image = [arb(0)] * self.size
        for start in range(0, 2 * self.half, self.rank):
            image[start + c] = x[start + a]
            image[start + a] = -x[start + c]
        return image

    def tangent_derivative(self, mu: list[arb]) -> arb_mat:
        """(size, size): the derivative in x of tangents(x) mu."""
        derivative = arb_mat(self.size, self.size)
        for (a, c), turn in zip(self.planes, mu, strict=False):
            for start in range(0, 2 * self.half, self.rank):
                derivative[start + c, start + a] = turn
                derivative[start + a, start + c] = -turn
        return derivative

    def at(self, x: arb_mat) -> "BallJet":
        """f to second order on the box x (size, 1)."""
        return BallJet(self, x)


class BallJet:
    """f on a box: `value`, `gradient` (size, 1), `hessian` (size, size), `G` (K, K), each an enclosure."""

    def __init__(self, reduced: Reduced, x: arb_mat):
        self.reduced, self.x = reduced, x
        self.X, self.Y, self.b = reduced.split(x)

    @cached_property
    def logits(self) -> list[list[arb]]:
        """Row k holds z_k."""
        rows = (self.Y * self.X.transpose()).table()
        roots = self.reduced.roots
        return [[z / root + b for z, b in zip(row, self.b, strict=True)] for row, root in zip(rows, roots, strict=True)]

    @cached_property
    def probabilities(self) -> list[list[arb]]:
        """Row k holds p_k, from differences of logits: no ball occurs in both numerator and denominator."""
        return [[1 / sum(((other - own).exp() for other in z), arb(0)) for own in z] for z in self.logits]

    @cached_property
    def errors(self) -> list[arb]:
        """1 - p_kk, as the sum of the wrong classes' probabilities: accurate for a nearly perfect fit."""
        return [sum((p for j, p in enumerate(row) if j != k), arb(0)) for k, row in enumerate(self.probabilities)]

    @cached_property
    def G(self) -> arb_mat:
        """G~, rows a class."""
        scale = [root / self.reduced.num_samples for root in self.reduced.roots]
        slopes = [[*row[:k], -self.errors[k], *row[k + 1 :]] for k, row in enumerate(self.probabilities)]
        return arb_mat([[c * slope for slope in row] for c, row in zip(scale, slopes, strict=True)])

    @cached_property
    def total_slope(self) -> list[arb]:
        """G 1 = sum_k sqrt(n_k) g~_k (K,): the gradient of the loss in the bias."""
        K = self.reduced.num_classes
        return (arb_mat(1, K, self.reduced.roots) * self.G).entries()

    @cached_property
    def value(self) -> arb:
        counts, N = self.reduced.problem.class_counts, self.reduced.num_samples
        losses = [
            sum(((other - z[k]).exp() for j, other in enumerate(z) if j != k), arb(0)).log1p()
            for k, z in enumerate(self.logits)
        ]
        loss = sum((n * value for n, value in zip(counts, losses, strict=True)), arb(0)) / N
        return loss + sum((c * v * v for c, v in zip(self.reduced.decay, self.x.entries(), strict=True)), arb(0)) / 2

    @cached_property
    def gradient(self) -> arb_mat:
        loss = (self.G.transpose() * self.Y).entries() + (self.G * self.X).entries()
        loss += self.total_slope if self.reduced.problem.bias else []
        decay = self.reduced.decay
        return column(g + c * v for g, c, v in zip(loss, decay, self.x.entries(), strict=True))

    @cached_property
    def hessian(self) -> arb_mat:
        K, r, half, N = self.reduced.num_classes, self.reduced.rank, self.reduced.half, self.reduced.num_samples
        hessian = arb_mat(self.reduced.size, self.reduced.size)
        for k, n in enumerate(self.reduced.problem.class_counts):
            jacobian = self._jacobian(k)
            hessian += jacobian.transpose() * (self._curvature(k) * (arb(n) / N) * jacobian)
        for i, k, a in np.ndindex(K, K, r):
            row, col = i * r + a, half + k * r + a
            hessian[row, col] += self.G[k, i]
            hessian[col, row] += self.G[k, i]
        for i, decay in enumerate(self.reduced.decay):
            hessian[i, i] += decay
        return hessian

    def _jacobian(self, k: int) -> arb_mat:
        """J_k (K, size): the derivative of z_k."""
        K, r, half, root = self.reduced.num_classes, self.reduced.rank, self.reduced.half, self.reduced.roots[k]
        jacobian = arb_mat(K, self.reduced.size)
        for i, a in np.ndindex(K, r):
            jacobian[i, i * r + a] = self.Y[k, a] / root
            jacobian[i, half + k * r + a] = self.X[i, a] / root
        for i in range(K if self.reduced.problem.bias else 0):
            jacobian[i, 2 * half + i] = arb(1)
        return jacobian

    def _curvature(self, k: int) -> arb_mat:
        """S_k (K, K), with 1 - p_kk where it occurs as the sum of the others."""
        p, K = self.probabilities[k], self.reduced.num_classes
        rest = [1 - q for q in p]
        rest[k] = self.errors[k]
        return arb_mat([[p[i] * rest[i] if i == j else -p[i] * p[j] for j in range(K)] for i in range(K)])


def pack(reduced: Reduced, W: torch.Tensor, H: torch.Tensor, b: torch.Tensor) -> arb_mat:
    """The float tensors W V_r (K, r), H~ V_r (K, r), b (K,) as an exact column."""
    parts = [W.reshape(-1), H.reshape(-1), b] if reduced.problem.bias else [W.reshape(-1), H.reshape(-1)]
    return exact(np.concatenate([part.numpy() for part in parts])[:, None])
