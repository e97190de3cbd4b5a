"""A number below f on the spheres, from slopes and unit rows at any point: weak duality with multipliers.

For f(W, H) = (1/N) sum_i l(tau W h_i, t_i) with unit rows, any slopes s_t in the domain of the conjugate, one a type,
and A = tau n_t s_t/N (rows, (T, K)),

    f >= (1/N) sum_i -l*(s_i) + sum_t <A_t, W h_t>             (h_t: the mean of type t's features, |h_t| <= 1)

The last term is tr(A W H^T). With nu (K,) and mu (T,) such that M = [[diag nu, A^T], [A, diag mu]] is positive
semidefinite, 0 <= tr(Z^T M Z) for Z = (W, H) gives tr(A W H^T) >= -(sum nu + sum mu)/2. From any nu, mu > 0,
(a nu, b mu) is such where a b >= sigma^2, sigma = |diag(nu)^-1/2 A^T diag(mu)^-1/2|_2; the best a and b give

    D = (1/N) sum_i -l*(s_i) - sigma sqrt(sum nu sum mu)

A shift of both by max(0, -lambda_min M) would do too; a factor sees no unit, and suits multipliers of any size.
"""

import math

import torch
from scipy.optimize import minimize_scalar

from ..landscape import Landscape

SWEEPS = 40  # of alternating steps towards multipliers that fit
LEAST = 1e-12  # of the largest entry of A: a multiplier below is raised to it


def dual_bound(f: Landscape, slopes: torch.Tensor, W: torch.Tensor, scale: float) -> float:
    """D of t times the slopes (T, K) for the best t in [0, 1]; t = 1 is the best at a global minimiser.

    f is over one row a type, W (K, d) has unit rows. At t = 0 D is the infimum of the loss.
    """
    cost = pairing(scale * f.counts[:, None] * slopes / f.num_samples, W)

    def bound(t: float) -> float:
        return float(f.counts @ f.loss.negative_conjugate(t * slopes, f.labels)) / f.num_samples - t * cost

    def above(t: float) -> float:
        found = -bound(t)
        return found if math.isfinite(found) else 1e300

    inner = float(minimize_scalar(above, bounds=(0.0, 1.0), method="bounded").x)
    return max(bound(0.0), bound(1.0), bound(inner))


def pairing(A: torch.Tensor, W: torch.Tensor) -> float:
    """A number that -tr(A W H^T) does not exceed for unit rows of W (K, d) and rows of H (T, d) of length <= 1.

    From W, rows of H and W in turn become the best for the other, which never raises tr(A W H^T); each such pair has
    multipliers nu_k = |(A^T H)_k|, mu_t = |(A W)_t|, and the least number that they give is returned.
    """
    size, least = float(A.abs().max()), math.inf
    if size == 0:
        return 0.0
    A = A / size
    for _ in range(SWEEPS):
        mu, H = _best(A @ W)
        nu, W = _best(A.T @ H)
        sigma = float(torch.linalg.matrix_norm(A / (mu.sqrt()[:, None] * nu.sqrt()), 2))
        found = sigma * math.sqrt(float(nu.sum()) * float(mu.sum()))
        settled, least = abs(found - least) <= 1e-15 * found, min(found, least)
        if settled:
            break
    return size * least


def _best(pulls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the lengths of rows, none too small; the unit rows against them). The largest entry of A is 1."""
    lengths = pulls.norm(dim=1).clamp_min(LEAST)
    return lengths, -pulls / lengths[:, None]
