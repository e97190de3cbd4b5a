"""The class-distance normalized variance, the mean over pairs of classes of

(tr Sigma_j + tr Sigma_k)/(2 |h_j - h_k|^2).
"""

import math

import torch

from ..statistics.classes import ClassStatistics
from ..statistics.estimate import mean_of_rows
from ..statistics.pairs import rows_of_pairs


def cdnv(statistics: ClassStatistics, rows: int) -> float:
    """The mean over pairs j != k, of variances (K,) = tr Sigma_k and centred class means (K, d), float64.

    inf where two means coincide and their classes have a variance, NaN where they have none, and where no class has
    two samples. Of more than `rows` classes so many are compared with all others, and it is an `Estimate`.
    Source: Galanti, Gyorgy and Hutter, "On the role of neural collapse in transfer learning", ICLR 2022 (arXiv
    2112.15121).
    """
    if not statistics.sees_within:
        return math.nan
    means, variances = statistics.centred, statistics.variances
    K, squares = len(means), means.square().sum(1)
    found = []
    for some in rows_of_pairs(K, rows, means.device):
        distances = (means[some] @ means.T).mul_(-2).add_(squares).add_(squares[some, None])
        floor = torch.finfo(distances.dtype).eps * (squares + squares[some, None])
        distances[distances <= floor] = 0
        ratios = (variances + variances[some, None]) / (2 * distances)
        ratios[torch.arange(len(some), device=means.device), some] = 0
        found.append(ratios.sum(1) / (K - 1))
    return mean_of_rows(torch.cat(found), K)
