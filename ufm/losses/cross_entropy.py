"""Cross-entropy: value, slope, curvature and convex conjugate, to full relative precision at any fit."""

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from torch.nn import functional

from .loss import Expansion, OfClasses

LARGE = 40.0  # log(1 + e^x) is x from here on, in float64


@dataclass(frozen=True)
class CrossEntropy(OfClasses):
    """-log softmax(z)_y.

    With p = softmax(z):  slope p - e_y,  curvature S = diag(p) - p p^T,  and, for q = e_y + slope in
    the simplex, -conjugate(slope) = entropy(q) = -sum q log q.
    """

    name: ClassVar[str] = "cross-entropy"
    convex: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = True
    exact_slopes: ClassVar[bool] = True  # to full relative precision: no difference of larger terms is among them
    absent: ClassVar[float] = -math.inf

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        # log(1 + sum over others of e^(z_j - z_y)): where the fit is nearly perfect, the small loss to full precision.
        own = types[:, None]
        behind = (logits - logits.gather(1, own)).scatter(1, own, -torch.inf)
        return functional.softplus(behind.logsumexp(1), threshold=LARGE)

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        own = types[:, None]
        top, likeliest = logits.max(1, keepdim=True)
        chosen = logits.gather(1, own).sub_(top)
        slopes = logits.sub_(top).exp_().scatter_(1, own, 0.0)
        # 1 - p_y as a sum of the others: exact relative precision once the fit is nearly perfect.
        others = slopes.sum(1, keepdim=True)
        fit = chosen.exp()
        total = others + fit
        slopes.div_(total).scatter_(1, own, -others / total)

        @cache
        def probabilities() -> torch.Tensor:
            return slopes.scatter(1, own, fit / total)

        def curvature(change: torch.Tensor) -> torch.Tensor:
            # S ignores a shift of all logits: less the likeliest class's, no two large terms cancel.
            p = probabilities()
            weighted = p * (change - change.gather(-1, likeliest.expand(*change.shape[:-1], 1)))
            return weighted.addcmul_(p, weighted.sum(-1, keepdim=True), value=-1)

        values = torch.where(chosen == 0, others.log1p(), total.log() - chosen)
        return values.squeeze(1), slopes, curvature

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        own = types[:, None]
        short = slopes.gather(1, own)
        q = slopes.scatter(1, own, 1 + short)
        outside = (q.amin(1) < -1e-12) | ((q.sum(1) - 1).abs() > 1e-9)
        q.clamp_min_(0)
        # q_y log q_y through 1 - q_y, which is small where the fit is nearly perfect.
        short = short.clamp(-1, 0)
        terms = torch.xlogy(q, q).scatter_(1, own, torch.special.xlog1py(1 + short, short))
        return torch.where(outside, -torch.inf, -terms.sum(1))

    def to_plain(self) -> str:
        return self.name
