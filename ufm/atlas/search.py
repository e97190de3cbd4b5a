"""One round of the search for critical points: random starts in a family, or in a subspace that a symmetry fixes.

A start draws W, H~ and b, and moves H~ and b towards the optimal ones for W (f is convex in them): from there most
descents of |gradient|^2 end at a critical point of full rank.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..problem import Problem
from .family import Family
from .levenberg import Space, find_zeros, gradient_system, polished
from .subspaces import Subspace, Symmetry

UNDAMPED = 1e-12  # of the usual damping, for starts about a point where f is flat
FLATTEST = 3  # directions in which such starts lie
CONVERGED = 1e-13  # |gradient| where a start counts as converged
PATIENCE = 20  # iterations in which a start must halve |gradient|; those about a flat point may creep


@dataclass(frozen=True, eq=False)
class Round:
    """What to search: starts in the family of a rank, or in the subspace of it that a symmetry keeps, and a seed.

    Each pass but the first goes again from the same starts, deflated at every point that the passes before found.

    around  (size,) a critical point: the starts lie about it, at many distances in the directions in which f is
            flattest, where points that have just parted from it are; None for starts all over
    part    of the search, where its rounds are counted by whether they found something new
    """

    problem: Problem
    rank: int
    starts: int
    seed: tuple[int, ...]
    found_by: str
    symmetry: Symmetry | None = None
    passes: int = 1
    around: torch.Tensor | None = None
    part: str = ""

    @property
    def at_random(self) -> bool:
        """Whether the starts are all over the whole space."""
        return self.symmetry is None and self.around is None

    def run(self) -> torch.Tensor:
        """(B, size): the starts of all passes that converged, in order; B <= starts * passes."""
        family = Family(self.problem, self.rank)
        space: Space = family if self.symmetry is None else Subspace(family, self.symmetry)
        begin = self._begin(space) if self.around is None else self._about(family, self.around)
        damping = self.problem.ridge**2 * (1 if self.around is None else UNDAMPED)
        patience = PATIENCE if self.around is None else None
        found, known = [], family.logits(space.lift(begin[:0]))
        for _ in range(self.passes):
            system = gradient_system(space, known)
            ends, norms = find_zeros(system, begin, tol=CONVERGED, damping=damping, patience=patience)
            ends, norms = polished(gradient_system(space), ends, norms, CONVERGED)
            found.append(space.lift(ends[norms <= CONVERGED]))
            known = _distinct(torch.cat([known, family.logits(found[-1])]))
        return torch.cat(found)

    def _about(self, family: Family, x: torch.Tensor) -> torch.Tensor:
        values, vectors = torch.linalg.eigh(family.expand(x[None]).hessian[0])
        orbit = self.rank * (self.rank - 1) // 2 + self.problem.bias_is_free
        flat = vectors[:, values.abs().argsort()[: orbit + FLATTEST]]
        numbers: dict[str, Any] = {"generator": self._generator(), "dtype": torch.float64, "device": "cpu"}
        far = 10 ** (-2.5 + 2.2 * torch.rand(self.starts, 1, **numbers)) * x.norm()
        directions = torch.randn(self.starts, flat.shape[1], **numbers)
        return x + far * torch.nn.functional.normalize(directions) @ flat.T

    def _generator(self) -> torch.Generator:
        return torch.Generator("cpu").manual_seed(int(np.random.SeedSequence(self.seed).generate_state(1)[0]))

    def _begin(self, space: Space) -> torch.Tensor:
        generator = self._generator()
        K, r = self.problem.num_classes, self.rank
        scale = math.sqrt(2 * self.problem.drop / (self.problem.lambda_w * K * max(r, 1)))
        numbers: dict[str, Any] = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
        scales = scale * (0.1 + 1.4 * torch.rand(self.starts, 1, **numbers))
        y = scales * torch.randn(self.starts, space.size, **numbers)
        y[:, space.cut :] *= torch.rand(self.starts, 1, **numbers)
        return _with_fitting_features(space, y)


def _with_fitting_features(space: Space, y: torch.Tensor) -> torch.Tensor:
    """y with H and b nearer the optimal ones for W: a damped Newton step of a convex problem, the bias moving <= 10.

    Several steps would lose the variety of the starts: points of classes that all differ are then hardly found.
    """
    value, gradient, hessian = space.expand(y)
    cut, problem = space.cut, space.family.problem
    block = hessian[:, cut:, cut:]
    block.diagonal(dim1=1, dim2=2).add_(1e-2 * problem.ridge)
    step = torch.nn.functional.pad(-torch.linalg.solve(block, gradient[:, cut:, None])[..., 0], (cut, 0))
    length = y.new_ones(len(y), 1)
    if problem.bias:
        length = (10 / space.lift(step)[:, -problem.num_classes :].abs().amax(1, keepdim=True)).clamp_max(1)
    for _ in range(6):
        worse = space.values(y + length * step) > value
        length = torch.where(worse[:, None], length / 3, length)
    return y + length * step


def _distinct(logits: torch.Tensor, tol: float = 1e-4) -> torch.Tensor:
    """The logits (M, T, K) that differ by more than tol in some entry from all before them."""
    kept: list[torch.Tensor] = []
    for L in logits:
        if not kept or float((torch.stack(kept) - L).abs().amax((1, 2)).min()) > tol:
            kept.append(L)
    return torch.stack(kept) if kept else logits
