"""A loss with a weight a class: that of a class's samples is multiplied by it.

    l(z) = w_t m_t(z),   w_t > 0, m the loss that is weighted

slope      w u,   u the slope of m
curvature  w S,   S the curvature of m
conjugate  l*(u) = w m*(u/w)

The decay of H counts n_t samples, whatever they weigh, so weights are no other class counts (docs/theory, section
15.1).
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..errors import Setting, require
from .loss import Expansion, Loss
from .own import Own
from .tables import Given, Table, require_entries, table


@dataclass(frozen=True)
class Weighted:
    """weights[t] loss(z) for samples of type t: weights (T,) > 0, for a loss of classes one a class.

    Class-balanced losses (Cui et al. 2019, arXiv 1901.05555) and the alpha of focal loss (Lin et al. 2017, arXiv
    1708.02002) are such weights; those of LogitAdjusted make the loss of vector scaling (Kini et al. 2021, arXiv
    2103.01550). The mean is over N samples and not over their weights. Raises InputError for weights that are not
    positive or not as many as the loss has types, and for a loss of your own, which can have them in its values.
    """

    loss: Loss
    weights: Table
    name: ClassVar[str] = "weighted"

    def __init__(self, loss: Loss, weights: Given):
        found = table("weights", weights, 1)
        require_entries("weights", found, found.array > 0, "positive")
        own = isinstance(loss, Own | Weighted) or not hasattr(loss, "to_plain")
        require(not own, (Setting("loss"), f" must be one of ufm.losses without weights, got {loss!r:.60}"))
        types = len(found.array) if loss.shape is None else loss.shape[0]
        fits = f" must be as many as the loss has types, {types}; got {len(found.array)}"
        require(len(found.array) == types, (Setting("weights"), fits))
        object.__setattr__(self, "loss", loss)
        object.__setattr__(self, "weights", found)

    @property
    def convex(self) -> bool:
        return self.loss.convex

    @property
    def shift_invariant(self) -> bool:
        return self.loss.shift_invariant

    @property
    def shift(self) -> torch.Tensor | None:
        return getattr(self.loss, "shift", None)

    @property
    def exact_slopes(self) -> bool:
        return getattr(self.loss, "exact_slopes", False)

    @property
    def turns(self) -> bool:
        return getattr(self.loss, "turns", False)

    @property
    def escaping(self) -> list[int]:
        return getattr(self.loss, "escaping", [])

    @property
    def shape(self) -> tuple[int, int]:
        return self.loss.shape or (len(self.weights.array), len(self.weights.array))

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        """Classes are alike that the loss takes for alike and that have one weight."""
        T, K = self.shape
        weights = self.weights.tolist() if T == K else [None] * K  # where they differ no two classes are alike
        return tuple(zip(self.loss.kinds(num_classes), weights, strict=True))

    def column(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(R, 1) the weight of each row."""
        return self.weights.to(like)[types][:, None]

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.column(logits, types)[:, 0] * self.loss.values(logits, types)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        w = self.column(logits, types)
        values, slopes, curvature = self.loss.expand(logits, types)
        return w[:, 0] * values, w * slopes, lambda change: w * curvature(change)

    def largest_share(self, slopes: torch.Tensor, types: torch.Tensor) -> float:
        """That of the loss that is weighted, where it is not convex; a half where that says nothing."""
        inner = getattr(self.loss, "largest_share", None)
        return 0.5 if inner is None else inner(slopes / self.column(slopes, types), types)

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        w = self.column(slopes, types)
        return w[:, 0] * self.loss.negative_conjugate(slopes / w, types)

    def to_plain(self) -> dict[str, Any]:
        return {"name": self.name, "loss": self.loss.to_plain(), "weights": self.weights.tolist()}
