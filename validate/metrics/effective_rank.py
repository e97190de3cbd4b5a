"""The effective rank of the centred class means M (K, d), of singular values s_i:

exp(-sum_i p_i log p_i),   p_i = s_i/sum_j s_j.
"""

import math

import torch

from ..statistics.between import Between


def effective_rank(between: Between) -> float:
    """exp of the entropy of the singular values of M (K, d), in [1, min(K - 1, d)]; NaN when all means are equal.

    K - 1 at a simplex ETF. Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.
    """
    weights = between.sizes[between.sizes > 0].sqrt()
    weights = weights / weights.sum()
    return float(torch.exp(-(weights * weights.log()).sum())) if len(weights) else math.nan
