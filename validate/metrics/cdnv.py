"""The class-distance normalized variance, the mean over pairs of classes of

(tr Sigma_j + tr Sigma_k)/(2 |h_j - h_k|^p),   p = 2.
"""

import math

import torch

from ..statistics.classes import ClassStatistics
from ..statistics.estimate import mean_of_rows
from ..statistics.pairs import rows_of_pairs
from ..statistics.scale import power


def cdnv(statistics: ClassStatistics, rows: int, exponent: float = 2) -> float:
    """The mean over pairs j != k, of variances (K,) = tr Sigma_k and centred class means (K, d), float64; exponent = p.

    inf where two means coincide and their classes have a variance, NaN where they have none, and where nothing within
    a class was seen. Of held-out samples the pairs are those of classes that have some. Of more than `rows` classes so
    many are compared with all others, and it is an `Estimate`.
    Source: Galanti, Gyorgy and Hutter, "On the role of neural collapse in transfer learning", ICLR 2022 (arXiv
    2112.15121), with p = 2.
    """
    seen = statistics.seen
    if not statistics.sees_within or len(seen) < 2:
        return math.nan
    means, variances = statistics.centred, statistics.variances
    if len(seen) < len(means):
        means, variances = means[seen], variances[seen]
    K, squares = len(means), means.square().sum(1)
    found = []
    for some in rows_of_pairs(K, rows, means.device):
        distances = (means[some] @ means.T).mul_(-2).add_(squares).add_(squares[some, None])
        floor = torch.finfo(distances.dtype).eps * (squares + squares[some, None])
        distances[distances <= floor] = 0
        if exponent != 2:
            distances.pow_(exponent / 2)
        ratios = (variances + variances[some, None]) / (2 * distances)
        ratios[torch.arange(len(some), device=means.device), some] = 0
        found.append(ratios.sum(1) / (K - 1))
    unit = power(statistics.exponent * (2 - exponent))
    return mean_of_rows(torch.cat(found) * unit, K)
