"""Softmax codes (Jiang et al. 2023): unit vectors w_1 .. w_K, each as far as can be from the hull of the others.

    one-vs-rest distance(W) = min over k of dist(w_k, conv{w_j : j != k})

A softmax code in R^d maximises it over all choices of K unit vectors. Source: Jiang, Zhou, Wang, Qu, Mixon, You, Zhu,
"Generalized Neural Collapse for a Large Number of Classes", ICML 2024 (arXiv 2310.05351).
"""

import math
from functools import cache, partial

import numpy as np
import torch
from scipy.optimize import minimize, nnls

from ..errors import require

ZERO_ROW = 1e-7  # a row below this fraction of the longest one is a class at the origin
SEARCHED = 20  # the most classes for which a code is searched for where no optimum is known


def one_vs_rest_distance(W: torch.Tensor) -> float:
    """The one-vs-rest distance of the K >= 2 rows of W (K, d), each scaled to unit length first.

    A zero row has no direction and stays 0: a class at the origin. Where 1^T W = 0, as at every critical point
    of the unconstrained feature model, the distance is then 0, since 0 is in the hull of the other directions.
    Raises InputError unless W is a finite matrix of at least two rows.
    """
    require(W.ndim == 2 and len(W) >= 2, f"W must have shape (K, d) with K >= 2, got {tuple(W.shape)}")
    require(bool(torch.isfinite(W).all()), "W has entries that are not finite; a distance needs numbers")
    rows = _directions(W.detach().cpu().double().numpy())
    return min(_distance_to_hull(rows[k], np.delete(rows, k, axis=0)) for k in range(len(rows)))


def _directions(W: np.ndarray) -> np.ndarray:
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


@cache
def reference_distance(num_classes: int, dim: int) -> tuple[float | None, bool]:
    """(what a one-vs-rest distance is compared with, whether it is the known optimum).

    Where no optimum is known: the distance of `search_code`, which an optimum may exceed, up to K = 20; else None.
    """
    known = softmax_code_distance(num_classes, dim)
    if known is not None or num_classes > SEARCHED:
        return known, known is not None
    return one_vs_rest_distance(search_code(num_classes, dim)), False


def search_code(num_classes: int, dim: int, starts: int = 8, seed: int = 0) -> torch.Tensor:
    """(K, d) float64 unit rows: the best of `starts` local maximisations of the one-vs-rest distance.

    Its distance is a lower bound on that of softmax codes, which may be larger. Seconds for K = 20.
    """
    K, d = num_classes, dim
    require(K >= 2 and d >= 1, f"a code needs K >= 2 and d >= 1, got K = {K}, d = {d}")
    require(starts >= 1, f"starts must be >= 1, got {starts}")
    generator = np.random.default_rng(seed)
    found = [torch.from_numpy(_climb(_directions(generator.standard_normal((K, d))))) for _ in range(starts)]
    return max(found, key=one_vs_rest_distance)


def _climb(W: np.ndarray) -> np.ndarray:
    """Unit rows that maximise the distance locally, from unit rows W (K, d), by sequential quadratic programming.

    By duality the distance is the largest t with <v_k, w_k - w_j> >= t for all j != k and some |v_k| <= 1,
    which is smooth in x = (W, V, t).
    """
    K, d = W.shape
    target = np.append(np.zeros(2 * K * d), -1.0)
    split = partial(_split, shape=W.shape)
    end = minimize(
        lambda x: -x[-1],
        np.concatenate([W.ravel(), W.ravel(), [0.0]]),
        jac=lambda x: target,
        method="SLSQP",
        constraints=(
            {"type": "ineq", "fun": lambda x: _margins(*split(x)) - x[-1], "jac": lambda x: _slopes(*split(x))},
            {"type": "eq", "fun": lambda x: 1 - (split(x)[0] ** 2).sum(1)},
            {"type": "ineq", "fun": lambda x: 1 - (split(x)[1] ** 2).sum(1)},
        ),
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return _directions(split(end.x)[0])


def _split(x: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    W, V = np.split(x[:-1], 2)
    return W.reshape(shape), V.reshape(shape)


def _margins(W: np.ndarray, V: np.ndarray) -> np.ndarray:
    """(K (K - 1),) <v_k, w_k - w_j> over the pairs k != j in the order of `_pairs`."""
    k, j = _pairs(len(W))
    return ((W[k] - W[j]) * V[k]).sum(1)


def _slopes(W: np.ndarray, V: np.ndarray) -> np.ndarray:
    """(K (K - 1), 2 K d + 1) derivatives of the margins less t in (W, V, t)."""
    k, j = _pairs(len(W))
    eye = np.eye(len(W))
    by_W = (eye[k] - eye[j])[:, :, None] * V[k][:, None, :]
    by_V = eye[k][:, :, None] * (W[k] - W[j])[:, None, :]
    return np.hstack([by_W.reshape(len(k), -1), by_V.reshape(len(k), -1), -np.ones((len(k), 1))])


def _pairs(K: int) -> tuple[np.ndarray, np.ndarray]:
    k, j = np.nonzero(~np.eye(K, dtype=bool))
    return k, j
