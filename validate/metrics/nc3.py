"""NC3, how far the classifier W (K, d) is from the centred class means M (K, d):

nc3           | W M^T/|W M^T|_F - Pi/sqrt(K-1) |_F              Pi = I - 11^T/K
self_duality  | W/|W|_F - M/|M|_F |_F
"""

import math

import torch

from ..statistics.blocks import blocks
from ..statistics.pairs import Pairs
from .nc2 import distance_to_simplex


def nc3(pairs: Pairs) -> float:
    """The distance of W M^T to the simplex ETF's Gram matrix, for the pairs of W and M (K, d), float64; NaN where it is
    0. It is 0 where W is a multiple of M and M is a simplex ETF. Route as for `nc2.distance_to_simplex`.
    Source: Zhu et al. 2021 (arXiv 2105.02375), section on experiments.
    """
    return distance_to_simplex(pairs)


def self_duality(W: torch.Tensor, centred: torch.Tensor) -> float:
    """|W/|W|_F - M/|M|_F|_F for W and M = centred (K, d), float64; NaN where one of them is 0.

    0 where W is a positive multiple of M, whatever their angles. Source: Papyan, Han and Donoho, PNAS 2020 (arXiv
    2008.08186), figure 5.
    """
    w, m = W.norm(), centred.norm()
    return math.hypot(*(float((W[part] / w).sub_(centred[part] / m).norm()) for part in blocks(*W.shape)))


def centred_rows(W: torch.Tensor) -> torch.Tensor:
    """The rows of W (K, d) less their mean, float64; 0 where they differ by rounding.

    Decisions do not depend on this mean, and it is 0 at a minimiser with decay; the papers leave it in.
    """
    centred = W - W.mean(0)
    rounding = 8 * torch.finfo(W.dtype).eps * W.norm(dim=1).max()
    centred[centred.norm(dim=1) <= rounding] = 0
    return centred
