"""Every loss from its definition, a sample at a time in plain torch operations, and one of each kind to look at."""

import torch

from ufm import Problem
from ufm.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LabelSmoothing,
    LogitAdjusted,
    MeanSquare,
    SoftCrossEntropy,
    Weighted,
)

SOFT = [[0.7, 0.2, 0.1], [0.0, 1.5, 0.5], [0.3, 0.3, 0.4], [0.0, 0.0, 2.0]]
REGRESSED = [[1.0, -2.0, 0.5], [0.3, 0.0, 1.5], [-1.0, 1.0, 2.0], [2.0, 2.5, -0.5], [0.0, 1.0, 0.0]]
TAGGED = [[1, -1, -1], [1, 1, -1], [-1, 1, 1], [-1, -1, -1]]
OFFSETS, SCALES = [0.0, -0.5, 1.0], [1.0, 2.0, 0.5]
WEIGHTS = [0.5, 2.0, 1.25]

CROSS = torch.nn.functional.cross_entropy


def one_hot(t, z):
    return torch.nn.functional.one_hot(torch.tensor(t), len(z)).to(z)


NAIVE = {  # name: (the loss, l(z, t) from its definition); K = 3, or any K
    "cross-entropy": (CrossEntropy(), lambda z, t: CROSS(z[None], torch.tensor([t]))),
    "label smoothing": (LabelSmoothing(0.1), lambda z, t: CROSS(z[None], torch.tensor([t]), label_smoothing=0.1)),
    "soft": (SoftCrossEntropy(SOFT), lambda z, t: -(z.new_tensor(SOFT[t]) * z.log_softmax(0)).sum()),
    "offsets": (LogitAdjusted(OFFSETS), lambda z, t: CROSS((z + z.new_tensor(OFFSETS))[None], torch.tensor([t]))),
    "scales": (
        LogitAdjusted(OFFSETS, SCALES),
        lambda z, t: CROSS((z * z.new_tensor(SCALES) + z.new_tensor(OFFSETS))[None], torch.tensor([t])),
    ),
    "mse": (MeanSquare(), lambda z, t: ((z - one_hot(t, z)) ** 2).sum() / 2),
    "rescaled mse": (
        MeanSquare(weight=2.5, target=3.0),
        lambda z, t: (2.5 * (z[t] - 3) ** 2 + sum(z[j] ** 2 for j in range(len(z)) if j != t)) / 2,
    ),
    "far targets": (MeanSquare(target=1.5), lambda z, t: ((z - 1.5 * one_hot(t, z)) ** 2).sum() / 2),
    "regression": (MeanSquare(REGRESSED), lambda z, t: ((z - z.new_tensor(REGRESSED[t])) ** 2).sum() / 2),
    "bce": (
        BinaryCrossEntropy(),
        lambda z, t: torch.nn.functional.binary_cross_entropy_with_logits(z, one_hot(t, z), reduction="sum"),
    ),
    "tags": (BinaryCrossEntropy(TAGGED), lambda z, t: torch.log(1 + torch.exp(-z.new_tensor(TAGGED[t]) * z)).sum()),
    "focal": (Focal(2.0), lambda z, t: -((1 - z.softmax(0)[t]) ** 2) * z.log_softmax(0)[t]),
    "gentle focal": (Focal(0.5), lambda z, t: -((1 - z.softmax(0)[t]) ** 0.5) * z.log_softmax(0)[t]),
    "weighted mse": (
        Weighted(MeanSquare(weight=2.5, target=3.0), WEIGHTS),
        lambda z, t: WEIGHTS[t] * (1.5 * (z[t] - 3) ** 2 + ((z - 3 * one_hot(t, z)) ** 2).sum()) / 2,
    ),
    "weighted focal": (
        Weighted(Focal(2.0), WEIGHTS),
        lambda z, t: -WEIGHTS[t] * ((1 - z.softmax(0)[t]) ** 2) * z.log_softmax(0)[t],
    ),
}


def problem_of(name: str, dim: int = 4, **settings) -> Problem:
    """An imbalanced problem with K = 3 and that loss."""
    loss = NAIVE[name][0]
    counts = (3, 1, 2, 4, 2)[: 3 if loss.shape is None else loss.shape[0]]
    decays = {"lambda_w": 5e-3, "lambda_h": 2e-3, "lambda_b": 1e-2} | settings
    return Problem(counts, dim, **decays, loss=loss)


def flat_objective(problem: Problem, name: str):
    """f of the flat vector (W, H, b), all N features, from the definitions."""
    K, N, d = problem.num_classes, problem.num_samples, problem.dim
    types = [t for t, n in enumerate(problem.class_counts) for _ in range(n)]

    def f(x: torch.Tensor) -> torch.Tensor:
        W, H = x[: K * d].view(K, d), x[K * d : (K + N) * d].view(N, d)
        b = x[(K + N) * d :] if problem.bias else x.new_zeros(K)
        total = sum(NAIVE[name][1](W @ h + b, t) for h, t in zip(H, types, strict=True)) / N
        decay = problem.lambda_w * (W**2).sum() + problem.lambda_h * (H**2).sum() + problem.lambda_b * (b**2).sum()
        return total + decay / 2

    return f
