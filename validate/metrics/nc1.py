"""NC1, the variability within classes against that between them:

    nc1              tr(Sigma_W Sigma_B^+)/K
    nc1_quotient     tr Sigma_W/tr Sigma_B
    nc1_worst_class  max_k tr Sigma_k/tr Sigma_B

With class means h_k and the mean h_G of all samples, Sigma_k is the mean over the samples of class k of
(h - h_k)(h - h_k)^T, Sigma_W that over all samples, and Sigma_B the mean over the classes of (h_k - h_G)(h_k - h_G)^T.
All three are NaN where no class has two samples. Of held-out samples h_k, h_G and Sigma_B are the training set's, and
Sigma_k and Sigma_W are means over the held-out samples; one of them is enough.
"""

import math

import torch

from ..statistics.blocks import blocks
from ..statistics.classes import ClassStatistics


def nc1(statistics: ClassStatistics, whitened: torch.Tensor) -> float:
    """tr(Sigma_W Sigma_B^+)/K = tr(S (M^T M)^+)/N, with S = N Sigma_W and M^T M = K Sigma_B.

    whitened  (K,) or (1,) float64: traces whose sum is tr(S (M^T M)^+), of `statistics.within.whitened`

    Where all means are equal, inf if features spread and NaN if they do not.
    Source: Zhu et al. 2021 (arXiv 2105.02375), section on experiments.
    """
    if not statistics.sees_within:
        return math.nan
    if statistics.between.rank:
        return float(whitened.sum()) / statistics.num_samples
    spread = float(statistics.spreads.sum()) > statistics.num_samples * statistics.noise
    return math.inf if spread else math.nan


def nc1_quotient(statistics: ClassStatistics) -> float:
    """tr Sigma_W/tr Sigma_B, of counts (K,), spreads (K,) = tr S_k and centred means (K, d).

    Source: Tirer and Bruna, ICML 2022 (arXiv 2202.08087); Hui, Belkin and Nakkiran 2022 (arXiv 2202.08384).
    """
    if not statistics.sees_within:
        return math.nan
    return float(statistics.spreads.sum() / statistics.num_samples / trace_between(statistics))


def nc1_worst_class(statistics: ClassStatistics) -> float:
    """max_k tr Sigma_k/tr Sigma_B, of counts (K,), spreads (K,) and centred means (K, d).

    Source: `nc1_quotient` with Sigma_k in the place of Sigma_W, which is a mean and hides one class that spreads.
    """
    if not statistics.sees_within:
        return math.nan
    return float(statistics.variances[statistics.seen].max() / trace_between(statistics))


def trace_between(statistics: ClassStatistics) -> torch.Tensor:
    """tr Sigma_B = |M|_F^2/K, 0-d float64, of the centred class means M (K, d)."""
    M = statistics.centred
    return torch.stack([M[part].square().sum() for part in blocks(*M.shape)]).sum() / len(M)
