"""The angles between the rows x_k of W, or between the centred class means, over pairs j != k:

equiangularity   std cos(x_j, x_k)
simplex_angles   mean |cos(x_j, x_k) + 1/(K-1)|                 maximal equiangularity: -1/(K-1) is a simplex ETF's
coherence        max |cos(x_j, x_k) + 1/(K-1)|
"""

import math
from dataclasses import dataclass

import torch

from ..statistics.blocks import blocks
from ..statistics.estimate import Estimate, PairSums, root
from ..statistics.pairs import drawn


@dataclass(frozen=True)
class Angles:
    """The three numbers of the rows of a (K, d) matrix, in [0, 2]. NaN where a row is 0.

    Source: Papyan, Han and Donoho, PNAS 2020 (arXiv 2008.08186), figures 3 and 4; coherence is the largest of what
    figure 4 averages.
    """

    equiangularity: float
    simplex_angles: float
    coherence: float


def angles(X: torch.Tensor, rows: int) -> Angles:
    """The angles between the rows of X (K, d), float64, in time O(min(K, rows)^2 d) and without K x K.

    Of more than `rows` classes so many are drawn and compared with each other: means are an `Estimate` with its
    standard error, and the coherence is a lower bound.
    """
    K, norms = len(X), X.norm(dim=1)
    total = ((1 / norms) @ X).square().sum()
    mean = float((total - K) / (K * (K - 1)))
    away = mean + 1 / (K - 1)
    some = drawn(K, rows, X.device)
    X, norms = X[some], norms[some]
    squares, departures, largest = PairSums(K, len(X)), PairSums(K, len(X)), []
    for part in blocks(len(X), len(X)):
        gaps = (X[part] @ X.T).div_(norms[part, None]).div_(norms).add_(1 / (K - 1))
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
        coherence=peak if rows >= K else Estimate(peak, math.inf),
    )
