"""Cross-entropy with hard, smoothed or soft targets r, in balls.

l(z) = sum_k r_k log(1 + sum_{j != k} e^(z_j - z_k)),   mu = sum r,   p = softmax(z)

slope      p (mu - r) - r (1 - p)
curvature  mu (diag(p) - p p^T)
conjugate  -l*(t slope) = -mu sum q log q,   q = t p + (1 - t) r/mu

1 - p_k and mu - r_k are sums of the others, so that a nearly perfect fit keeps its relative accuracy.
"""

from abc import abstractmethod
from functools import cached_property
from typing import Any

from flint import arb, arb_mat

from .row import Row, total, without


class Soft(Row):
    """The formula, for a row that says what its targets are."""

    @cached_property
    @abstractmethod
    def targets(self) -> list[arb]:
        """r (K,)."""

    @cached_property
    def mass(self) -> arb:
        """mu."""
        return total(self.targets)

    @cached_property
    def odds(self) -> list[list[arb]]:
        """e^(z_j - z_k), j != k, for each k: no ball occurs in both numerator and denominator of p."""
        return [[(other - own).exp() for other in without(self.z, k)] for k, own in enumerate(self.z)]

    @cached_property
    def p(self) -> list[arb]:
        return [1 / (1 + total(odds)) for odds in self.odds]

    @cached_property
    def misses(self) -> list[arb]:
        """1 - p."""
        return [total(without(self.p, k)) for k in range(self.K)]

    @cached_property
    def value(self) -> arb:
        terms = zip(self.targets, self.odds, strict=True)
        return total([r * total(odds).log1p() for r, odds in terms if not r.is_zero()])

    @cached_property
    def slope(self) -> list[arb]:
        rests = [total(without(self.targets, k)) for k in range(self.K)]
        return [p * rest - r * miss for p, rest, r, miss in zip(self.p, rests, self.targets, self.misses, strict=True)]

    @cached_property
    def curvature(self) -> arb_mat:
        p, misses, K = self.p, self.misses, self.K
        return arb_mat([[p[i] * misses[i] if i == j else -p[i] * p[j] for j in range(K)] for i in range(K)]) * self.mass

    def negative_conjugate(self, share: arb) -> arb:
        rest = (1 - share) / self.mass
        q = [share * p + rest * r for p, r in zip(self.p, self.targets, strict=True)]
        return -self.mass * total([entry * entry.log() for entry in q])

    @staticmethod
    def shift(loss: Any, num_classes: int) -> list[arb]:
        return [arb(1)] * num_classes


class CrossEntropyRow(Soft):
    """r = e_t."""

    @cached_property
    def targets(self) -> list[arb]:
        return [arb(int(k == self.t)) for k in range(self.K)]


class LabelSmoothingRow(Soft):
    """r = (1 - a) e_t + a/K."""

    @cached_property
    def targets(self) -> list[arb]:
        a = arb(float(self.loss.smoothing))
        return [(1 - a) * int(k == self.t) + a / self.K for k in range(self.K)]


class SoftCrossEntropyRow(Soft):
    """r is row t of the loss's targets."""

    @cached_property
    def targets(self) -> list[arb]:
        return [arb(r) for r in self.loss.targets.array[self.t].tolist()]
