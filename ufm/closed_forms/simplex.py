"""The simplex equiangular tight frame."""

import numpy as np
import torch
from scipy.linalg import helmert


def simplex_frame(num_classes: int, dim: int) -> torch.Tensor:
    """(K, d) float64 Q with Q Q^T = I - 11^T/K: the simplex ETF with rows of norm sqrt(1 - 1/K), d >= K-1.

    The first K-1 columns are the Helmert basis of the complement of (1, ..., 1); the rest are zero.
    """
    frame = np.zeros((num_classes, dim))
    frame[:, : num_classes - 1] = helmert(num_classes).T
    return torch.from_numpy(frame)
