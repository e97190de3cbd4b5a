"""Hyperspherical uniformity, how evenly the directions x_k = w_k/|w_k| of the rows of W, or those of the centred class
means, fill the sphere. Over the pairs j != k:

log energy     mean log(1/|x_j - x_k|)               log variance     variance of the same
Riesz energy   mean 1/|x_j - x_k|^s                  Riesz variance   variance of the same

For K <= d + 1 the simplex ETF has the least energy, for larger K no K points are all equally far.
"""

import math
from dataclasses import dataclass

import torch

from ufm import Point
from ufm.errors import require
from ufm.results import Result, Shown

from ..statistics.classes import class_statistics
from ..statistics.inputs import measurable
from ..statistics.pair_moments import Kernel, directions, pair_moments, squared_distances
from .neural_collapse import ROWS


@dataclass(frozen=True)
class Hyperspherical(Shown, Result):
    """Energies of the directions of the rows of W and of the centred class means, and their variances over pairs.

    exponent      s of the Riesz kernel
    log_least, riesz_least   the energies of K vectors at equal angles, -1/(K - 1): below those of any K unit vectors in
                  any dimension, since the mean of |x_j - x_k|^2 is at most 2 K/(K - 1) and both kernels are convex and
                  decreasing in it. They are reached for K <= d + 1 alone

    Where a row or a centred mean is 0 its numbers are NaN; where two directions coincide energies are inf and variances
    NaN. Rotations, the scale of each row and shifts of the features leave all numbers as they are.

    Source: Liu et al. 2023 (arXiv 2303.06484) for the energies; Wu and Papyan 2024 (arXiv 2405.17767) take the
    logarithmic one of class means for the generalised NC2 of language models. The package neural_collapse has
    mean and variance over pairs as `kernel_stats(M, mG, kernel=log_kernel)`, from a K x K of float32, and a
    `riesz_kernel` of s = d - 2.
    """

    exponent: float
    log_energy_w: float
    log_energy_means: float
    log_variance_w: float
    log_variance_means: float
    log_least: float
    riesz_energy_w: float
    riesz_energy_means: float
    riesz_variance_w: float
    riesz_variance_means: float
    riesz_least: float


def hyperspherical(
    point: Point, labels: torch.Tensor | None = None, *, exponent: float = 1.0, rows: int = ROWS
) -> Hyperspherical:
    """The hyperspherical energies of a point; labels (N,) and rows as for `validate.neural_collapse`.

    exponent  s > 0 of the Riesz kernel. Of more than `rows` classes the numbers are an `Estimate`.

    Time O(min(K, rows) K d), without K x K. Raises InputError for an exponent that is not positive and finite, and for
    a class without samples.
    """
    require(0 < exponent < math.inf, f"the exponent of the Riesz kernel must be > 0 and finite, got {exponent}")
    point = measurable(point)
    sets = {"w": point.W.double(), "means": class_statistics(point, labels).centred}
    found: dict[str, float] = {}
    for of, X in sets.items():
        unit = directions(X)
        for name, kernel in (("log", _log), ("riesz", _riesz(exponent))):
            found[f"{name}_energy_{of}"], found[f"{name}_variance_{of}"] = pair_moments(unit, kernel, rows)
    K = point.num_classes
    farthest = 2 * K / (K - 1)
    return Hyperspherical(
        exponent=exponent, log_least=-math.log(farthest) / 2, riesz_least=farthest ** (-exponent / 2), **found
    )


def _log(some: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    return squared_distances(some, X).log_().mul_(-0.5)


def _riesz(exponent: float) -> Kernel:
    return lambda some, X: squared_distances(some, X).pow_(-exponent / 2)
