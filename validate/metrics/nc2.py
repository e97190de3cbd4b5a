"""NC2, how far the rows of W, or the centred class means, are from a simplex equiangular tight frame:

nc2        | W W^T/|W W^T|_F - Pi/sqrt(K-1) |_F                 Pi = I - 11^T/K, |Pi|_F = sqrt(K-1)
nc2_means  | M M^T/|M M^T|_F - Pi/sqrt(K-1) |_F                 M (K, d) the centred class means
"""

import math

import torch

from ..statistics.blocks import blocks


def nc2(X: torch.Tensor, rows: int) -> float:
    """The distance of X X^T to the simplex ETF's Gram matrix, for W or the centred class means X (K, d), float64.

    0 for a simplex ETF of any size and position, at most sqrt(2) for a Gram matrix; NaN for X = 0. rows as for
    `distance_to_simplex`. Source: Zhu et al. 2021 (arXiv 2105.02375), section on experiments.
    """
    return distance_to_simplex(X, X, rows)


def distance_to_simplex(X: torch.Tensor, Y: torch.Tensor, rows: int) -> float:
    """|A/|A|_F - Pi/sqrt(K-1)|_F of A = X Y^T, for X, Y (K, d), never forming K x K; NaN for A = 0.

    Up to K = rows through the entries of A, a block of rows at a time, in time K^2 d. Above, in K d^2, through
        distance^2 = 2 - 2 (tr A - 1^T A 1/K)/(|A|_F sqrt(K-1)),   |A|_F^2 = <X^T X, Y^T Y>,
    which rounding leaves with an error of about 1e-15/distance.
    """
    return _by_entries(X, Y) if len(X) <= rows else _by_traces(X, Y)


def _by_entries(X: torch.Tensor, Y: torch.Tensor) -> float:
    K = len(X)
    parts = list(blocks(K, K))
    total = X.new_zeros(())
    size = sum(((X[part] @ Y.T).square().sum() for part in parts), total).sqrt()
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
