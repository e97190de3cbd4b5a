"""Separation fuzziness, and the law by which it falls with depth:

    D = tr(SS_w SS_b^+),   SS_w = (1/N) sum_i (h_i - h_y)(h_i - h_y)^T   (y the class of i),
                           SS_b = (1/N) sum_k n_k (h_k - h_G)(h_k - h_G)^T
    D_l = rate^l D_0,      by least squares of log D_l against l.

Of equal classes D is K times nc1, whose Sigma_B weights classes alike; of unequal ones it is not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ufm.results import Result, Shown

from ..statistics.classes import ClassStatistics
from .formulas import OF_LAYERS


def separation_fuzziness(statistics: ClassStatistics, within: torch.Tensor, coordinates: torch.Tensor) -> float:
    """D, float64, out of what the deviations and the means are in r directions P that span the centred means M (K, d).

    within       (r, r)   sum over the samples of P^T (h - h_k)(h - h_k)^T P
    coordinates  (K, r)   M P; of orthonormal columns, which leaves SS_b as well conditioned as the counts are

    inf where all means are equal and features spread, NaN where they do not, and where no class has two samples.
    Source: He and Su, "A law of data separation in deep learning", PNAS 2023 (arXiv 2210.17020).
    """
    if not statistics.sees_within:
        return math.nan
    if not within.shape[0]:
        spread = float(statistics.spreads.sum()) > statistics.num_samples * statistics.noise
        return math.inf if spread else math.nan
    between = coordinates.T @ (coordinates * statistics.counts.to(coordinates)[:, None])
    return float(torch.linalg.solve(between, within).trace())


@dataclass(frozen=True)
class SeparationLaw(Shown, Result):
    """log D_l = log(start) + l log(rate) by least squares over l = 0, 1, ..., L - 1, in the layers' order.

    rate         what a layer multiplies D by; below 1 where layers separate
    start        D_0 of the line
    correlation  Pearson's, of log D_l and l: -1 where the law holds exactly
    r_squared    its square, the share of the variation of log D that the line has
    layers       how many layers have a D that is finite and positive, and are in the fit

    NaN where fewer than two layers have one; correlation and r_squared are NaN of two alike, and +-1 of any other two.
    """

    formulas = OF_LAYERS

    rate: float
    start: float
    correlation: float
    r_squared: float
    layers: int


def separation_law(fuzziness: Sequence[float]) -> SeparationLaw:
    """The fit to D_0, D_1, ... in the order of depth; a layer without a finite positive D keeps its place, and is left
    out."""
    known = [(depth, math.log(D)) for depth, D in enumerate(fuzziness) if math.isfinite(D) and D > 0]
    if len(known) < 2:
        return SeparationLaw(math.nan, math.nan, math.nan, math.nan, len(known))
    depths, logs = torch.tensor(known, dtype=torch.float64, device="cpu").T
    x, y = depths - depths.mean(), logs - logs.mean()
    slope = x @ y / (x @ x)
    correlation = float(x @ y / (x.norm() * y.norm())) if y.any() else math.nan
    start = math.exp(float(logs.mean() - slope * depths.mean()))
    return SeparationLaw(math.exp(float(slope)), start, correlation, correlation**2, len(known))
