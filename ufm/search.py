"""One round of the search for critical points: random starts in a family, or in a subspace that a symmetry fixes.

A start draws W and gives it nearly optimal features and bias (f is convex in them): from there most descents of
|gradient|^2 end at a critical point of full rank, and all of them are found about equally often.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .family import Family
from .levenberg import find_zeros, gradient_system
from .problem import Problem

CONVERGED = 1e-10  # |gradient| over problem.gradient_scale where a start counts as converged


@dataclass(frozen=True, eq=False)
class Round:
    """What to search: starts in the family of a rank, within span(basis) (size, m), a seed.

    Each pass but the first goes again from the same starts, deflated at every point that the passes before found.
    """

    problem: Problem
    rank: int
    starts: int
    seed: tuple[int, ...]
    found_by: str
    basis: torch.Tensor | None = None
    passes: int = 1

    def run(self) -> torch.Tensor:
        """(B, size): the starts of all passes that converged, in order; B <= starts * passes."""
        torch.set_num_threads(1)
        family = Family(self.problem, self.rank)
        tol = CONVERGED * self.problem.gradient_scale
        begin = self._begin(family)
        y = begin if self.basis is None else begin @ self.basis
        found, known = [], torch.zeros(0, self.problem.num_classes, self.problem.num_classes, dtype=torch.float64)
        for _ in range(self.passes):
            system = gradient_system(family, self.basis, known)
            ends, norms = find_zeros(system, y, tol=tol, damping=self.problem.ridge**2)
            ends = ends[norms <= tol] if self.basis is None else ends[norms <= tol] @ self.basis.T
            found.append(ends)
            known = _distinct(torch.cat([known, family.logits(ends)]))
        return torch.cat(found)

    def _begin(self, family: Family) -> torch.Tensor:
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        K, r, f = self.problem.num_classes, self.rank, family.landscape
        scale = math.sqrt(2 * math.log(K) / (self.problem.lambda_w * K * max(r, 1)))
        scale = scale * (0.1 + 1.4 * torch.rand(self.starts, 1, generator=generator, dtype=torch.float64))
        x = scale * torch.randn(self.starts, f.size, generator=generator, dtype=torch.float64)
        x = x if self.basis is None else (x @ self.basis) @ self.basis.T
        return _with_fitting_features(family, x)


def _with_fitting_features(family: Family, x: torch.Tensor, steps: int = 6) -> torch.Tensor:
    """x with H and b replaced by nearly optimal ones for W: damped Newton steps of a convex problem."""
    part = slice(family.problem.num_classes * family.rank, None)
    for _ in range(steps):
        value, gradient, hessian = family.expand(x)
        block = hessian[:, part, part]
        block.diagonal(dim1=1, dim2=2).add_(1e-12)
        step = -torch.linalg.solve(block, gradient[:, part, None])[..., 0]
        length = torch.ones(len(x), 1, dtype=x.dtype)
        for _ in range(6):
            trial = torch.cat([x[:, : part.start], x[:, part] + length * step], 1)
            length = torch.where((family.values(trial) > value)[:, None], length / 3, length)
        x = torch.cat([x[:, : part.start], x[:, part] + length * step], 1)
    return x


def _distinct(logits: torch.Tensor, tol: float = 1e-4) -> torch.Tensor:
    """The logits (M, K, K) that differ by more than tol in some entry from all before them."""
    kept: list[torch.Tensor] = []
    for L in logits:
        if not kept or float((torch.stack(kept) - L).abs().amax((1, 2)).min()) > tol:
            kept.append(L)
    return torch.stack(kept) if kept else logits


def partition_basis(family: Family, blocks: tuple[tuple[int, ...], ...]) -> torch.Tensor:
    """(size, m) orthonormal: the points whose classes are equal within each block."""
    K = family.problem.num_classes
    same = torch.zeros(K, len(blocks), dtype=torch.float64)
    for j, block in enumerate(blocks):
        same[list(block), j] = len(block) ** -0.5
    wide = torch.kron(same, torch.eye(family.rank, dtype=torch.float64))
    return torch.block_diag(wide, wide, same) if family.problem.bias else torch.block_diag(wide, wide)
