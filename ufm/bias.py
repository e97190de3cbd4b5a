"""The bias that is optimal for given W and H: a convex problem in K variables."""

import torch

from .point import Point
from .problem import Problem

DAMPING = 1e-10  # of the gradient norm: keeps Newton's matrix regular where the softmax has saturated


def with_optimal_bias(problem: Problem, point: Point, max_iterations: int = 200) -> Point:
    """The point with b replaced by the minimiser of f(W, H, .), to rounding; needs a problem with a bias.

    The b of mean 0, which is the only one where lambda_b > 0: the loss ignores a shift along (1, ..., 1).
    Damped Newton on the dense K x K Hessian, made regular along that direction by a multiple of 11^T at no
    cost, since the gradient has no part in it.
    """
    f, x = problem.landscape_at(point)
    start = f.logits(x) - point.b
    weights = f.counts[:, None] / f.num_samples
    identity = torch.eye(f.num_classes, dtype=start.dtype, device=start.device)
    b = point.b - point.b.mean()

    def value(b: torch.Tensor) -> float:
        losses = f.loss.values(start + b, f.labels)
        return float((weights[:, 0] * losses).sum() + f.lambda_b / 2 * b.square().sum())

    previous = torch.inf
    for _ in range(max_iterations):
        _, slopes, curvature = f.loss.expand(start + b, f.labels)
        gradient = (weights * slopes).sum(0) + f.lambda_b * b
        size = float(gradient.norm())
        if size <= 1e-17:
            break
        rows = [(weights * curvature(e.expand_as(start))).sum(0) for e in identity]
        hessian = torch.stack(rows) + (f.lambda_b + DAMPING * size) * identity
        hessian = hessian + hessian.diagonal().mean()
        step = torch.linalg.solve(hessian, gradient)
        decrement = float(step @ gradient)
        # Near the end f's rounding hides progress: whole Newton steps, while they shrink the gradient.
        close = decrement < 1e-10
        if close and size >= previous:
            break
        previous = size if close else torch.inf
        length = 1.0
        while not close and value(b - length * step) > value(b) - 1e-4 * length * decrement:
            length /= 2
        b = b - length * step
    return Point(point.W, point.H, b, point.labels)
