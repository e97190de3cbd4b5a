"""The class-distance normalized variance, the mean over pairs of classes of

(tr Sigma_j + tr Sigma_k)/(2 |h_j - h_k|^p),   p = 2.
"""

import math

from ..statistics.classes import ClassStatistics
from ..statistics.estimate import PairSums
from ..statistics.pairs import drawn, squared_distances
from ..statistics.scale import power


def cdnv(statistics: ClassStatistics, rows: int, exponent: float = 2) -> float:
    """The mean over pairs j != k, of variances (K,) = tr Sigma_k and centred class means (K, d), float64; exponent = p.

    inf where two means coincide and their classes have a variance, NaN where they have none, and where nothing within
    a class was seen. Of held-out samples the pairs are those of classes that have some. Of more than `rows` classes so
    many are drawn and compared with each other, and it is an `Estimate`.
    Source: Galanti, Gyorgy and Hutter, "On the role of neural collapse in transfer learning", ICLR 2022 (arXiv
    2112.15121), with p = 2.
    """
    seen = statistics.seen
    if not statistics.sees_within or len(seen) < 2:
        return math.nan
    means, variances = statistics.centred, statistics.variances
    if len(seen) < len(means):
        means, variances = means[seen], variances[seen]
    K, some = len(means), drawn(len(means), rows, means.device)
    if len(some) < K:
        means, variances = means[some], variances[some]
    found = PairSums(K, len(means))
    for part, distances in squared_distances(means):
        if exponent != 2:
            distances.pow_(exponent / 2)
        ratios = (variances + variances[part, None]) / distances.mul_(2)
        ratios.diagonal(part.start).fill_(0)
        found.add(ratios)
    return found.mean(power(statistics.exponent * (2 - exponent)))
