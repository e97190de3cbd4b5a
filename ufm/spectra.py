"""The exact spectrum of the Hessian at any critical point, at a cost that depends on neither n nor d.

At a critical point features are collapsed, h_{k,i} = h_k in the row space of W (rank r, orthonormal
basis V_r), so the Hessian over all K d + d N + K variables is orthogonally similar to
  1. the Hessian of the reduced problem: variables W V_r (K, r), H~ V_r (K, r), b: each eigenvalue once;
  2. [[lW I, G~^T], [G~, lH I]] of size 2K, each eigenvalue d - r times: the singular values sigma of G~
     give (lW + lH)/2 +- sqrt(((lW - lH)/2)^2 + sigma^2);
  3. W^T S_k W / N + lH I for each class, each eigenvalue n_k - 1 times (features moving within a class).
"""

import math
from dataclasses import dataclass, replace

import torch

from .errors import require
from .landscape import Jet
from .point import Point
from .problem import Problem

CRITICAL = 1e-7  # a relative gradient norm below this counts as critical
ZERO = 1e-9  # an eigenvalue below this fraction of the largest counts as zero


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of the Hessian, ascending, with multiplicities.

    values (m,) float64, multiplicities (m,) int64; `size` is their total, the number of variables.
    An eigenvalue within `tolerance` of zero counts as zero. Values are as computed: equal eigenvalues
    of different blocks stand apart, `merged` puts them together.
    """

    values: torch.Tensor
    multiplicities: torch.Tensor
    tolerance: float

    @property
    def size(self) -> int:
        return int(self.multiplicities.sum())

    @property
    def min(self) -> float:
        return float(self.values[0])

    @property
    def max(self) -> float:
        return float(self.values[-1])

    @property
    def index(self) -> int:
        """The number of negative eigenvalues."""
        return int(self.multiplicities[self.values < -self.tolerance].sum())

    @property
    def nullity(self) -> int:
        """The number of zero eigenvalues."""
        return int(self.multiplicities[self.values.abs() <= self.tolerance].sum())

    @property
    def condition(self) -> float:
        """The largest over the smallest positive eigenvalue; inf when none is positive."""
        positive = self.values[self.values > self.tolerance]
        return float(positive[-1] / positive[0]) if len(positive) else math.inf

    def expanded(self) -> torch.Tensor:
        """(size,) every eigenvalue as often as it occurs."""
        return torch.repeat_interleave(self.values, self.multiplicities)

    def merged(self, rtol: float = 1e-9) -> "Spectrum":
        """The spectrum with values closer than rtol * max|value| merged into their weighted mean."""
        gap = rtol * max(abs(self.min), abs(self.max))
        groups = torch.cat([torch.zeros(1, dtype=torch.int64), (self.values.diff() > gap).long().cumsum(0)])
        counts = torch.zeros(int(groups[-1]) + 1, dtype=torch.int64).index_add(0, groups, self.multiplicities)
        sums = torch.zeros(len(counts), dtype=torch.float64).index_add(0, groups, self.values * self.multiplicities)
        return replace(self, values=sums / counts, multiplicities=counts)


def spectrum(problem: Problem, point: Point) -> Spectrum:
    """The exact spectrum of the Hessian of f at a critical point (any class counts, any d, any rank).

    Equivalent to torch.linalg.eigvalsh of the dense (num_variables)^2 Hessian, by the three blocks of
    the module's docstring. Works in float64 on the class means of `point`. Raises InputError when the
    point is not critical (relative gradient norm above 1e-7): the blocks say nothing there.
    """
    means = problem.class_means(point.double())
    relative = relative_gradient(problem, means)
    require(
        relative <= CRITICAL,
        f"the spectrum is exact at critical points only, and the relative gradient norm here is {relative:.1e} "
        f"> {CRITICAL:.0e}; start ufm.minimize from this point first",
    )
    basis, rank = row_space(problem, means.W)
    jet = reduced_jet(problem, means, basis)
    parts = [(torch.linalg.eigvalsh(jet.hessian()), 1)]
    if rank < problem.dim:
        sigma = torch.linalg.svdvals(jet.G)
        centre, half = (problem.lambda_w + problem.lambda_h) / 2, (problem.lambda_w - problem.lambda_h) / 2
        root = (half**2 + sigma**2).sqrt()
        parts.append((torch.cat([centre - root, centre + root]), problem.dim - rank))
    parts += _within_classes(problem, means.W @ basis, jet)
    values = torch.cat([v.reshape(-1).cpu() for v, _ in parts])
    multiplicities = torch.cat([torch.full((v.numel(),), m, dtype=torch.int64) for v, m in parts])
    order = values.argsort()
    return Spectrum(values[order], multiplicities[order], ZERO * float(values.abs().max()))


def _within_classes(problem: Problem, W: torch.Tensor, jet: Jet) -> list[tuple[torch.Tensor, int]]:
    """Block 3: W (K, r) in row-space coordinates; eigenvalues and how often each occurs."""
    N, lH, rank = problem.num_samples, problem.lambda_h, W.shape[1]
    columns = W.T[:, None, :].expand(rank, problem.num_classes, -1)
    SW = torch.stack([jet.curvature(column) for column in columns], -1) if rank else W.new_zeros(len(W), len(W), 0)
    curved = torch.linalg.eigvalsh(torch.einsum("cr,kcs->krs", W, SW) / N) + lH
    parts = [(curved[k], n - 1) for k, n in enumerate(problem.class_counts) if n > 1]
    flat = (problem.dim - rank) * (problem.num_samples - problem.num_classes)
    return [*parts, (W.new_tensor([lH]), flat)] if flat else parts


def relative_gradient(problem: Problem, point: Point) -> float:
    """|grad f| / problem.gradient_scale."""
    f, x = problem.landscape_at(point)
    return float(f.jet(x).gradient.norm()) / problem.gradient_scale


def row_space(problem: Problem, W: torch.Tensor) -> tuple[torch.Tensor, int]:
    """(orthonormal basis (d, r) of the row space of W, its rank r).

    A singular value counts when it exceeds 1e-7 of sqrt(2 log K / lW), the largest |W| at a level below
    that of the origin. (Not of the largest singular value: near the collapse threshold W is small.)
    """
    _, sizes, rows = torch.linalg.svd(W, full_matrices=False)
    unit = math.sqrt(2 * math.log(problem.num_classes) / problem.lambda_w)
    rank = int((sizes > 1e-7 * unit).sum())
    return rows[:rank].T, rank


def reduced_jet(problem: Problem, means: Point, basis: torch.Tensor) -> Jet:
    """f to second order on collapsed points whose W and H stay in the row space spanned by `basis`."""
    f = replace(problem.landscape(collapsed=True, device=means.W.device), dim=basis.shape[1])
    return f.jet(f.pack(means.W @ basis, means.H @ basis, means.b))


def orbit_dimension(problem: Problem, rank: int) -> int:
    """The dimension of the symmetry orbit of a rank-r critical point.

    O(d)/O(d - r), the Stiefel manifold: r d - r (r + 1)/2. Without weight decay on the bias, adding a
    constant to b is one more symmetry.
    """
    shift = problem.bias and problem.lambda_b == 0
    return rank * problem.dim - rank * (rank + 1) // 2 + shift
