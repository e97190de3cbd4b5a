"""The spectrum of the Hessian at a critical point, exact: from three kinds of blocks.

At a critical point features are collapsed, h_{k,i} = h_k in the row space of W (rank r, orthonormal basis V_r), so the
Hessian over all K d + d N + K variables is orthogonally similar (docs/theory, section 6.1) to
  1. the Hessian of the reduced problem: variables W V_r (K, r), H~ V_r (T, r), b: each eigenvalue once;
  2. [[lW I_K, G~^T], [G~, lH I_T]] of size K + T, each eigenvalue d - r times: the min(K, T) singular values sigma of
     G~ give (lW + lH)/2 +- sqrt(((lW - lH)/2)^2 + sigma^2), and the rest lW or lH;
  3. W^T S_t W / N + lH I for each type, each eigenvalue n_t - 1 times (features moving within a type).
At the simplex ETF and at the balanced origin the symmetric group splits these further
(`ufm.closed_forms.hessian_levels`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from ..landscape import Jet
from ..point import Point
from ..problem import Problem
from ..solvers.sharpen import DENSE
from .ends import Operator, end_spectrum
from .spectrum import BLOCKS, ZERO, Spectrum, listed


@dataclass(frozen=True, eq=False)
class Split:
    """The three blocks of the module's docstring at a collapsed critical point.

    W (K, r) in row-space coordinates; jet of the reduced problem there; sizes (min(K, T),) the singular values of G~.
    """

    problem: Problem
    W: torch.Tensor
    jet: Jet
    sizes: torch.Tensor

    @property
    def reduced(self) -> Operator:
        """Block 1 as an operator."""
        return Operator(self.jet.hvp, self.jet.landscape.size, self.W.device)

    @property
    def within(self) -> Operator:
        """Block 3 as an operator, over the types of several samples."""
        several = torch.tensor([n > 1 for n in self.problem.class_counts], device=self.W.device)
        T, rank = self.problem.num_types, self.W.shape[1]

        def product(v: torch.Tensor) -> torch.Tensor:
            change = v.new_zeros(T, rank)
            change[several] = v.view(-1, rank)
            image = self.jet.curvature(change @ self.W.T) @ self.W / self.problem.num_samples
            return (image + self.problem.lambda_h * change)[several].reshape(-1)

        return Operator(product, int(several.sum()) * rank, self.W.device)

    def known(self) -> list[tuple[torch.Tensor, int]]:
        """Block 2, and features that leave the row space within a type: (eigenvalues, how often each occurs)."""
        lW, lH, out = self.problem.lambda_w, self.problem.lambda_h, self.problem.dim - self.W.shape[1]
        roots = (((lW - lH) / 2) ** 2 + self.sizes**2).sqrt().cpu()
        pairs = torch.cat([(lW + lH) / 2 - roots, (lW + lH) / 2 + roots])
        K, T, N = self.problem.num_classes, self.problem.num_types, self.problem.num_samples
        lone = pairs.new_tensor([lW] * (K - min(K, T)) + [lH] * (T - min(K, T)))
        return [(pairs, out), (lone, out), (pairs.new_tensor([lH]), out * (N - T))]

    def spectrum(self) -> Spectrum | None:
        """The complete spectrum; None where the reduced Hessian is too large to be formed."""
        if self.reduced.size > DENSE:
            return None
        values, multiplicities = zip(*self.levels(), strict=True)
        counts = [torch.full_like(v, m, dtype=torch.int64) for v, m in zip(values, multiplicities, strict=True)]
        return listed(self.problem, torch.cat(values), torch.cat(counts), ZERO, BLOCKS)

    def ends(self, k: int) -> Spectrum:
        """The k smallest and the k largest eigenvalues, where the whole cannot be had."""
        known = [values for values, multiplicity in self.known() if multiplicity and len(values)]
        return end_spectrum(self.problem, [self.reduced, self.within], known, k)

    def levels(self) -> Iterable[tuple[torch.Tensor, int]]:
        """(eigenvalues, how often each of them occurs)."""
        T, rank = self.problem.num_types, self.W.shape[1]
        yield torch.linalg.eigvalsh(self.jet.hessian()).cpu(), 1
        yield from self.known()
        if rank:
            columns = self.W.T[:, None, :].expand(rank, T, len(self.W))
            SW = torch.stack([self.jet.curvature(column) for column in columns], -1)
            curved = torch.einsum("cr,tcs->trs", self.W, SW) / self.problem.num_samples
            curved = torch.linalg.eigvalsh(curved) + self.problem.lambda_h
            yield from ((values.cpu(), n - 1) for values, n in zip(curved, self.problem.class_counts, strict=True))


def reduced_jet(problem: Problem, means: Point, basis: torch.Tensor) -> Jet:
    """f to second order on collapsed points whose W and H stay in the row space spanned by `basis`."""
    f = replace(problem.landscape(collapsed=True, device=means.W.device), dim=basis.shape[1])
    return f.jet(f.pack(means.W @ basis, means.H @ basis, means.b))


def orbit_dimension(problem: Problem, rank: int) -> int:
    """The dimension of the symmetry orbit of a rank-r critical point.

    O(d)/O(d - r), the Stiefel manifold: r d - r (r + 1)/2. Without weight decay on the bias, moving b along the
    direction of logits that the loss ignores, if there is one, is one more symmetry.
    """
    return rank * problem.dim - rank * (rank + 1) // 2 + problem.bias_is_free
