"""A loss with a weight a class, in balls: w times the loss that is weighted.

conjugate  -l*(t slope) = -w m*(t u), u the slope of m
"""

from functools import cached_property

from flint import arb, arb_mat

from .row import Row


class WeightedRow(Row):
    @cached_property
    def weight(self) -> arb:
        """w."""
        return arb(float(self.loss.weights.array[self.t]))

    @cached_property
    def inner(self) -> Row:
        """The row of the loss that is weighted."""
        from . import row  # the table of them all, which has this one too

        return row(self.loss.loss, self.z, self.t)

    @cached_property
    def value(self) -> arb:
        return self.weight * self.inner.value

    @cached_property
    def slope(self) -> list[arb]:
        return [self.weight * u for u in self.inner.slope]

    @cached_property
    def curvature(self) -> arb_mat:
        return self.inner.curvature * self.weight

    def negative_conjugate(self, share: arb) -> arb:
        return self.weight * self.inner.negative_conjugate(share)

    @property
    def touches_envelope(self) -> bool:
        return self.inner.touches_envelope

    @property
    def most(self) -> arb:
        return self.inner.most
