"""The simplex equiangular tight frame."""

import numpy as np
import torch
from scipy.linalg import helmert

from ..errors import Setting, require


def unit_frame(num_classes: int, dim: int) -> torch.Tensor:
    """(K, d) float64 W of unit rows, W W^T = K/(K-1) (I - 11^T/K): sqrt(K/(K-1)) (I - 11^T/K) beside columns of zeros.

    That is the standard position, in which W^T has one positive entry a class; for d = K - 1 it does not exist, and
    W is a multiple of `simplex_frame`. Raises InputError for d < K - 1.
    """
    reason = f"{num_classes} classes have no simplex frame in {dim} dimensions"
    require(dim >= num_classes - 1, reason, ("take ", Setting("dim"), f" >= {num_classes - 1}"))
    frame = standard_frame if dim >= num_classes else simplex_frame
    return (num_classes / (num_classes - 1)) ** 0.5 * frame(num_classes, dim)


def standard_frame(num_classes: int, dim: int) -> torch.Tensor:
    """(K, d) float64 I - 11^T/K beside columns of zeros, d >= K."""
    centring = torch.eye(num_classes, dtype=torch.float64, device="cpu") - 1 / num_classes
    return torch.nn.functional.pad(centring, (0, dim - num_classes))


def simplex_frame(num_classes: int, dim: int) -> torch.Tensor:
    """(K, d) float64 Q with Q Q^T = I - 11^T/K: the simplex ETF with rows of norm sqrt(1 - 1/K), d >= K-1.

    The first K-1 columns are the Helmert basis of the complement of (1, ..., 1); the rest are zero.
    """
    frame = np.zeros((num_classes, dim))
    frame[:, : num_classes - 1] = helmert(num_classes).T
    return torch.from_numpy(frame)
