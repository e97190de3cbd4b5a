"""The mean of many features in float64, without a float64 copy of them."""

import torch

from .blocks import blocks


def feature_mean(H: torch.Tensor) -> torch.Tensor:
    """(d,) float64 the mean of the N >= 1 rows of H (N, d), of any floating dtype."""
    total = torch.zeros(H.shape[1], dtype=torch.float64, device=H.device)
    for part in blocks(*H.shape):
        total += H[part].double().sum(0)
    return total / len(H)
