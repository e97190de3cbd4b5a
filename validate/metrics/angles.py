"""The angles between the rows x_k of W, or between the centred class means, over pairs j != k:

equiangularity   std cos(x_j, x_k)
simplex_angles   mean |cos(x_j, x_k) + 1/(K-1)|                 maximal equiangularity: -1/(K-1) is a simplex ETF's
coherence        max |cos(x_j, x_k) + 1/(K-1)|
"""

import math
from dataclasses import dataclass

import torch

from ..statistics.estimate import Estimate, mean_of_rows, root
from ..statistics.pairs import rows_of_pairs


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
    """The angles between the rows of X (K, d), float64, in time O(min(K, rows) K d) and without K x K.

    Of more than `rows` classes so many are compared with all others: means are an `Estimate` with its standard error,
    and the coherence is a lower bound.
    """
    K, norms = len(X), X.norm(dim=1)
    total = ((1 / norms) @ X).square().sum()
    mean = float((total - K) / (K * (K - 1)))
    away = mean + 1 / (K - 1)
    squares, departures, largest = [], [], []
    for some in rows_of_pairs(K, rows, X.device):
        gaps = (X[some] @ X.T).div_(norms[some, None]).div_(norms).add_(1 / (K - 1))
        own = (torch.arange(len(some), device=X.device), some)
        gaps[own] = away  # what adds nothing to the deviation
        squares.append((gaps - away).square_().sum(1) / (K - 1))
        gaps[own] = 0
        gaps.abs_()
        departures.append(gaps.sum(1) / (K - 1))
        largest.append(gaps.amax(1))
    peak = float(torch.cat(largest).amax())
    return Angles(
        equiangularity=root(mean_of_rows(torch.cat(squares), K)),
        simplex_angles=mean_of_rows(torch.cat(departures), K),
        coherence=peak if rows >= K else Estimate(peak, math.inf),
    )
