"""One logistic loss a class, in balls.

l(z) = sum_k log(1 + e^(-y_k z_k)),   y = +-1,   q_k = 1/(1 + e^(y_k z_k))

slope      -y q
curvature  diag(q (1 - q)),   1 - q = 1/(1 + e^(-y z))
conjugate  -l*(t slope) = sum_k h(t q_k),   h(x) = -x log x - (1 - x) log(1 - x),   1 - t q = (1 - t) + t (1 - q)
"""

from functools import cached_property

from flint import arb, arb_mat

from ..balls import diagonal
from .row import Row, total


class BinaryCrossEntropyRow(Row):
    @cached_property
    def signs(self) -> list[int]:
        """y."""
        if self.loss.targets is not None:
            return [int(y) for y in self.loss.targets.array[self.t].tolist()]
        return [1 if k == self.t else -1 for k in range(self.K)]

    @cached_property
    def margins(self) -> list[arb]:
        """y z."""
        return [y * v for y, v in zip(self.signs, self.z, strict=True)]

    @cached_property
    def q(self) -> list[arb]:
        return [1 / (1 + margin.exp()) for margin in self.margins]

    @cached_property
    def rest(self) -> list[arb]:
        """1 - q."""
        return [1 / (1 + (-margin).exp()) for margin in self.margins]

    @cached_property
    def value(self) -> arb:
        return total([(-margin).exp().log1p() for margin in self.margins])

    @cached_property
    def slope(self) -> list[arb]:
        return [-y * q for y, q in zip(self.signs, self.q, strict=True)]

    @cached_property
    def curvature(self) -> arb_mat:
        return diagonal([q * rest for q, rest in zip(self.q, self.rest, strict=True)])

    def negative_conjugate(self, share: arb) -> arb:
        pairs = [(share * q, (1 - share) + share * rest) for q, rest in zip(self.q, self.rest, strict=True)]
        return -total([x * x.log() for pair in pairs for x in pair])
