"""Cross-entropy with soft targets: one formula for label smoothing, several labels, mixup and distillation.

    l(z) = mu lse(z) - <r, z>,   mu = sum r > 0,   r >= 0        lse(z) = log sum_j e^z_j,   p = softmax(z)

    slope      mu p - r = p (mu - r) - r (1 - p)
    curvature  S = mu (diag(p) - p p^T)
    conjugate  -l*(u) = mu entropy(q),   q = (r + u)/mu in the simplex

The sum mu of a type's targets is the weight of its samples.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from ..errors import Setting, require
from .loss import Expansion
from .tables import Given, Table, require_entries, table


class Soft:
    """The formula, for a loss that says what its targets r (T, K) are."""

    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True

    def rows(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(R, K) the targets of each row, in the dtype and on the device of the logits."""
        raise NotImplementedError

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        r = self.rows(logits, types)
        # sum_k r_k (lse(z) - z_k), each term >= 0: lse(z) = z_top + log(1 + what the others add).
        top, likeliest = logits.max(1, keepdim=True)
        others = (logits - top).scatter(1, likeliest, -torch.inf).exp().sum(1, keepdim=True)
        return (r * (others.log1p() + (top - logits))).sum(1)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        r = self.rows(logits, types)
        mu = r.sum(1, keepdim=True)
        top, likeliest = logits.max(1, keepdim=True)
        behind = top - logits
        odds = (-behind).exp().scatter(1, likeliest, 0.0)
        others = odds.sum(1, keepdim=True)
        values = (r * (others.log1p() + behind)).sum(1)
        p = odds.scatter(1, likeliest, 1.0) / (1 + others)
        # 1 - p of the likeliest class, and mu - r where one target is nearly all, without cancellation.
        misses = (1 - p).scatter(1, likeliest, others / (1 + others))
        slopes = p * _rest(r) - r * misses

        def curvature(change: torch.Tensor) -> torch.Tensor:
            # S ignores a shift of all logits: less the likeliest class's, no two large terms cancel.
            place = likeliest.expand(*change.shape[:-1], 1)
            weighted = p * (change - change.gather(-1, place))
            return weighted.addcmul_(p, weighted.sum(-1, keepdim=True), value=-1).mul_(mu)

        return values, slopes, curvature

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        r = self.rows(slopes, types)
        mu = r.sum(1, keepdim=True)
        q, short = (r + slopes) / mu, (_rest(r) - slopes) / mu  # q and 1 - q
        outside = (q.amin(1) < -1e-12) | ((q.sum(1) - 1).abs() > 1e-9)
        q, short = q.clamp(0, 1), short.clamp(0, 1)
        terms = torch.where(q > 0.5, torch.special.xlog1py(q, -short), torch.xlogy(q, q))
        return torch.where(outside, -torch.inf, -mu[:, 0] * terms.sum(1))


def _rest(r: torch.Tensor) -> torch.Tensor:
    """(R, K) the sum of the other entries of each row, without cancellation: of those before and those behind."""
    before = functional.pad(r, (1, 0))[:, :-1].cumsum(1)
    behind = functional.pad(r, (0, 1))[:, 1:].flip(1).cumsum(1).flip(1)
    return before + behind


@dataclass(frozen=True)
class SoftCrossEntropy(Soft):
    """Cross-entropy with targets (T, K): row t holds the weights r >= 0 of the K classes for samples of type t.

    A row need not sum to 1: its sum is the weight of the type's samples. Raises InputError for negative targets and
    for a row of zeros. `pick_all`, `mixed` and `distilled` make the targets of losses with those names.
    """

    targets: Table
    name: ClassVar[str] = "soft-cross-entropy"

    def __init__(self, targets: Given):
        found = table("targets", targets, 2)
        require_entries("targets", found, found.array >= 0, "weights >= 0")
        sums = np.broadcast_to(found.array.sum(1, keepdims=True), found.shape)
        require_entries("targets", found, sums > 0, "positive in some class for every type (a row a type)")
        object.__setattr__(self, "targets", found)

    @property
    def shape(self) -> tuple[int, int]:
        T, K = self.targets.shape
        return T, K

    def kinds(self, num_classes: int) -> tuple[Hashable, ...]:
        return tuple(range(num_classes))

    @property
    def escaping(self) -> list[int]:
        """The classes that no type has: without decay their biases go to -infinity."""
        return np.flatnonzero(~self.targets.array.any(0)).tolist()

    def rows(self, like: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.targets.to(like)[types]

    def to_plain(self) -> dict[str, Any]:
        return {"name": self.name, "targets": self.targets.tolist()}

    @classmethod
    def pick_all(cls, num_classes: int, sizes: Sequence[int] = (1, 2)) -> "SoftCrossEntropy":
        """Multi-label by picking all labels: a type is a set S of classes of one of the `sizes`, its targets 1_S.

        Types come by size, sets in lexicographic order. Source: Li et al. 2024 (arXiv 2310.15903).
        """
        K = num_classes
        require(all(1 <= m <= K for m in sizes), (Setting("sizes"), f" must lie in 1 .. K = {K}, got {tuple(sizes)}"))
        return cls([[float(k in S) for k in range(K)] for m in sizes for S in combinations(range(K), m)])

    @classmethod
    def mixed(cls, num_classes: int, share: float) -> "SoftCrossEntropy":
        """Mixup with one share: types are the K classes, then every ordered pair: share e_k + (1 - share) e_j.

        Source: Zhang et al. 2018 (arXiv 1710.09412).
        """
        require(0 < share < 1, (Setting("share"), f" must lie in (0, 1), got {share}"))
        one = np.eye(num_classes)
        pairs = [
            share * one[k] + (1 - share) * one[j] for k in range(num_classes) for j in range(num_classes) if j != k
        ]
        return cls(np.stack([*one, *pairs]))

    @classmethod
    def distilled(cls, logits: Given, temperature: float = 1.0) -> "SoftCrossEntropy":
        """A teacher's soft labels: softmax(logits/temperature), a row a type.

        Source: Hinton et al. 2015 (arXiv 1503.02531).
        """
        require(temperature > 0, (Setting("temperature"), f" must be > 0, got {temperature}"))
        z = torch.from_numpy(table("logits", logits, 2).array.copy())
        return cls(torch.softmax(z / temperature, 1))
