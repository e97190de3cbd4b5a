"""Softmax codes (Jiang et al. 2023): unit vectors w_1 .. w_K, each as far as can be from the hull of the others.

    one-vs-rest distance(W) = min over k of dist(w_k, conv{w_j : j != k})

A softmax code in R^d maximises it over all choices of K unit vectors. Source: Jiang et al. 2023 (arXiv 2310.05351),
"Generalized Neural Collapse for a Large Number of Classes".
"""

import math

import numpy as np
import torch
from scipy.optimize import nnls

from ..errors import require

ZERO_ROW = 1e-7  # a row below this fraction of the longest one is a class at the origin


def one_vs_rest_distance(W: torch.Tensor) -> float:
    """The one-vs-rest distance of the K >= 2 rows of W (K, d), each scaled to unit length first.

    A zero row has no direction and stays 0: a class at the origin. Where 1^T W = 0, as at every critical point
    of the unconstrained feature model, the distance is then 0, since 0 is in the hull of the other directions.
    Raises InputError unless W is a finite matrix of at least two rows.
    """
    require(W.ndim == 2 and len(W) >= 2, f"W must have shape (K, d) with K >= 2, got {tuple(W.shape)}")
    require(bool(torch.isfinite(W).all()), "W has entries that are not finite; a distance needs numbers")
    rows = directions(W.detach().cpu().double().numpy())
    return min(_distance_to_hull(rows[k], np.delete(rows, k, axis=0)) for k in range(len(rows)))


def directions(W: np.ndarray) -> np.ndarray:
    """The rows at unit length, zero ones left at 0."""
    lengths = np.linalg.norm(W, axis=1, keepdims=True)
    zero = lengths <= ZERO_ROW * lengths.max()
    return np.where(zero, 0.0, W / np.where(zero, 1.0, lengths))


def _distance_to_hull(w: np.ndarray, others: np.ndarray) -> float:
    """The distance of w (d,) to the convex hull of the rows of `others` (m, d), exact up to rounding.

    With the points p_j = others_j - w as columns of P, minimise |P u|^2 + (1^T u - 1)^2 over u >= 0. At u = t l
    with l in the simplex that is t^2 |P l|^2 + (t - 1)^2, least in l at the hull's point nearest to w whatever
    t > 0 is; so one non-negative least squares (Lawson and Hanson 1974) finds it without any penalty to tune.
    """
    P = (others - w).T
    weights, _ = nnls(np.vstack([P, np.ones(P.shape[1])]), np.append(np.zeros(len(P)), 1.0))
    return float(np.linalg.norm(P @ (weights / weights.sum())))


def softmax_code_distance(num_classes: int, dim: int) -> float | None:
    """The one-vs-rest distance of softmax codes, the largest there is; None where no formula is known.

    K <= d + 1      K/(K - 1)            the regular simplex
    d = 1, K >= 3   0                    two of K points of {-1, 1} coincide
    d = 2           1 - cos(2 pi/K)      the regular polygon
    K <= 2d         1                    vertices of the cross-polytope, among others
    Source: Jiang et al. 2023, and Alcala et al. 2026 (arXiv 2603.20587) on d + 2 <= K <= 2d; d = 1 is immediate.
    """
    K, d = num_classes, dim
    require(K >= 2 and d >= 1, f"a code needs K >= 2 and d >= 1, got K = {K}, d = {d}")
    cases = (
        (d >= K - 1, K / (K - 1)),
        (d == 1, 0.0),
        (d == 2, 1 - math.cos(2 * math.pi / K)),
        (2 * d >= K, 1.0),
    )
    return next((distance for holds, distance in cases if holds), None)
