"""Points of every kind that a network gives, for references of each number: drawn by numpy."""

import numpy as np
import torch

import ufm
from tests.cases import PROBLEMS
from ufm import Point


def drawn(counts: tuple[int, ...], dim: int, *, spread: float = 0.4, dtype: torch.dtype = torch.float64) -> tuple:
    """(Point, labels) with class means, and a W near them, about an origin that is not their mean."""
    generator = np.random.default_rng(sum(counts) + dim)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = generator.standard_normal((len(counts), dim))
    H = 0.7 + means[labels] + spread * generator.standard_normal((len(labels), dim))
    W = means + 0.3 * generator.standard_normal(means.shape)
    b = generator.standard_normal(len(counts))
    return Point(*(torch.from_numpy(part).to(dtype) for part in (W, H, b))), torch.from_numpy(labels)


COLLAPSED = PROBLEMS["balanced"].expand(ufm.global_minimizer(PROBLEMS["balanced"])), PROBLEMS["balanced"].labels
KINDS = {
    "collapsed": COLLAPSED,
    "nearly collapsed": drawn((3, 3, 3), 4, spread=1e-7),
    "imbalanced": drawn((1, 3, 21, 110), 5),
    "d < K - 1": drawn((3, 4, 5, 6, 7), 3),
    "float32": drawn((5, 2, 9), 6, dtype=torch.float32),
    "float16": drawn((5, 2, 9), 6, dtype=torch.float16),
    "bfloat16": drawn((4, 4, 3), 5, dtype=torch.bfloat16),
    "single samples": drawn((1, 1, 1, 1), 4),
}


def arrays(point: Point, labels: torch.Tensor) -> tuple[np.ndarray, ...]:
    """(W, centred class means, class means, H, labels) in float64: the numbers that the tensors hold."""
    W, H, y = point.W.double().numpy(), point.H.double().numpy(), labels.numpy()
    means = np.stack([H[y == k].mean(0) for k in range(len(W))])
    return W, means - H.mean(0), means, H, y
