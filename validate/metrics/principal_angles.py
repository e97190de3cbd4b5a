"""The principal angles between what two layers know of the classes:

    cos t_i = singular values of Q^T Q',   Q = Z (Z^T Z)^(-1/2) (N, r),   Z = X P

X (N, d) are a layer's features less their mean, and P (d, r) spans its centred class means, r <= K - 1. Layers of
different widths have no common feature space; the space of functions on the N samples is common to all. X P are the
functions that a layer's class-mean directions read off the samples, and the angles are how far the next layer's are
from them: all 0 where both layers are collapsed (both then read the class alone), and where one is an invertible
linear map of the other. The cosines are the canonical correlations of X P and X' P'. In the space of classes, R^K, the
angles would say nothing: centred means of rank K - 1 have the same columns whatever they are.
"""

import torch


def principal_angles(first: torch.Tensor, second: torch.Tensor, cross: torch.Tensor) -> tuple[float, ...]:
    """min(r, r') angles in radians, ascending, in [0, pi/2]; float64. Empty where a layer's means are all equal.

    first, second  (r, r), (r', r')   Z^T Z and Z'^T Z' for Z = X P, Z' = X' P', of full rank
    cross          (r, r')            Z^T Z'

    Through the products of Z alone, so an angle below 1e-7 may be rounding.

    Source: Bjorck and Golub, "Numerical methods for computing angles between linear subspaces", Math. Comp. 27, 1973.
    As a comparison of layers: Raghu et al., "SVCCA", NIPS 2017 (arXiv 1706.05806), who keep the leading singular
    directions where P keeps the class means'.
    """
    if not min(cross.shape):
        return ()
    left = torch.linalg.solve_triangular(torch.linalg.cholesky(first), cross, upper=False)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(second), left.T, upper=False)
    return tuple(torch.linalg.svdvals(whitened).clamp(max=1).arccos().tolist())
