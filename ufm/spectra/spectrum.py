"""The spectrum of the Hessian: exact at critical points, its two ends anywhere.

At a critical point features are collapsed, h_{k,i} = h_k in the row space of W (rank r, orthonormal
basis V_r), so the Hessian over all K d + d N + K variables is orthogonally similar to
  1. the Hessian of the reduced problem: variables W V_r (K, r), H~ V_r (K, r), b: each eigenvalue once;
  2. [[lW I, G~^T], [G~, lH I]] of size 2K, each eigenvalue d - r times: the singular values sigma of G~
     give (lW + lH)/2 +- sqrt(((lW - lH)/2)^2 + sigma^2);
  3. W^T S_k W / N + lH I for each class, each eigenvalue n_k - 1 times (features moving within a class).
At the simplex ETF and at the balanced origin the symmetric group splits these further
(`ufm.closed_forms.hessian_levels`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from ..closed_forms.hessian_levels import Level, minimizer_levels, symmetric_levels
from ..models.free import Jet
from ..point import Point
from ..problem import Problem
from ..solvers.sharpen import DENSE, row_space, sharpened
from .ends import Operator, ends

ZERO = 1e-12  # at a sharpened point an eigenvalue below this fraction of the largest counts as zero
UNSHARP = 1e-9  # anywhere else

SYMMETRIC, BLOCKS, ENDS = "symmetric blocks", "blocks", "matrix-free ends"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of the Hessian, ascending, with multiplicities.

    values (m,) float64, multiplicities (m,) int64, both on the CPU; num_variables is the size of the Hessian.
    method  "symmetric blocks" (the simplex ETF or the origin in closed form), "blocks" (any critical point), or
            "matrix-free ends": those of the k smallest and k largest to which Lanczos iteration converges, each
            listed once; one that is repeated may be listed fewer times than it occurs
    tolerance  an eigenvalue within it of zero counts as zero; where only the ends are known, the largest
            residual |H v - value v| as well
    Values are as computed: equal eigenvalues of different blocks stand apart, `merged` puts them together.
    """

    values: torch.Tensor
    multiplicities: torch.Tensor
    tolerance: float
    num_variables: int
    method: str

    @property
    def complete(self) -> bool:
        """Whether every eigenvalue is here; if not, index, nullity and condition are None."""
        return self.method != ENDS

    @property
    def size(self) -> int:
        """How many eigenvalues are listed, with multiplicities."""
        return int(self.multiplicities.sum())

    @property
    def min(self) -> float:
        return float(self.values[0])

    @property
    def max(self) -> float:
        return float(self.values[-1])

    @property
    def index(self) -> int | None:
        """The number of negative eigenvalues."""
        return int(self.multiplicities[self.values < -self.tolerance].sum()) if self.complete else None

    @property
    def nullity(self) -> int | None:
        """The number of zero eigenvalues."""
        return int(self.multiplicities[self.values.abs() <= self.tolerance].sum()) if self.complete else None

    @property
    def condition(self) -> float | None:
        """The largest over the smallest positive eigenvalue; inf when none is positive."""
        if not self.complete:
            return None
        positive = self.values[self.values > self.tolerance]
        return float(positive[-1] / positive[0]) if len(positive) else math.inf

    def expanded(self) -> torch.Tensor:
        """(size,) every eigenvalue as often as it occurs."""
        return torch.repeat_interleave(self.values, self.multiplicities)

    def merged(self, rtol: float = 1e-9) -> "Spectrum":
        """The spectrum with values closer than rtol * max|value| merged into their weighted mean."""
        gap = rtol * max(abs(self.min), abs(self.max))
        steps = (self.values.diff() > gap).long()
        groups = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        counts = steps.new_zeros(int(groups[-1]) + 1).index_add(0, groups, self.multiplicities)
        sums = self.values.new_zeros(len(counts)).index_add(0, groups, self.values * self.multiplicities)
        return replace(self, values=sums / counts, multiplicities=counts)


def spectrum(problem: Problem, point: Point | None = None, *, k: int = 6) -> Spectrum:
    """The spectrum of the Hessian of f at a point (any class counts, any d, any rank), in float64.

    point   None stands for the global minimiser in closed form, which is never formed: any K, n, d in
            milliseconds (raises NoClosedForm where none is known)
    k       how many eigenvalues at each end, where only the ends can be had

    At a critical point, or next to one (`ufm.solvers.sharpen`), it is that one's, complete and exact, equivalent to
    torch.linalg.eigvalsh of the dense (num_variables)^2 Hessian: through the symmetric group at the closed
    form's simplex ETF and the balanced origin, else by the three blocks of the module's docstring. Where
    the reduced Hessian is too large (more than 3,000 rows), and at points that are not critical, where the
    blocks say nothing, the result holds the two ends alone; `method` and `complete` say so.
    """
    if point is None:
        return _symmetric(problem, minimizer_levels(problem))
    point = point.double()
    means = sharpened(problem, point)
    if means is None:
        f, x = problem.landscape_at(point)
        return _ends(problem, [Operator(f.jet(x).hvp, f.size, x.device)], [], k)
    complete = block_spectrum(problem, means)
    if complete:
        return complete
    split = Split.at(problem, means)
    known = [values for values, multiplicity in split.known() if multiplicity]
    return _ends(problem, [split.reduced, split.within], known, k)


