"""The rows x_k of W, or the centred class means, as a frame:

NC0            | sum_k w_k |^2/(K |W|_F^2)           the share of |W|_F^2 that all rows have in common
log norms      variance of log |x_k|                 over the classes
interference   mean and variance of <x_j, x_k>       over the pairs j != k
"""

from dataclasses import dataclass

import torch

from ufm import Point
from ufm.results import Result, Shown

from ..statistics.classes import class_statistics
from ..statistics.inputs import measurable
from ..statistics.pair_moments import pair_moments
from ..statistics.scale import power, to_size_one
from .neural_collapse import ROWS


@dataclass(frozen=True)
class Frames(Shown, Result):
    """NC0 of W; log-norm variance and interference of the rows of W and of the centred class means.

    nc0    in [0, 1]: 0 where the rows of W sum to zero, as at every critical point of a shift-invariant loss with decay
           of W, and so at collapse; 1 where all rows are equal; NaN for W = 0
    log_norm_variance_w, log_norm_variance_means      divided by K; 0 for equal norms, NaN where one is 0
    interference_mean_*, interference_variance_*      at a simplex ETF -|x|^2/(K - 1) and 0; they scale with |X|^2 and
           |X|^4. `NeuralCollapse.equiangularity_*` is the deviation of the cosines

    Rotations and shifts of the features leave all numbers as they are.

    Source: Zhao, Cheng, Masarczyk and Lucchi 2026 (arXiv 2602.16642) for NC0, which here is relative to |W|_F^2; Wu
    and Papyan 2024 (arXiv 2405.17767) for log norms and interference, which the package neural_collapse has as
    `mean_norms(M, mG, [torch.log]).var()` (divided by K - 1) and `interference_grid(M, mG)`.
    """

    nc0: float
    log_norm_variance_w: float
    log_norm_variance_means: float
    interference_mean_w: float
    interference_mean_means: float
    interference_variance_w: float
    interference_variance_means: float


def frames(point: Point, labels: torch.Tensor | None = None, *, rows: int = ROWS) -> Frames:
    """The numbers of a point; labels (N,) and rows as for `validate.neural_collapse`.

    Of more than `rows` classes interference is an `Estimate`. Raises InputError for a class without samples.
    """
    point = measurable(point)
    statistics, W = class_statistics(point, labels), point.W.double()
    found: dict[str, float] = {}
    for of, X in (("w", W), ("means", statistics.centred * power(statistics.exponent))):
        norms = to_size_one(X).norm(dim=1)
        varies = norms.log().var(correction=0)
        found[f"log_norm_variance_{of}"] = float(varies)
        found[f"interference_mean_{of}"], found[f"interference_variance_{of}"] = pair_moments(X, _inner, rows)
    W = to_size_one(W)
    return Frames(nc0=float(W.sum(0).square().sum() / (len(W) * W.square().sum())), **found)


def _inner(some: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    return some @ X.T
