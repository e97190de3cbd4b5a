"""Equinormness, how equal the norms of the rows of W, or of the centred class means, are: std_k |x_k|/mean_k |x_k|."""

import torch


def equinorm(norms: torch.Tensor) -> float:
    """Standard deviation over mean of the norms (K,) of the rows of X, float64; NaN for X = 0.

    Source: Papyan, Han and Donoho, PNAS 2020 (arXiv 2008.08186), figure 2.
    """
    return float(norms.std(correction=0) / norms.mean())
