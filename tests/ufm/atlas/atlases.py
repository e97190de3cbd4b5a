"""Atlases that several tests look at, each explored once, and independent routes to what they say."""

import itertools
from functools import cache

import numpy as np
import torch

from ufm import Problem
from ufm.atlas import Atlas, explore
from ufm.atlas.catalogue import Catalogue
from ufm.atlas.family import Family

DECAY = {"lambda_w": 2e-3, "lambda_h": 2e-3, "lambda_b": 1e-2}
FREE = {"lambda_w": 2e-3, "lambda_h": 2e-3, "lambda_b": 0.0}

ATLASES = {
    "K = 2": Problem.balanced(2, 2, 2, **DECAY),
    "K = 3": Problem.balanced(3, 2, 2, **DECAY),
    "K = 4": Problem.balanced(4, 2, 3, **DECAY),
    "K = 3, wide": Problem.balanced(3, 1, 6, lambda_w=1e-2, lambda_h=2e-4, lambda_b=1e-2),
    "K = 4, no bias": Problem.balanced(4, 2, 3, lambda_w=2e-3, lambda_h=2e-3, bias=False),
    "K = 4, free bias": Problem.balanced(4, 2, 3, **FREE),
    "K = 3, weak decay": Problem.balanced(3, 2, 2, lambda_w=5e-5, lambda_h=5e-5, lambda_b=1e-2),
    "K = 5, d = 1": Problem.balanced(5, 2, 1, **DECAY),
    "in pairs": Problem((1, 1, 2, 2), 3, **DECAY),
    "all different": Problem((1, 2, 3, 4), 3, **DECAY),
    "long tail": Problem((50, 10, 1), 2, **DECAY),
}


CONNECTED = ("K = 3", "K = 3, wide", "K = 4", "K = 4, free bias", "K = 5, d = 1")


@cache
def atlas(name: str) -> Atlas:
    return explore(ATLASES[name], until_quiet=200, connect=name in CONNECTED)


def catalogue(atlas: Atlas) -> Catalogue:
    """The atlas's points as the search keeps them."""
    found = Catalogue(atlas.problem)
    for point in atlas.points:
        family, r = Family(atlas.problem, point.rank), point.rank
        x = family.landscape.pack(point.point.W[:, :r], point.point.H[:, :r], point.point.b)
        found.entries.append(found.entry(family, x, point.found_by))
    return found


def allowed(counts: tuple[int, ...]) -> list[list[int]]:
    """Every permutation of the classes that keeps the counts."""
    K = len(counts)
    return [list(p) for p in itertools.permutations(range(K)) if all(counts[p[k]] == counts[k] for k in range(K))]


def images(matrix: np.ndarray, counts: tuple[int, ...]) -> list[np.ndarray]:
    """The different matrices that permutations of the classes make of one."""
    found: list[np.ndarray] = []
    for p in allowed(counts):
        image = matrix[np.ix_(p, p)]
        if not any(np.allclose(image, other, rtol=0, atol=1e-6) for other in found):
            found.append(image)
    return found


def invariants(point) -> np.ndarray:
    """(K, K, 2): what a rotation leaves of a collapsed point."""
    logits = point.H @ point.W.T
    return torch.stack([logits, point.b.expand_as(logits)], 2).numpy()


def naive_gradient(problem: Problem, rank: int):
    """The gradient in (W, H, b), H of one feature a class, at a flat numpy vector: from the definition."""
    K, n = problem.num_classes, np.array(problem.class_counts) / problem.num_samples
    cut = K * rank

    def gradient(x: np.ndarray) -> np.ndarray:
        W, H = x[:cut].reshape(K, rank), x[cut : 2 * cut].reshape(K, rank)
        b = x[2 * cut :] if problem.bias else np.zeros(K)
        z = H @ W.T + b
        p = np.exp(z - z.max(1, keepdims=True))
        slopes = n[:, None] * (p / p.sum(1, keepdims=True) - np.eye(K))
        in_W = slopes.T @ H + problem.lambda_w * W
        in_H = slopes @ W + problem.lambda_h * n[:, None] * problem.num_samples * H
        parts = [in_W.ravel(), in_H.ravel(), slopes.sum(0) + problem.lambda_b * b]
        return np.concatenate(parts if problem.bias else parts[:2])

    return gradient


def naive_value(problem: Problem, rank: int, x: np.ndarray) -> float:
    K, n = problem.num_classes, np.array(problem.class_counts)
    W, H = x[: K * rank].reshape(K, rank), x[K * rank : 2 * K * rank].reshape(K, rank)
    b = x[2 * K * rank :] if problem.bias else np.zeros(K)
    z = H @ W.T + b
    loss = n @ (np.logaddexp.reduce(z, axis=1) - np.diag(z)) / n.sum()
    return (
        loss
        + (problem.lambda_w * (W**2).sum() + problem.lambda_h * n @ (H**2).sum(1)) / 2
        + (problem.lambda_b * (b**2).sum() / 2)
    )
