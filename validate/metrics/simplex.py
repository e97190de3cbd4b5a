"""Frobenius distances to the simplex ETF and between scaled matrices: NC2 and NC3, never forming K x K."""

import math

import torch

from ..statistics.blocks import blocks


def distance_to_simplex(X: torch.Tensor, Y: torch.Tensor, rows: int) -> float:
    """|A/|A|_F - Pi/sqrt(K-1)|_F of A = X Y^T, for X, Y (K, d); NaN for A = 0.

    Up to K = rows through the entries of A, a block of rows at a time, in time K^2 d. Above, in K d^2, through
        distance^2 = 2 - 2 (tr A - 1^T A 1/K)/(|A|_F sqrt(K-1)),   |A|_F^2 = <X^T X, Y^T Y>,
    which rounding leaves with an error of about 1e-15/distance.
    """
    return _by_entries(X, Y) if len(X) <= rows else _by_traces(X, Y)


def _by_entries(X: torch.Tensor, Y: torch.Tensor) -> float:
    K = len(X)
    parts = list(blocks(K, K))
    size = sum((X[part] @ Y.T).square().sum() for part in parts).sqrt()
    total = X.new_zeros(())
    for part in parts:
        gaps = (X[part] @ Y.T).div_(size).add_(1 / (K * math.sqrt(K - 1)))
        gaps.diagonal(part.start).sub_(1 / math.sqrt(K - 1))
        total += gaps.square_().sum()
    return float(total.sqrt())


def _by_traces(X: torch.Tensor, Y: torch.Tensor) -> float:
    K = len(X)
    gram = X.T @ X
    size = (gram * (gram if X is Y else Y.T @ Y)).sum().sqrt()
    trace = sum((X[part] * Y[part]).sum() for part in blocks(*X.shape))
    overlap = (trace - X.sum(0) @ Y.sum(0) / K) / (size * math.sqrt(K - 1))
    return float((2 - 2 * overlap).clamp_min(0).sqrt())


def scaled_distance(X: torch.Tensor, Y: torch.Tensor) -> float:
    """|X/|X|_F - Y/|Y|_F|_F for X, Y (K, d); NaN where one is 0."""
    x, y = X.norm(), Y.norm()
    return math.sqrt(sum(float((X[part] / x - Y[part] / y).square().sum()) for part in blocks(*X.shape)))
