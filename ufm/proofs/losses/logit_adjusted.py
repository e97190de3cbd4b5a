"""Cross-entropy of scaled and shifted logits, in balls.

l(z) = CE(D z + i),   D = diag(scales),   i = offsets

slope      D u,   u the slope of CE at D z + i
curvature  D S D
conjugate  -l*(t D u) = -CE*(t u) + t <u, i>
shift      D^-1 1: the logits D z + i move by (1, ..., 1), also where the scales differ
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from ..balls import diagonal
from .row import Row, total
from .soft_cross_entropy import CrossEntropyRow


class LogitAdjustedRow(Row):
    def __init__(self, loss: Any, z: Sequence[arb], t: int):
        super().__init__(loss, z, t)
        self.scales = [arb(scale) for scale in loss.scales.tolist()]
        self.offsets = [arb(offset) for offset in loss.offsets.tolist()]
        inner = [scale * v + offset for scale, v, offset in zip(self.scales, z, self.offsets, strict=True)]
        self.inner = CrossEntropyRow(loss, inner, t)

    @cached_property
    def value(self) -> arb:
        return self.inner.value

    @cached_property
    def slope(self) -> list[arb]:
        return [scale * u for scale, u in zip(self.scales, self.inner.slope, strict=True)]

    @cached_property
    def curvature(self) -> arb_mat:
        D = diagonal(self.scales)
        return D * self.inner.curvature * D

    def negative_conjugate(self, share: arb) -> arb:
        along = total([u * offset for u, offset in zip(self.inner.slope, self.offsets, strict=True)])
        return self.inner.negative_conjugate(share) + share * along

    @staticmethod
    def shift(loss: Any, num_classes: int) -> list[arb]:
        return [1 / arb(scale) for scale in loss.scales.tolist()]
