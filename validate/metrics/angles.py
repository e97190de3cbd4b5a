"""The angles between the rows x_k of W, or between the centred class means, over pairs j != k:

equiangularity   std cos(x_j, x_k)
simplex_angles   mean |cos(x_j, x_k) + 1/(K-1)|                 maximal equiangularity: -1/(K-1) is a simplex ETF's
coherence        max |cos(x_j, x_k) + 1/(K-1)|
"""

import math
from dataclasses import dataclass

import torch

from ..statistics.estimate import Estimate, PairSums, root
from ..statistics.pairs import Pairs


@dataclass(frozen=True)
class Angles:
    """The three numbers of the rows of a (K, d) matrix, in [0, 2]. NaN where a row is 0.

    Source: Papyan, Han and Donoho, PNAS 2020 (arXiv 2008.08186), figures 3 and 4; coherence is the largest of what
    figure 4 averages.
    """

    equiangularity: float
    simplex_angles: float
    coherence: float


def angles(pairs: Pairs) -> Angles:
    """The angles between the rows of X (K, d), of the pairs of X with itself, and without K x K.

    Where only some pairs are there, means are an `Estimate` with its standard error, and the coherence is a lower
    bound.
    """
    X, K = pairs.X, pairs.num_classes
    norms = pairs.norms
    total = ((1 / norms) @ X).square().sum()
    mean = float((total - K) / (K * (K - 1)))
    away = mean + 1 / (K - 1)
    norms, R = norms[pairs.some], len(pairs.some)
    squares, departures, largest = PairSums(K, R), PairSums(K, R), []
    for part, products in pairs:
        gaps = products.div_(norms[part, None]).div_(norms).add_(1 / (K - 1))
        own = gaps.diagonal(part.start)
        own.fill_(away)  # what adds nothing to the deviation
        squares.add((gaps - away).square_())
        own.fill_(0)
        gaps.abs_()
        departures.add(gaps)
        largest.append(gaps.amax(1))
    peak = float(torch.cat(largest).amax())
    return Angles(
        equiangularity=root(squares.mean()),
        simplex_angles=departures.mean(),
        coherence=peak if pairs.exact else Estimate(peak, math.inf),
    )
