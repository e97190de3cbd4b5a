"""The class-distance normalized variance, the mean over pairs of classes of

(tr Sigma_j + tr Sigma_k)/(2 |h_j - h_k|^p),   p = 2.
"""

import math

from ..statistics.classes import ClassStatistics
from ..statistics.estimate import PairSums
from ..statistics.pairs import Pairs
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
    K, variances, all_seen = len(seen), statistics.variances[seen], len(seen) == len(statistics.centred)
    pairs = statistics.pairs(rows) if all_seen else Pairs(statistics.centred[seen], rows)
    variances, found = variances[pairs.some], PairSums(K, len(pairs.some))
    for part, distances in pairs.squared_distances():
        if exponent != 2:
            distances.pow_(exponent / 2)
        ratios = (variances + variances[part, None]) / distances.mul_(2)
        ratios.diagonal(part.start).fill_(0)
        found.add(ratios)
    return found.mean(power(statistics.exponent * (2 - exponent)))
