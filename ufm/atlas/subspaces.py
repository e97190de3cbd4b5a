"""The subspaces that symmetries of f fix, and f on them: the search there has few coordinates.

A symmetry moves the classes by a permutation p and multiplies coordinate j of the features by a sign s_j: it keeps
(W, H~, b) where W[p] = W diag(s), H~[p] = H~ diag(s) and b[p] = b. What some symmetries keep is linear in one row of W
and of H~ and one entry of b for each orbit of the classes, and a coordinate vanishes on an orbit where they lead back
to a class with the sign -1 (docs/theory, section 7.4). Samples of types in one orbit have equal losses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from .family import Expansion, Family
from .involutions import Action, Element
from .symmetry import Permutation

Blocks = tuple[tuple[int, ...], ...]  # a partition of the classes


@dataclass(frozen=True)
class Symmetry:
    """A group, by generators: permutations of the classes, each with a sign for every coordinate of the features."""

    permutations: tuple[Permutation, ...]
    signs: tuple[tuple[int, ...], ...]

    @classmethod
    def within(cls, blocks: Blocks, rank: int) -> "Symmetry":
        """All permutations within the blocks, without signs: they keep the points with equal classes in each block."""
        K = sum(map(len, blocks))
        steps = [dict(zip(block, block[1:] + block[:1], strict=True)) for block in blocks if len(block) > 1]
        moves = tuple(tuple(step.get(k, k) for k in range(K)) for step in steps)
        return cls(moves, ((1,) * rank,) * len(moves))

    @classmethod
    def of(cls, action: Action, characters: Sequence[Element]) -> "Symmetry":
        """The involutions of an action, coordinate j of the features having characters[j]."""
        signs = tuple(tuple(1 - 2 * c[i] for c in characters) for i in range(action.m))
        return cls(action.generators, signs)

    def orbits(self, K: int, rank: int) -> list[dict[int, tuple[int, ...]]]:
        """The orbits of the classes, least class first: for each class and coordinate the sign that it has there in
        proportion to the first class; 0 in the coordinates that vanish on the orbit."""
        found: list[dict[int, tuple[int, ...]]] = []
        for first in range(K):
            if not any(first in orbit for orbit in found):
                found.append(self._orbit(first, rank))
        return found

    def _orbit(self, first: int, rank: int) -> dict[int, tuple[int, ...]]:
        orbit, kept, queue = {first: (1,) * rank}, [1] * rank, [first]
        for k in queue:
            for p, signs in zip(self.permutations, self.signs, strict=True):
                image = tuple(a * b for a, b in zip(orbit[k], signs, strict=True))
                if p[k] not in orbit:
                    orbit[p[k]] = image
                    queue.append(p[k])
                kept = [kept[j] * (image[j] == orbit[p[k]][j]) for j in range(rank)]
        return {k: tuple(a * b for a, b in zip(signs, kept, strict=True)) for k, signs in orbit.items()}


@dataclass(frozen=True, eq=False)
class Subspace:
    """The points of a family that a symmetry keeps, as rows y (B, size): x = y basis^T, with `Family`'s methods."""

    family: Family
    symmetry: Symmetry

    @cached_property
    def orbits(self) -> list[dict[int, tuple[int, ...]]]:
        return self.symmetry.orbits(self.family.problem.num_classes, self.family.rank)

    @cached_property
    def _alike(self) -> bool:
        """Whether types are classes, so that they move with them; else each stays where it is."""
        return self.family.problem.num_types == self.family.problem.num_classes

    @cached_property
    def rows(self) -> torch.Tensor:
        """(K, r, m) orthonormal: W of m coordinates."""
        K, r = self.family.problem.num_classes, self.family.rank
        kept = [(orbit, j) for orbit in self.orbits for j in range(r) if next(iter(orbit.values()))[j]]
        rows = self.family.landscape.roots.new_zeros(K, r, len(kept))
        for i, (orbit, j) in enumerate(kept):
            for k, signs in orbit.items():
                rows[k, j, i] = signs[j] * len(orbit) ** -0.5
        return rows

    @cached_property
    def features(self) -> torch.Tensor:
        """(T, r, m') orthonormal: H~ of m' coordinates."""
        T, r = self.family.problem.num_types, self.family.rank
        if self._alike:
            return self.rows
        kept = [t * r + j for t in range(T) for j in range(r) if all(signs[j] > 0 for signs in self.symmetry.signs)]
        return torch.eye(T * r, dtype=self.rows.dtype, device=self.rows.device)[:, kept].view(T, r, len(kept))

    @cached_property
    def biases(self) -> torch.Tensor:
        """(K, m'') orthonormal: b of m'' coordinates, none without a bias."""
        biases = self.rows.new_zeros(len(self.rows), len(self.orbits) if self.family.problem.bias else 0)
        for i, orbit in enumerate(self.orbits if self.family.problem.bias else []):
            biases[list(orbit), i] = len(orbit) ** -0.5
        return biases

    @cached_property
    def basis(self) -> torch.Tensor:
        """(the family's size, size) orthonormal."""
        parts = [self.rows.flatten(0, 1), self.features.flatten(0, 1), self.biases]
        return torch.block_diag(*parts[: 2 + self.family.problem.bias])

    @property
    def size(self) -> int:
        return self.basis.shape[1]

    @property
    def cut(self) -> int:
        """How many of the coordinates are those of W: they come first."""
        return self.rows.shape[2]

    @cached_property
    def decay(self) -> torch.Tensor:
        """(size,) the weight decay of each coordinate."""
        return self.basis.square().T @ self.family.decay

    @cached_property
    def _types(self) -> torch.Tensor:
        """One type of every orbit."""
        first = [next(iter(orbit)) for orbit in self.orbits] if self._alike else range(self.family.problem.num_types)
        return torch.tensor(first, device=self.rows.device)

    @cached_property
    def _labels(self) -> torch.Tensor:
        return self.family.landscape.labels[self._types]

    @cached_property
    def _share(self) -> torch.Tensor:
        """Which share of all samples those of the types of each orbit are."""
        f = self.family.landscape
        shares = f.counts[self._types] / f.num_samples
        return shares * shares.new_tensor([len(orbit) for orbit in self.orbits]) if self._alike else shares

    @cached_property
    def _steps(self) -> torch.Tensor:
        """(R, r, m') the features of those types, not scaled."""
        return self.features[self._types] / self.family.landscape.roots[self._types, :, None]

    def lift(self, y: torch.Tensor) -> torch.Tensor:
        """(B, the family's size): the points whose coordinates y are."""
        return y @ self.basis.T

    def restrict(self, x: torch.Tensor) -> torch.Tensor:
        """(B, size): the coordinates of x's projection; of a gradient, that of f on the subspace."""
        return x @ self.basis

    def _parts(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """W (B, K, r), the features U (B, R, r) and the logits (B, R, K) of one type of each orbit."""
        cut, end = self.cut, self.cut + self.features.shape[2]
        W = (y[:, :cut] @ self.rows.flatten(0, 1).T).unflatten(1, self.rows.shape[:2])
        U = (y[:, cut:end] @ self._steps.flatten(0, 1).T).unflatten(1, self._steps.shape[:2])
        return W, U, U @ W.mT + (y[:, end:] @ self.biases.T)[:, None]

    def values(self, y: torch.Tensor) -> torch.Tensor:
        """(B,) f at every row of y."""
        f, logits = self.family.landscape, self._parts(y)[2]
        losses = f.loss.values(logits.flatten(0, 1), self._labels.repeat(len(y))).view(len(y), -1)
        return losses @ self._share + y.square() @ self.decay / 2

    def gradient(self, y: torch.Tensor) -> torch.Tensor:
        """(B, size) the gradient of f at every row of y."""
        W, U, logits = self._parts(y)
        _, slopes, _ = self.family.landscape.loss.expand(logits.flatten(0, 1), self._labels.repeat(len(y)))
        return self._gradient(y, W, U, slopes.view_as(logits) * self._share[:, None])

    def _gradient(self, y: torch.Tensor, W: torch.Tensor, U: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """The gradient where the weighted slopes of one type of each orbit are g (B, R, K)."""
        in_W = (g.mT @ U).flatten(1) @ self.rows.flatten(0, 1)
        in_H = (g @ W).flatten(1) @ self._steps.flatten(0, 1)
        return torch.cat([in_W, in_H, g.sum(1) @ self.biases], 1) + self.decay * y

    def expand(self, y: torch.Tensor) -> Expansion:
        """f to second order at every row of y.

        With M_t the derivative of type t's logits, A_t and g_t its weighted curvature and slope, the gradient is
        sum_t M_t^T g_t, and the Hessian sum_t M_t^T A_t M_t + g_t . M_t', without the decays.
        """
        f, B = self.family.landscape, len(y)
        W, U, logits = self._parts(y)
        (R, r), K = U.shape[1:], W.shape[1]
        losses, slopes, curvature = f.loss.expand(logits.flatten(0, 1), self._labels.repeat(B))
        M = self._derivative(W, U)
        g = slopes.view(B, R, K) * self._share[:, None]
        units = torch.eye(K, dtype=y.dtype, device=y.device)[:, None, :].expand(K, B * R, K)
        A = curvature(units).view(K, B, R, K).permute(1, 2, 3, 0) * self._share[:, None, None]
        H = M.flatten(1, 2).mT @ (A @ M).flatten(1, 2)
        cut, end = self.cut, self.cut + self.features.shape[2]
        twice = (g.flatten(0, 1) @ self.rows.flatten(1)).view(B, R * r, cut).mT @ self._steps.flatten(0, 1)
        H[:, :cut, cut:end] += twice
        H[:, cut:end, :cut] += twice.mT
        H.diagonal(dim1=1, dim2=2).add_(self.decay)
        value = losses.view(B, R) @ self._share + y.square() @ self.decay / 2
        return Expansion(value, self._gradient(y, W, U, g), H)

    def _derivative(self, W: torch.Tensor, U: torch.Tensor) -> torch.Tensor:
        """(B, R, K, size): the logits' derivatives."""
        (B, K, r), R = W.shape, U.shape[1]
        in_W = (U.reshape(B * R, r) @ self.rows.transpose(0, 1).flatten(1)).view(B, R, K, -1)
        in_H = (W.reshape(B * K, r) @ self._steps.transpose(0, 1).flatten(1)).view(B, K, R, -1).transpose(1, 2)
        return torch.cat([in_W, in_H, self.biases.expand(B, R, *self.biases.shape)], 3)
