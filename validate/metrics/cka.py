"""Linear centred kernel alignment of two layers' features X (N, p), Y (N, q) of the same samples, columns centred:

    |X^T Y|_F^2/(|X^T X|_F |Y^T Y|_F)

1 for layers that differ by a rotation, a scale and a shift; 0 for uncorrelated ones.
"""

import math

import torch

from ..statistics.estimate import Estimate


def cka(cross: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> float:
    """The alignment in [0, 1], of |X^T Y|_F^2, |X^T X|_F^2 and |Y^T Y|_F^2, each (1,) exact or (copies,) estimates.

    Of estimates it is an `Estimate`: the quotient of the means, and the jackknife's standard error over the copies.
    NaN where a layer does not vary.
    Source: Kornblith et al., "Similarity of neural network representations revisited", ICML 2019 (arXiv 1905.00414).
    """
    parts = torch.stack(torch.broadcast_tensors(cross, first, second))
    whole = float(_quotient(parts.mean(1)))
    copies = parts.shape[1]
    if copies == 1:
        return min(whole, 1.0)  # which rounding exceeds; NaN stays
    without = _quotient((parts.sum(1, keepdim=True) - parts) / (copies - 1))
    return Estimate(whole, float(((copies - 1) * without.var(correction=0)).sqrt()))


def _quotient(parts: torch.Tensor) -> torch.Tensor:
    """cross/sqrt(first second) of (3, ...); NaN where one of the two is not positive."""
    cross, first, second = parts
    found = cross / (first.clamp_min(0).sqrt() * second.clamp_min(0).sqrt())
    return torch.where((first > 0) & (second > 0), found, math.nan)
