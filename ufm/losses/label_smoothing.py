"""Label smoothing: cross-entropy whose targets are drawn towards the uniform ones.

    l(z) = lse(z) - <r, z>,   r = (1 - a) e_y + a/K,   a the smoothing

Slope, curvature and conjugate are those of `ufm.losses.soft_cross_entropy` with these targets.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..errors import Setting, require
from .loss import OfClasses
from .soft_cross_entropy import Soft


@dataclass(frozen=True)
class LabelSmoothing(OfClasses, Soft):
    """Cross-entropy with targets r = (1 - a) e_y + a/K, a the smoothing in [0, 1).

    Source: Szegedy et al. 2016 (arXiv 1512.00567); torch.nn.functional.cross_entropy(label_smoothing=a).
    """

    smoothing: float
    name: ClassVar[str] = "label-smoothing"

    def __post_init__(self) -> None:
        a = self.smoothing
        good = isinstance(a, int | float) and not isinstance(a, bool) and math.isfinite(a) and 0 <= a < 1
        require(good, (Setting("smoothing"), f" must lie in [0, 1), got {a!r}"))

    def rows(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        K = like.shape[-1]
        r = like.new_full(like.shape, self.smoothing / K)
        return r.scatter_(1, types[:, None], 1 - self.smoothing + self.smoothing / K)

    def to_plain(self) -> dict[str, Any]:
        return {"name": self.name, "smoothing": self.smoothing}
