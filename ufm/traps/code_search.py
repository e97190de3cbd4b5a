"""A search for softmax codes where no optimum is known: smoothed, then exact.

By duality the one-vs-rest distance of unit rows w_1 .. w_K is min over k of max over |v| <= 1 of
min over j != k of <v, w_k - w_j>. So a softmax code maximises over unit rows W and V

    t(W, V) = min over k != j of <v_k, w_k - w_j>,      t_beta(W, V) = -log(sum over k != j of e^(-beta <...>))/beta

(the HardMax problem of Jiang et al. 2023, arXiv 2310.05351, with slack directions V). t_beta is smooth and below t by
at most log(K (K - 1))/beta: L-BFGS climbs it for growing beta, and sequential quadratic programming makes the best ends
exact, with the pairs near the minimum as its constraints.
"""

from functools import cache, partial

import numpy as np
import torch
from scipy.optimize import minimize

from ..errors import require
from .codes import directions, one_vs_rest_distance, softmax_code_distance

SEARCHED = 20  # the most classes for which a code is searched for where no optimum is known
FIRST = (30.0, 100.0, 300.0)  # the smallest beta, by turns: the smoother, the more starts end at the same code
LATER = (1e3, 1e4, 1e5)
EXACT = 3  # how many ends of the smoothed climbs are made exact, of different margins
SAME = 1e-6  # least margins closer than this are of one code
NEAR = 0.2  # pairs within this of the least margin are the constraints of the exact climb


@cache
def reference_distance(num_classes: int, dim: int) -> tuple[float | None, bool]:
    """(what a one-vs-rest distance is compared with, whether it is the known optimum).

    Where no optimum is known: the distance of `search_code`, which an optimum may exceed, up to K = 20; else None.
    Searched once a (K, d) in a process.
    """
    known = softmax_code_distance(num_classes, dim)
    if known is not None or num_classes > SEARCHED:
        return known, known is not None
    return one_vs_rest_distance(search_code(num_classes, dim)), False


def search_code(num_classes: int, dim: int, starts: int = 24, seed: int = 0) -> torch.Tensor:
    """(K, d) float64 unit rows: the best of `starts` local maximisations of the one-vs-rest distance.

    Its distance is a lower bound on that of softmax codes, which may be larger. K = 20 takes up to 10 s on one core.
    Raises InputError for K < 2, d < 1 or starts < 1.
    """
    K, d = num_classes, dim
    require(K >= 2 and d >= 1, f"a code needs K >= 2 and d >= 1, got K = {K}, d = {d}")
    require(starts >= 1, f"starts must be >= 1, got {starts}")
    generator = np.random.default_rng(seed)
    drawn = [directions(generator.standard_normal((K, d))) for _ in range(starts)]
    climbed = [_climb_smoothed(W, FIRST[i % len(FIRST)]) for i, W in enumerate(drawn)]
    best = _best(climbed)
    ends = [W for W, _ in best] + [_climb(W, V) for W, V in best]
    return max(map(torch.from_numpy, ends), key=one_vs_rest_distance)


def _best(climbed: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The EXACT ends of the largest least margins, one for each value."""
    found: list[tuple[float, tuple[np.ndarray, np.ndarray]]] = []
    for margin, end in sorted(((float(_margins(*end).min()), end) for end in climbed), key=lambda pair: -pair[0]):
        if all(abs(margin - other) > SAME for other, _ in found):
            found.append((margin, end))
    return [end for _, end in found[:EXACT]]


def _climb_smoothed(W: np.ndarray, first: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows (W, V) that maximise t_beta locally, for each beta from where the one before led."""
    x = np.stack([W, W])
    for beta in (first, *LATER):
        settings = {"maxiter": 300, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-9}
        end = minimize(_smoothed, x.ravel(), args=(W.shape, beta), jac=True, method="L-BFGS-B", options=settings)
        x = np.stack([directions(part) for part in end.x.reshape(x.shape)])
    return x[0], x[1]


def _smoothed(x: np.ndarray, shape: tuple[int, int], beta: float) -> tuple[float, np.ndarray]:
    """-t_beta of the directions of the rows in x = (W, V), and its gradient in x."""
    rows = x.reshape(2, *shape)
    lengths = np.linalg.norm(rows, axis=2, keepdims=True)
    w, v = unit = rows / lengths
    exponents = v @ w.T
    exponents = beta * (exponents - np.diag(exponents)[:, None])
    np.fill_diagonal(exponents, -np.inf)
    top = exponents.max()
    weights = np.exp(exponents - top)
    total = weights.sum()
    weights /= total
    sums = weights.sum(1)[:, None]
    slopes = np.stack([weights.T @ v - sums * v, weights @ w - sums * w])
    slopes -= (slopes * unit).sum(2, keepdims=True) * unit
    return float((top + np.log(total)) / beta), (slopes / lengths).ravel()


def _climb(W: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Unit rows that maximise the distance locally, from unit rows W, V (K, d), by sequential quadratic programming.

    The distance is the largest t with margins >= t and |v_k| <= 1, which is smooth in x = (W, V, t).
    """
    margins = _margins(W, V)
    k, j = (some[margins <= margins.min() + NEAR] for some in _pairs(len(W)))
    target = np.append(np.zeros(2 * W.size), -1.0)
    split = partial(_split, shape=W.shape)
    end = minimize(
        lambda x: -x[-1],
        np.concatenate([W.ravel(), V.ravel(), [margins.min()]]),
        jac=lambda x: target,
        method="SLSQP",
        constraints=(
            {
                "type": "ineq",
                "fun": lambda x: _margins(*split(x), k, j) - x[-1],
                "jac": lambda x: _slopes(*split(x), k, j),
            },
            {"type": "eq", "fun": lambda x: 1 - (split(x)[0] ** 2).sum(1)},
            {"type": "ineq", "fun": lambda x: 1 - (split(x)[1] ** 2).sum(1)},
        ),
        options={"maxiter": 100, "ftol": 1e-12},
    )
    return directions(split(end.x)[0])


def _split(x: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    W, V = np.split(x[:-1], 2)
    return W.reshape(shape), V.reshape(shape)


def _margins(W: np.ndarray, V: np.ndarray, k: np.ndarray | None = None, j: np.ndarray | None = None) -> np.ndarray:
    """<v_k, w_k - w_j> over the pairs (k, j), all of them unless given, in the order of `_pairs`."""
    if k is None or j is None:
        k, j = _pairs(len(W))
    return ((W[k] - W[j]) * V[k]).sum(1)


def _slopes(W: np.ndarray, V: np.ndarray, k: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(pairs, 2 K d + 1) derivatives of the margins less t in (W, V, t)."""
    eye = np.eye(len(W))
    by_W = (eye[k] - eye[j])[:, :, None] * V[k][:, None, :]
    by_V = eye[k][:, :, None] * (W[k] - W[j])[:, None, :]
    return np.hstack([by_W.reshape(len(k), -1), by_V.reshape(len(k), -1), -np.ones((len(k), 1))])


def _pairs(K: int) -> tuple[np.ndarray, np.ndarray]:
    k, j = np.nonzero(~np.eye(K, dtype=bool))
    return k, j
