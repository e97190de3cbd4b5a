"""Half the weighted squared error, in balls.

l(z) = 1/2 sum_k w_k e_k^2,   e = z - y

slope      w e
curvature  diag(w)
conjugate  -l*(t slope) = -t sum_k w_k e_k (t e_k/2 + y_k)
"""

from functools import cached_property

from flint import arb, arb_mat

from ..balls import diagonal
from .row import Row, total


class MeanSquareRow(Row):
    @cached_property
    def targets(self) -> list[arb]:
        """y."""
        if self.loss.targets is not None:
            return [arb(y) for y in self.loss.targets.array[self.t].tolist()]
        return [arb(self.loss.target if k == self.t else 0.0) for k in range(self.K)]

    @cached_property
    def weights(self) -> list[arb]:
        """w."""
        return [arb(self.loss.weight if k == self.t else 1.0) for k in range(self.K)]

    @cached_property
    def errors(self) -> list[arb]:
        """e."""
        return [v - y for v, y in zip(self.z, self.targets, strict=True)]

    @cached_property
    def value(self) -> arb:
        return total([w * e * e for w, e in zip(self.weights, self.errors, strict=True)]) / 2

    @cached_property
    def slope(self) -> list[arb]:
        return [w * e for w, e in zip(self.weights, self.errors, strict=True)]

    @cached_property
    def curvature(self) -> arb_mat:
        return diagonal(self.weights)

    def negative_conjugate(self, share: arb) -> arb:
        terms = zip(self.slope, self.errors, self.targets, strict=True)
        return -share * total([u * (share * e / 2 + y) for u, e, y in terms])