def block_spectrum(problem: Problem, means: Point) -> Spectrum | None:
    """The complete spectrum at a collapsed critical point; None where the reduced Hessian is too large."""
    levels = symmetric_levels(problem, means)
    return split_spectrum(problem, means) if levels is None else _symmetric(problem, levels)


def split_spectrum(problem: Problem, means: Point) -> Spectrum | None:
    """The same from the three blocks alone, whatever symmetry the point has."""
    split = Split.at(problem, means)
    if split.reduced.size > DENSE:
        return None
    values, multiplicities = zip(*split.levels(), strict=True)
    counts = [torch.full_like(v, m, dtype=torch.int64) for v, m in zip(values, multiplicities, strict=True)]
    return _sorted(problem, torch.cat(values), torch.cat(counts), ZERO, BLOCKS)


def _symmetric(problem: Problem, levels: Iterable[Level]) -> Spectrum:
    values, counts = zip(*levels, strict=True)
    values = torch.tensor(values, dtype=torch.float64, device="cpu")
    return _sorted(problem, values, torch.tensor(counts, device="cpu"), 1e-15, SYMMETRIC)


def _ends(problem: Problem, operators: list[Operator], known: list[torch.Tensor], k: int) -> Spectrum:
    """The k values at each end of the union of the operators' spectra and the known eigenvalues."""
    found = [ends(operator, k) for operator in operators if operator.size]
    low = torch.cat([*(low for low, _, _ in found), *known]).sort().values[:k]
    high = torch.cat([*(high for _, high, _ in found), *known]).sort().values[-k:]
    values = torch.cat([low, high])
    listed = _sorted(problem, values, torch.ones_like(values, dtype=torch.int64), UNSHARP, ENDS)
    return replace(listed, tolerance=max([listed.tolerance, *(residual for _, _, residual in found)]))


def _sorted(problem: Problem, values: torch.Tensor, counts: torch.Tensor, zero: float, method: str) -> Spectrum:
    values, counts = values[counts > 0], counts[counts > 0]
    order = values.argsort()
    largest, decays = float(values.abs().max()), (problem.lambda_w, problem.lambda_h, problem.lambda_b or math.inf)
    # A decay that is small beside the largest eigenvalue is an eigenvalue all the same, down to rounding.
    tolerance = max(min(zero * largest, 0.01 * min(decays)), 1e-15 * largest)
    return Spectrum(values[order], counts[order], tolerance, problem.num_variables, method)


@dataclass(frozen=True, eq=False)
class Split:
    """The three blocks of the module's docstring at a collapsed critical point.

    W (K, r) in row-space coordinates; jet of the reduced problem there.
    """

    problem: Problem
    W: torch.Tensor
    jet: Jet

    @classmethod
    def at(cls, problem: Problem, means: Point) -> "Split":
        basis, _ = row_space(problem, means)
        return cls(problem, means.W @ basis, reduced_jet(problem, means, basis))

    @property
    def reduced(self) -> Operator:
        """Block 1 as an operator."""
        return Operator(self.jet.hvp, self.jet.landscape.size, self.W.device)

    @property
    def within(self) -> Operator:
        """Block 3 as an operator, over the classes of several samples."""
        several = torch.tensor([n > 1 for n in self.problem.class_counts], device=self.W.device)
        K, rank = self.W.shape

        def product(v: torch.Tensor) -> torch.Tensor:
            change = v.new_zeros(K, rank)
            change[several] = v.view(-1, rank)
            image = self.jet.curvature(change @ self.W.T) @ self.W / self.problem.num_samples
            return (image + self.problem.lambda_h * change)[several].reshape(-1)

        return Operator(product, int(several.sum()) * rank, self.W.device)

    def known(self) -> list[tuple[torch.Tensor, int]]:
        """Block 2, and features that leave the row space within a class: (eigenvalues, how often each occurs)."""
        lW, lH, out = self.problem.lambda_w, self.problem.lambda_h, self.problem.dim - self.W.shape[1]
        roots = (((lW - lH) / 2) ** 2 + torch.linalg.svdvals(self.jet.G) ** 2).sqrt().cpu()
        pairs = torch.cat([(lW + lH) / 2 - roots, (lW + lH) / 2 + roots])
        flat = out * (self.problem.num_samples - self.problem.num_classes)
        return [(pairs, out), (pairs.new_tensor([lH]), flat)]

    def levels(self) -> Iterable[tuple[torch.Tensor, int]]:
        """(eigenvalues, how often each of them occurs)."""
        K, rank = self.W.shape
        yield torch.linalg.eigvalsh(self.jet.hessian()).cpu(), 1
        yield from self.known()
        if rank:
            columns = self.W.T[:, None, :].expand(rank, K, K)
            SW = torch.stack([self.jet.curvature(column) for column in columns], -1)
            curved = torch.einsum("cr,kcs->krs", self.W, SW) / self.problem.num_samples
            curved = torch.linalg.eigvalsh(curved) + self.problem.lambda_h
            yield from ((values.cpu(), n - 1) for values, n in zip(curved, self.problem.class_counts, strict=True))


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
