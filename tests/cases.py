"""One table of problems, and the independent routes that results are compared with."""

from functools import cache

import numpy as np
import torch

from ufm import Point, Problem

DECAY = {"lambda_w": 5e-3, "lambda_h": 2e-3}

PROBLEMS = {
    "balanced": Problem.balanced(4, 3, 6, **DECAY, lambda_b=1e-2),
    "imbalanced": Problem((1, 2, 5), 4, **DECAY, lambda_b=1e-2),
    "no bias": Problem.balanced(3, 2, 4, **DECAY, bias=False),
    "free bias": Problem((2, 3, 4), 3, **DECAY, lambda_b=0.0),
    "two classes": Problem.balanced(2, 4, 3, **DECAY, lambda_b=1e-2),
    "one sample each": Problem.balanced(5, 1, 5, **DECAY, lambda_b=1e-2),
    "d = K - 1": Problem.balanced(4, 2, 3, **DECAY, lambda_b=1e-2),
    "d = K": Problem.balanced(3, 2, 3, **DECAY, lambda_b=1e-2),
    "d < K - 1": Problem.balanced(5, 2, 2, **DECAY, lambda_b=1e-2),
    "d = 1": Problem.balanced(3, 2, 1, **DECAY, lambda_b=1e-2),
    "strong decay": Problem.balanced(3, 2, 4, lambda_w=0.3, lambda_h=0.3, lambda_b=1e-2),
    "strong decay, imbalanced": Problem((1, 4, 2), 3, lambda_w=0.3, lambda_h=0.3, lambda_b=1e-2),
}


def random_point(problem: Problem, seed: int = 0, scale: float = 1.0) -> Point:
    """Independent normal entries, drawn by numpy."""
    generator = np.random.default_rng(seed)
    shapes = (problem.num_classes, problem.dim), (problem.num_samples, problem.dim), (problem.num_classes,)
    W, H, b = (torch.from_numpy(scale * generator.standard_normal(shape)) for shape in shapes)
    return Point(W, H, b if problem.bias else torch.zeros_like(b))


def naive_objective(problem: Problem, point: Point) -> float:
    """f by loops over samples in numpy, from its definition."""
    W, H, b = (tensor.numpy() for tensor in (point.W, point.H, point.b))
    labels = [k for k, n in enumerate(problem.class_counts) for _ in range(n)]
    total = 0.0
    for h, k in zip(H, labels, strict=True):
        z = W @ h + b
        total += np.logaddexp.reduce(z) - z[k]
    penalty = problem.lambda_w * (W**2).sum() + problem.lambda_h * (H**2).sum() + problem.lambda_b * (b**2).sum()
    return total / problem.num_samples + penalty / 2


def flat_objective(problem: Problem):
    """f of the flat vector (W, H, b) in plain torch operations, for autograd, with the vector of a point."""
    K, N, d = problem.num_classes, problem.num_samples, problem.dim
    labels = torch.tensor([k for k, n in enumerate(problem.class_counts) for _ in range(n)])

    def f(x: torch.Tensor) -> torch.Tensor:
        W, H = x[: K * d].view(K, d), x[K * d : (K + N) * d].view(N, d)
        b = x[(K + N) * d :] if problem.bias else x.new_zeros(K)
        z = H @ W.T + b
        loss = (torch.logsumexp(z, 1) - z[torch.arange(N), labels]).mean()
        decay = problem.lambda_w * (W**2).sum() + problem.lambda_h * (H**2).sum() + problem.lambda_b * (b**2).sum()
        return loss + decay / 2

    return f


def flat(problem: Problem, point: Point) -> torch.Tensor:
    """The flat vector of a point with all N features."""
    H = point.H if len(point.H) == problem.num_samples else point.H[problem.labels]
    parts = [point.W.reshape(-1), H.reshape(-1), point.b]
    return torch.cat(parts if problem.bias else parts[:2])


def autograd_gradient(problem: Problem, point: Point) -> torch.Tensor:
    x = flat(problem, point).requires_grad_()
    return torch.autograd.grad(flat_objective(problem)(x), x)[0]


def autograd_hessian(problem: Problem, point: Point) -> torch.Tensor:
    return torch.autograd.functional.hessian(flat_objective(problem), flat(problem, point))


@cache
def orthogonal(dim: int, seed: int = 0) -> torch.Tensor:
    """A random orthogonal (dim, dim) matrix."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
