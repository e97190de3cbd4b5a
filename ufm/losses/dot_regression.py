"""Half the squared error of the own logit alone, for a classifier that is given (Yang et al. 2022, arXiv 2203.09081).

    l(z) = (z_y - T)^2 / (2 T),   T = sqrt(E_W E_H)

slope      (z_y - T)/T e_y
curvature  e_y e_y^T / T
conjugate  -l*(u) = -(T u_y^2/2 + T u_y) where u = u_y e_y, -infinity elsewhere

There |w_k|^2 = E_W and |h|^2 <= E_H. It separates classes by the W that is given: over a free W it is 0 where all rows
are one, and all features.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..errors import Setting, require
from .loss import Expansion, OfClasses


@dataclass(frozen=True)
class DotRegression(OfClasses):
    """(z_y - target)^2 / (2 target) for class y. Raises InputError unless the target is a finite number > 0."""

    target: float = 1.0
    name: ClassVar[str] = "dot-regression"
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False

    def __post_init__(self) -> None:
        value = self.target
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
        require(good, (Setting("target"), f" must be a finite number > 0, got {value!r}"))

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return (_own(logits, types) - self.target).square() / (2 * self.target)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        error = (_own(logits, types) - self.target) / self.target
        own = torch.zeros_like(logits).scatter_(1, types[:, None], 1.0)
        return self.target * error.square() / 2, error[:, None] * own, lambda change: own * change / self.target

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        u = _own(slopes, types)
        elsewhere = (slopes != 0).scatter(1, types[:, None], False).any(1)
        return torch.where(elsewhere, -torch.inf, -self.target * (u.square() / 2 + u))

    def to_plain(self) -> Any:
        return {"name": self.name, "target": float(self.target)}


def _own(rows: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
    """(R,) the entry of each row at its own class."""
    return rows.gather(1, types[:, None]).squeeze(1)
