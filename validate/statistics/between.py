"""How the class means spread about the global mean: Sigma_B, its rank and its pseudo-inverse, without K x K or d x d
when the other is smaller.

With M (K, d) the centred means, Sigma_B = M^T M/K. The rows of M, weighted by the class counts, sum to zero: the
Householder reflection that takes the counts to the first axis takes that null vector out of M exactly, and leaves
B (K - 1, d) with B^T B = M^T M.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from .gram import gram


@dataclass(frozen=True, eq=False)
class Between:
    """M = coordinates basis^T, and the pseudo-inverse of M^T M.

    basis        (d, r)   r = min(K - 1, d), orthonormal columns (a column of zeros is possible where M has none)
    coordinates  (K, r), made when they are asked for
    sizes        (r,)     eigenvalues of M^T M, ascending; 0 at rounding level, max(K, d) eps of the largest
    scale        (r,)     (M^T M)^+ = (basis * scale)(basis * scale)^T
    factor       (d, r')  (M^T M)^+ = factor factor^T, 0 above its diagonal; r' the rank; made when it is asked for
    gram         (d, d)   M^T M where d < K - 1, else None
    """

    basis: torch.Tensor
    sizes: torch.Tensor
    scale: torch.Tensor
    place: Callable[[], torch.Tensor]
    gram: torch.Tensor | None = None

    @cached_property
    def coordinates(self) -> torch.Tensor:
        return self.place()

    @cached_property
    def factor(self) -> torch.Tensor:
        P = (self.basis * self.scale)[:, self.sizes > 0]
        return torch.linalg.qr(P.T, mode="r").R.T.contiguous()

    @classmethod
    def of(cls, M: torch.Tensor, counts: torch.Tensor, noise: float) -> "Between":
        """Decompose centred means M (K, d) with class counts (K,); noise is the squared length that rounding has."""
        K, d = M.shape
        if d < K - 1:
            products = gram(M)
            sizes, basis = torch.linalg.eigh(products)
            sizes = _kept(sizes, K, noise)
            return cls(basis, sizes, torch.where(sizes > 0, sizes.rsqrt(), 0), lambda: M @ basis, products)
        reflect = _Reflection(counts.to(M))
        B = reflect(M)[1:]
        sizes, U = torch.linalg.eigh(gram(B.T))
        sizes = _kept(sizes, max(K, d), noise)
        basis = B.T @ U
        lengths = basis.norm(dim=0)
        basis /= lengths.clamp_min(torch.finfo(basis.dtype).tiny)
        scale = torch.where(sizes > 0, sizes.rsqrt(), 0)
        return cls(basis, sizes, scale, lambda: reflect(torch.cat([U.new_zeros(1, K - 1), U])).mul_(lengths))

    @property
    def rank(self) -> int:
        """The numerical rank of M."""
        return int((self.sizes > 0).sum())

    @property
    def condition(self) -> float:
        """The largest over the smallest eigenvalue above the cutoff; NaN when all means are equal."""
        kept = self.sizes[self.sizes > 0]
        return float(kept[-1] / kept[0]) if len(kept) else torch.nan


def _kept(sizes: torch.Tensor, longest: int, noise: float) -> torch.Tensor:
    """The eigenvalues above the rounding of the product and above that of the means, the others 0."""
    if not len(sizes):
        return sizes
    cutoff = longest * max(torch.finfo(sizes.dtype).eps * float(sizes[-1]), noise)
    return torch.where(sizes > cutoff, sizes, 0)


class _Reflection:
    """The Householder reflection that takes positive weights (K,) to a multiple of the first axis."""

    def __init__(self, weights: torch.Tensor):
        self.normal = weights / weights.norm()
        self.normal[0] += 1
        self.normal /= self.normal.norm()

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return rows - 2 * torch.outer(self.normal, self.normal @ rows)
