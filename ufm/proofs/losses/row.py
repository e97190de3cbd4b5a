"""What a proof asks of a loss: l_t to second order at a row of logits in balls, and its conjugate at the slope."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from flint import arb, arb_mat


class Row(ABC):
    """l_t at the logits z (K,), balls; every answer encloses what it says for all numbers in the balls.

    value                      l_t(z)
    slope                      (K,) the gradient u
    curvature                  (K, K) the Hessian S
    negative_conjugate(share)  -l_t*(share u), share in (0, 1]; at share = 1 the sup is taken to be reached at z, which
                               it is where `touches_envelope`
    touches_envelope           whether l_t(z) + l_t*(u) = <u, z> is proved: l_t equals its convex envelope at z
    most                       a share up to which share u is in the domain of l_t*
    shift(loss, K)             s (K,) with l_t(z + c s) = l_t(z) for all c, t and z; None where there is none

    The defaults are those of a convex loss: the equality is Fenchel and Young's, and the domain, which is convex, has
    the slope and 0 in it, 0 because the loss is bounded below.
    """

    def __init__(self, loss: Any, z: Sequence[arb], t: int):
        self.loss, self.z, self.t, self.K = loss, z, t, len(z)

    @property
    @abstractmethod
    def value(self) -> arb: ...

    @property
    @abstractmethod
    def slope(self) -> list[arb]: ...

    @property
    @abstractmethod
    def curvature(self) -> arb_mat: ...

    @abstractmethod
    def negative_conjugate(self, share: arb) -> arb: ...

    @property
    def touches_envelope(self) -> bool:
        return True

    @property
    def most(self) -> arb:
        return arb(1)

    @staticmethod
    def shift(loss: Any, num_classes: int) -> list[arb] | None:
        return None


def total(terms: Sequence[arb]) -> arb:
    return sum(terms, arb(0))


def without(terms: Sequence[arb], k: int) -> list[arb]:
    """All terms but the k-th."""
    return [*terms[:k], *terms[k + 1 :]]
