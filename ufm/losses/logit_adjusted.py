"""Cross-entropy of logits that are first scaled and shifted, class by class.

    l(z) = CE(D z + i),   D = diag(scales) > 0,   i = offsets

    slope      D (p - e_y),   p = softmax(D z + i)
    curvature  D (diag(p) - p p^T) D
    conjugate  l*(u) = CE*(u/D) - <u/D, i>

Logit adjustment (Menon et al. 2021, arXiv 2007.07314) has offsets alone, vector scaling (Kini et al. 2021, arXiv
2103.01550) both, class-dependent temperatures (Ye et al. 2020, arXiv 2001.01385) scales alone.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import InputError, Setting, require
from .cross_entropy import CrossEntropy
from .loss import Expansion
from .tables import Given, Table, require_entries, table


@dataclass(frozen=True)
class LogitAdjusted:
    """CE(scales z + offsets): offsets (K,), 0 by default; scales (K,) > 0, 1 by default; at least one is given.

    Raises InputError where both have K numbers but not the same K, and for scales that are not positive.
    """

    offsets: Table
    scales: Table
    name: ClassVar[str] = "logit-adjusted"
    convex: ClassVar[bool] = True

    def __init__(self, offsets: Given | None = None, scales: Given | None = None):
        if offsets is None and scales is None:
            raise InputError((Setting("offsets"), " or ", Setting("scales"), " must be given, a number a class"))
        i = None if offsets is None else table("offsets", offsets, 1)
        D = table("scales", np.ones_like(i.array) if i is not None and scales is None else scales, 1)
        i = table("offsets", np.zeros_like(D.array), 1) if i is None else i
        same = f" must have as many entries; got {len(i.array)} and {len(D.array)}"
        require(i.shape == D.shape, (Setting("offsets"), " and ", Setting("scales"), same))
        require_entries("scales", D, D.array > 0, "positive")
        object.__setattr__(self, "offsets", i)
        object.__setattr__(self, "scales", D)

    @property
    def shift_invariant(self) -> bool:
        return bool((self.scales.array == self.scales.array[0]).all())

    @property
    def shift(self) -> torch.Tensor:
        """1/scales: along it all scaled logits shift alike, which cross-entropy ignores."""
        return torch.from_numpy(1 / self.scales.array)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.scales.array), len(self.scales.array)

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return tuple(zip(self.offsets.tolist(), self.scales.tolist(), strict=True))

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return CrossEntropy().values(self.scales.to(logits) * logits + self.offsets.to(logits), types)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        D = self.scales.to(logits)
        values, slopes, curvature = CrossEntropy().expand(D * logits + self.offsets.to(logits), types)
        return values, D * slopes, lambda change: D * curvature(D * change)

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        inner = slopes / self.scales.to(slopes)
        return CrossEntropy().negative_conjugate(inner, types) + inner @ self.offsets.to(slopes)

    def to_plain(self) -> dict[str, Any]:
        return {"name": self.name, "offsets": self.offsets.tolist(), "scales": self.scales.tolist()}
