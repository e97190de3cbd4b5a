"""Half the squared error of the logits, weighted.

    l(z) = 1/2 sum_k w_k (z_k - y_k)^2

    slope      w (z - y)
    curvature  diag(w)
    conjugate  -l*(u) = -(1/2 sum_k u_k^2/w_k + <u, y>)

For one-hot targets, w = 1 but `weight` at the own class, whose target is `target`: k and M of Hui and Belkin 2021
(arXiv 2006.07322).
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..errors import Setting, require
from .loss import Expansion
from .tables import Given, Table, table


@dataclass(frozen=True)
class MeanSquare:
    """|z - y|^2/2 with y = e_k for class k, or with any real targets (T, K), a row a type.

    weight, target   of the own class: 1/2 [weight (z_y - target)^2 + sum of the others' z_j^2]; only without targets
    """

    targets: Table | None
    weight: float
    target: float
    name: ClassVar[str] = "mse"
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False

    def __init__(self, targets: Given | None = None, weight: float = 1.0, target: float = 1.0):
        for name, value in (("weight", weight), ("target", target)):
            good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
            require(good, (Setting(name), f" must be a finite number > 0, got {value!r}"))
        alone = targets is None or weight == target == 1
        require(alone, (Setting("weight"), " and ", Setting("target"), " are for one-hot targets; scale yours instead"))
        object.__setattr__(self, "targets", None if targets is None else table("targets", targets, 2))
        object.__setattr__(self, "weight", float(weight))
        object.__setattr__(self, "target", float(target))

    @property
    def shape(self) -> tuple[int, int] | None:
        return None if self.targets is None else (self.targets.shape[0], self.targets.shape[1])

    @property
    def one_hot(self) -> bool:
        """Whether targets are e_k, and all weights 1."""
        return self.targets is None and self.weight == self.target == 1

    @property
    def turns(self) -> bool:
        """Whether classes of equal n_k may be rotated into each other, and not only exchanged."""
        return self.targets is None and self.weight == 1

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return (None,) * num_classes if self.targets is None else tuple(range(num_classes))

    def rows(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(R, K) the targets of each row."""
        if self.targets is not None:
            return self.targets.to(like)[types]
        return torch.zeros_like(like).scatter_(1, types[:, None], self.target)

    def weights(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor | float:
        """The weights w of each row: (R, K), or 1."""
        return 1.0 if self.weight == 1 else torch.ones_like(like).scatter_(1, types[:, None], self.weight)

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        error = logits - self.rows(logits, types)
        return (self.weights(logits, types) * error.square()).sum(1) / 2

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        w, error = self.weights(logits, types), logits - self.rows(logits, types)
        slopes = w * error
        return (slopes * error).sum(1) / 2, slopes, lambda change: w * change if self.weight != 1 else change.clone()

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return -(slopes * (slopes / self.weights(slopes, types) / 2 + self.rows(slopes, types))).sum(1)

    def to_plain(self) -> Any:
        if self.targets is not None:
            return {"name": self.name, "targets": self.targets.tolist()}
        return self.name if self.one_hot else {"name": self.name, "weight": self.weight, "target": self.target}
