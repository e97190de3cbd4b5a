"""NC2, how far the rows of W, or the centred class means, are from a simplex equiangular tight frame:

nc2        | W W^T/|W W^T|_F - Pi/sqrt(K-1) |_F                 Pi = I - 11^T/K, |Pi|_F = sqrt(K-1)
nc2_means  | M M^T/|M M^T|_F - Pi/sqrt(K-1) |_F                 M (K, d) the centred class means
"""

import math

import torch

from ..statistics.blocks import blocks
from ..statistics.pairs import Pairs


def nc2(pairs: Pairs) -> float:
    """The distance of X X^T to the simplex ETF's Gram matrix, for W or the centred class means X (K, d), float64.

    0 for a simplex ETF of any size and position, at most sqrt(2) for a Gram matrix; NaN for X = 0. Pairs and route
    as for `distance_to_simplex`. Source: Zhu et al. 2021 (arXiv 2105.02375), section on experiments.
    """
    return distance_to_simplex(pairs)


def distance_to_simplex(pairs: Pairs) -> float:
    """|A/|A|_F - Pi/sqrt(K-1)|_F of A = X Y^T, for the pairs of X, Y (K, d), never forming K x K; NaN for A = 0.

    Where all pairs are there through the entries of A, a block of rows at a time, in K^2 d. Else, in K d^2, through
        distance^2 = 2 - 2 (tr A - 1^T A 1/K)/(|A|_F sqrt(K-1)),   |A|_F^2 = <X^T X, Y^T Y>,
    which rounding leaves with an error of about 1e-15/distance.
    """
    return _by_entries(pairs) if pairs.exact else _by_traces(pairs)


def _by_entries(pairs: Pairs) -> float:
    """Off the ray of P = Pi/sqrt(K-1), A/<A, P> - P is orthogonal to P: with q its norm, the distance is that of
    (P + q Q)/sqrt(1 + q^2) from P, for Q of norm 1. Where <A, P> is not positive, nothing cancels in 2 - 2 <A, P>/|A|.
    """
    K, overlap = pairs.num_classes, _overlap(pairs.X, pairs.Y)
    opposite = not bool(overlap > 0)
    scale, target = (1.0, 0.0) if opposite else (overlap, 1 / math.sqrt(K - 1))
    total = torch.zeros_like(overlap)
    for part, products in pairs:
        gaps = products.div_(scale).add_(target / K)
        gaps.diagonal(part.start).sub_(target)
        total += gaps.square_().sum()
    if opposite:
        return float((2 - 2 * overlap / total.sqrt()).sqrt())
    size = (1 + total).sqrt()
    return float((total + (total / (1 + size)) ** 2).sqrt() / size)


def _by_traces(pairs: Pairs) -> float:
    left, right = (side.gram for side in pairs.sides)
    size = (left * right).sum().sqrt()
    return float((2 - 2 * _overlap(pairs.X, pairs.Y) / size).clamp_min(0).sqrt())


def _overlap(X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """<X Y^T, Pi/sqrt(K-1)>, 0-d."""
    K = len(X)
    trace = sum((X[part] * Y[part]).sum() for part in blocks(*X.shape))
    return (trace - X.sum(0) @ Y.sum(0) / K) / math.sqrt(K - 1)
