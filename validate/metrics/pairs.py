"""What needs every pair of classes, in blocks of rows: exact up to a number of classes, sampled by rows above.

K x K is never formed. Rows are compared with all K classes; where K exceeds `rows`, that many classes are drawn, and
the means over pairs come with a standard error.
"""

import math
from dataclasses import dataclass

import torch

from ..statistics.blocks import blocks
from ..statistics.estimate import Estimate, mean_of_rows, root


@dataclass(frozen=True)
class Angles:
    """The cosines between the rows of a (K, d) matrix, over pairs i != j. NaN where a row is 0.

    spread      their standard deviation
    departure   the mean of |cos + 1/(K-1)|
    coherence   the largest |cos + 1/(K-1)|
    """

    spread: float
    departure: float
    coherence: float


def angles(X: torch.Tensor, rows: int) -> Angles:
    """The angles between the rows of X (K, d), in time O(min(K, rows) K d)."""
    K, norms = len(X), X.norm(dim=1)
    total = ((1 / norms) @ X).square().sum()
    mean = float((total - K) / (K * (K - 1)))
    away = mean + 1 / (K - 1)
    squares, departures, largest = [], [], []
    for some in chosen(K, rows, X.device):
        gaps = (X[some] @ X.T).div_(norms[some, None]).div_(norms).add_(1 / (K - 1))
        own = (torch.arange(len(some), device=X.device), some)
        gaps[own] = away  # what adds nothing to the spread
        squares.append((gaps - away).square_().sum(1) / (K - 1))
        gaps[own] = 0
        gaps.abs_()
        departures.append(gaps.sum(1) / (K - 1))
        largest.append(gaps.amax(1))
    peak = float(torch.cat(largest).amax())
    return Angles(
        spread=root(mean_of_rows(torch.cat(squares), K)),
        departure=mean_of_rows(torch.cat(departures), K),
        coherence=peak if rows >= K else Estimate(peak, math.inf),
    )


def class_distance_normalized_variance(means: torch.Tensor, variances: torch.Tensor, rows: int) -> float:
    """The mean over pairs i != j of (v_i + v_j)/(2 |m_i - m_j|^2), for means (K, d) and variances (K,).

    inf where two means coincide and their classes have a variance, NaN where they have none.
    Source: Galanti, Gyorgy and Hutter, "On the role of neural collapse in transfer learning", ICLR 2022.
    """
    K, squares = len(means), means.square().sum(1)
    found = []
    for some in chosen(K, rows, means.device):
        distances = (means[some] @ means.T).mul_(-2).add_(squares).add_(squares[some, None])
        floor = torch.finfo(distances.dtype).eps * (squares + squares[some, None])
        distances[distances <= floor] = 0
        ratios = (variances + variances[some, None]) / (2 * distances)
        ratios[torch.arange(len(some), device=means.device), some] = 0
        found.append(ratios.sum(1) / (K - 1))
    return mean_of_rows(torch.cat(found), K)


def chosen(K: int, rows: int, device: torch.device) -> list[torch.Tensor]:
    """All K class numbers, or `rows` of them drawn without replacement, in blocks whose rows of K stay small."""
    if rows >= K:
        some = torch.arange(K, device=device)
    else:
        generator = torch.Generator(device="cpu").manual_seed(0)
        some = torch.randperm(K, generator=generator, device="cpu")[:rows].sort().values.to(device)
    return [some[part] for part in blocks(len(some), K)]
