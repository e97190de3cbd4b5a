"""A loss in which every sample has a type of its own, whose function is that of its type before.

Features of one type may differ at a critical point where the loss is not convex; nothing that is said of collapsed
points is said of those, until each sample is a type.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch

from .loss import Expansion, Loss, shift_direction
from .own import has_conjugate


@dataclass(frozen=True)
class Untied:
    """`inner`, of K classes, with sample i in the place of a type: types[i] is what it was."""

    inner: Loss
    num_classes: int
    types: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def convex(self) -> bool:
        return self.inner.convex

    @property
    def shift_invariant(self) -> bool:
        return self.inner.shift_invariant

    @property
    def shift(self) -> torch.Tensor | None:
        return shift_direction(self.inner, self.num_classes)

    @property
    def has_conjugate(self) -> bool:
        return has_conjugate(self.inner)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.types), self.num_classes

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return tuple(range(num_classes))

    def before(self, samples: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.types, device=samples.device)[samples]

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.inner.values(logits, self.before(types))

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        return self.inner.expand(logits, self.before(types))

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.inner.negative_conjugate(slopes, self.before(types))

    def to_plain(self) -> Any:
        return {"name": self.name, "untied": self.inner.to_plain(), "types": list(self.types)}
