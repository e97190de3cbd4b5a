"""One logistic loss a class: own against the others, or any subset of labels.

    l(z) = sum_k log(1 + exp(-y_k z_k)),   y_k = +-1,   q_k = sigmoid(-y_k z_k)

    slope      -y q
    curvature  diag(q (1 - q))
    conjugate  -l*(u) = sum_k h(-y_k u_k),   h the binary entropy on [0, 1]

The sign y_k is 1 for the classes that a type has, and -1 for all others.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from .loss import Expansion
from .tables import Given, Table, require_entries, table


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The sum over the classes of their logistic losses: y = +1 at the own class alone, or targets (T, K) of +-1.

    torch.nn.functional.binary_cross_entropy_with_logits, summed over the classes.
    """

    targets: Table | None
    name: ClassVar[str] = "bce"
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False

    def __init__(self, targets: Given | None = None):
        found = None if targets is None else table("targets", targets, 2)
        if found is not None:
            require_entries("targets", found, abs(found.array) == 1, "+1 or -1")
        object.__setattr__(self, "targets", found)

    @property
    def shape(self) -> tuple[int, int] | None:
        return None if self.targets is None else (self.targets.shape[0], self.targets.shape[1])

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return (None,) * num_classes if self.targets is None else tuple(range(num_classes))

    @property
    def escaping(self) -> list[int]:
        """The classes with one label in all types: without decay their biases go to infinity."""
        return [] if self.targets is None else np.flatnonzero(abs(self.targets.array.mean(0)) == 1).tolist()

    def signs(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(R, K) y."""
        if self.targets is not None:
            return self.targets.to(like)[types]
        return torch.full_like(like, -1.0).scatter_(1, types[:, None], 1.0)

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return functional.softplus(-self.signs(logits, types) * logits, threshold=40.0).sum(1)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        y = self.signs(logits, types)
        behind = -y * logits
        q = behind.sigmoid()
        S = q * (-behind).sigmoid()
        return functional.softplus(behind, threshold=40.0).sum(1), -y * q, lambda change: S * change

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        q = -self.signs(slopes, types) * slopes
        outside = (q < -1e-12).any(1) | (q > 1 + 1e-12).any(1)
        q = q.clamp(0, 1)
        terms = torch.xlogy(q, q) + torch.special.xlog1py(1 - q, -q)
        return torch.where(outside, -torch.inf, -terms.sum(1))

    def to_plain(self) -> Any:
        return self.name if self.targets is None else {"name": self.name, "targets": self.targets.tolist()}
