"""Ranks of a matrix of singular values s_1 >= s_2 >= ...:

stable_rank      sum_i s_i^2/s_1^2
numerical_rank   the number of s_i^2 above 1e-3 s_1^2
"""

import math

import torch

THRESHOLD = 1e-3  # of the largest eigenvalue of a covariance


def stable_rank(squares: torch.Tensor) -> float:
    """|A|_F^2/|A|_2^2 in [1, rank A], of the squared singular values (r,) of A; NaN for A = 0.

    Source: Rudelson and Vershynin, "Sampling from large matrices", Journal of the ACM 54, 2007 (numerical rank there).
    """
    return float(squares.sum() / squares.max()) if len(squares) and float(squares.max()) > 0 else math.nan


def numerical_rank(squares: torch.Tensor) -> float:
    """How many eigenvalues (r,) of a covariance are above 1e-3 of the largest; 0 where all are 0.

    A rank of features that vary in every direction by rounding at least. Source of the threshold: Masarczyk et al.,
    "The tunnel effect", NeurIPS 2023 (arXiv 2305.19753).
    """
    return float((squares > THRESHOLD * squares.max()).sum()) if len(squares) else 0.0
