"""The bias that is optimal for given W and H: a problem in K variables, convex where the loss is."""

import torch

from ..point import Point
from ..problem import Problem

DAMPING = 1e-10  # of the gradient norm; with its rounding, keeps Newton's matrix regular


@torch.no_grad()
def with_optimal_bias(problem: Problem, point: Point, max_iterations: int = 200) -> Point:
    """The point with b replaced by the minimiser of f(W, H, .), to rounding; needs a problem with a bias.

    For a loss that ignores a shift of the logits it is the b without a part along it (of mean 0, for cross-entropy),
    which is the only one where lambda_b > 0. Damped Newton on the dense K x K Hessian, made regular along the shift at
    no cost, since the gradient has no part in it. Where the loss is not convex, eigenvalues of the Hessian count by
    their absolute values, and the end is a stationary b. Steps have to lower f, and the gradient once f's rounding
    hides progress.
    """
    f, x = problem.landscape_at(point)
    start = f.logits(x) - point.b
    weights, eps = f.counts / f.num_samples, torch.finfo(start.dtype).eps
    identity = torch.eye(f.num_classes, dtype=start.dtype, device=start.device)
    shift = None if problem.shift is None else problem.shift.to(start)
    b = without_shift(problem, point.b)

    def value(b: torch.Tensor) -> float:
        return float(weights @ f.loss.values(start + b, f.labels) + f.lambda_b / 2 * b.square().sum())

    def size(b: torch.Tensor) -> float:
        return float((weights @ f.loss.expand(start + b, f.labels)[1] + f.lambda_b * b).norm())

    for _ in range(max_iterations):
        _, slopes, curvature = f.loss.expand(start + b, f.labels)
        gradient, terms = weights @ slopes + f.lambda_b * b, weights @ slopes.abs() + f.lambda_b * b.abs()
        norm, rounding = float(gradient.norm()), eps * float(terms.norm())
        if norm <= rounding:
            break
        hessian = (f.lambda_b + DAMPING * norm + rounding) * identity
        # A row at a time into its place: kept beside the products that they come from, they would fragment memory.
        for row, e in zip(hessian, identity, strict=True):
            row += weights @ curvature(e.expand_as(start))
        if shift is not None:
            hessian += hessian.diagonal().mean() * torch.outer(shift, shift)
        if not f.loss.convex:
            hessian = _definite(hessian)
        step, singular = torch.linalg.solve_ex(hessian, gradient)
        if singular:
            hessian.diagonal().mul_(1 + eps * f.num_classes)
            step = torch.linalg.solve(hessian, gradient)
        decrement, level = float(step @ gradient), value(b)
        hidden = decrement < 1e-10 * abs(level)
        measure, bound, slope = (size, 0.9 * norm, 0.0) if hidden else (value, level, 1e-4 * decrement)
        lengths = (0.5**i for i in range(50))
        length = next((t for t in lengths if measure(b - t * step) <= bound - t * slope), None)
        if length is None:
            break
        b = b - length * step
    return Point(point.W, point.H, b, point.labels)


def without_shift(problem: Problem, b: torch.Tensor) -> torch.Tensor:
    """b, or rows of logits (..., K), less their part along the shift that the loss ignores."""
    if problem.shift is None:
        return b
    if problem.loss.shift_invariant:
        return b - b.mean(-1, keepdim=True)
    s = problem.shift.to(b)
    return b - (b @ s / s.square().sum())[..., None] * s


def _definite(hessian: torch.Tensor) -> torch.Tensor:
    """The matrix with the absolute values of its eigenvalues, and none below 1e-8 of the largest."""
    values, vectors = torch.linalg.eigh(hessian)
    values = values.abs()
    return (vectors * values.clamp_min(1e-8 * float(values.max()))) @ vectors.T
