"""Losses of the logits: value, slope, curvature and convex conjugate, each a few tensor lines.

A loss is convex in the logits z (K,) of one sample with label y. The landscape needs its value, its
gradient g (the *slope*) and products with its Hessian S; the duality certificate needs its conjugate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch.nn import functional


class Loss(Protocol):
    """What the unconstrained feature model asks of a loss. R rows of logits, K classes."""

    name: str

    def values(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(R,) loss of each row, differentiable by autograd."""

    def expand(
        self, logits: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """(values (R,), slopes (R, K), M (R, K) -> S M (R, K)): the expansion to second order.

        The logits may be overwritten; the slopes must not be while the last item is in use.
        """

    def negative_conjugate(self, slopes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(R,) -sup_z (<slope, z> - loss(z)): the dual value of each row; -inf outside the domain."""


@dataclass(frozen=True)
class CrossEntropy:
    """-log softmax(z)_y.

    With p = softmax(z):  slope p - e_y,  curvature S = diag(p) - p p^T,  and, for q = e_y + slope in
    the simplex, -conjugate(slope) = entropy(q) = -sum q log q.
    """

    name: str = "cross-entropy"

    def values(self, logits, labels):
        return functional.cross_entropy(logits, labels, reduction="none")

    def expand(self, logits, labels):
        own = labels[:, None]
        top = logits.amax(1, keepdim=True)
        chosen = logits.gather(1, own).sub_(top)
        slopes = logits.sub_(top).exp_().scatter_(1, own, 0.0)
        # 1 - p_y as a sum of the others: exact relative precision once the fit is nearly perfect.
        others = slopes.sum(1, keepdim=True)
        total = others + chosen.exp()
        slopes.div_(total).scatter_(1, own, -others / total)

        @cache
        def probabilities() -> torch.Tensor:
            return slopes.scatter_add(1, own, torch.ones_like(others))

        def curvature(change: torch.Tensor) -> torch.Tensor:
            p = probabilities()
            weighted = p * change
            return weighted.addcmul_(p, weighted.sum(-1, keepdim=True), value=-1)

        return (total.log() - chosen).squeeze(1), slopes, curvature

    def negative_conjugate(self, slopes, labels):
        q = slopes + functional.one_hot(labels, slopes.shape[1]).to(slopes)
        outside = (q < -1e-12).any(1) | ((q.sum(1) - 1).abs() > 1e-9)
        entropy = -torch.xlogy(q.clamp_min(0), q.clamp_min(0)).sum(1)
        return torch.where(outside, -torch.inf, entropy)
