"""Mean and variance over all pairs of rows of what a kernel makes of them, without K x K."""

from collections.abc import Callable

import torch

from .blocks import blocks
from .estimate import mean_of_rows
from .pairs import rows_of_pairs
from .scale import to_size_one

Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # rows (m, d) and (K, d) to (m, K)
NEAR = 1e-3  # squared distances of unit vectors below this are computed from differences


def pair_moments(X: torch.Tensor, kernel: Kernel, rows: int) -> tuple[float, float]:
    """(mean, variance) over the pairs j != k of kernel(x_j, x_k) for the K >= 2 rows of X (K, d), float64.

    The variance divides by the number of pairs, K (K - 1). Nothing is subtracted from a sum of squares, so that a
    variance of 1e-30 of the mean's square is seen as such. Of more than `rows` classes so many are compared with all
    others, and both are an `Estimate` with its standard error.
    """
    K, means, variances = len(X), [], []
    for some in rows_of_pairs(K, rows, X.device):
        values = kernel(X[some], X)
        own = (torch.arange(len(some), device=X.device), some)
        values[own] = 0
        means.append(values.sum(1) / (K - 1))
        values -= means[-1][:, None]
        values[own] = 0
        variances.append(values.square_().sum(1) / (K - 1))
    row_means = torch.cat(means)
    mean = mean_of_rows(row_means, K)
    return mean, mean_of_rows(torch.cat(variances) + (row_means - float(mean)).square(), K)


def squared_distances(some: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """(m, K) squared distances of unit rows (m, d) and (K, d), exact to rounding for near ones too."""
    squares = (some @ X.T).mul_(-2).add_(2)
    near = (squares < NEAR).nonzero()
    for part in blocks(len(near), X.shape[1]):
        i, k = near[part].T
        squares[i, k] = (some[i] - X[k]).square().sum(1)
    return squares


def directions(X: torch.Tensor) -> torch.Tensor:
    """The rows of X (K, d) at unit length; NaN for a row that is 0."""
    X = to_size_one(X)
    return X / X.norm(dim=1, keepdim=True)
