"""The feature decay that a last layer implies, and the shift of its features that no logit sees."""

from dataclasses import replace

import torch

from ufm import Point, Problem


def at_rest(point: Point, lambda_w: float, lambda_h: float | None, lambda_b: float, bias: bool) -> tuple[Point, float]:
    """(the point shifted to the least penalty, lambda_h: as given, or implied by balance after the shift).

    Balance is lW W^T W = lH H H^T, in trace. The features enter by their mean, which the shift moves, and their
    scatter about it, which stays.
    """
    N, mean, weight = len(point.H), point.H.mean(0), lambda_w * float(point.W.square().sum())
    scatter, v = float((point.H - mean).square().sum()), torch.zeros_like(mean)

    def implied() -> float:
        return lambda_h or weight / (scatter + N * float((mean + v).square().sum()))

    found = implied()
    for _ in range(200 if bias else 0):
        v = _least_penalty(point, N * mean, N, found, lambda_b)
        previous, found = found, implied()
        if abs(found - previous) <= 1e-14 * found:
            break
    return (_shifted(point, v) if bias else point), found


def shifted_to_least_penalty(
    point: Point, total: torch.Tensor, num_samples: int, lambda_h: float, lambda_b: float
) -> Point:
    """The point after the shift h -> h + v, b -> b - W v of least penalty, which keeps all logits.

    total (d,) is the sum of the features of all samples.
    """
    return _shifted(point, _least_penalty(point, total, num_samples, lambda_h, lambda_b))


def _least_penalty(
    point: Point, total: torch.Tensor, num_samples: int, lambda_h: float, lambda_b: float
) -> torch.Tensor:
    """v (d,) of that shift: (N lH I + lb W^T W) v = lb W^T b - lH total."""
    W = point.W
    matrix = num_samples * lambda_h * torch.eye(point.dim).to(W) + lambda_b * W.T @ W
    return torch.linalg.solve(matrix, lambda_b * W.T @ point.b - lambda_h * total)


def _shifted(point: Point, v: torch.Tensor) -> Point:
    return replace(point, H=point.H + v, b=point.b - point.W @ v)


def by_scale(problem: Problem, point: Point) -> float:
    """lH at which a point is stationary along its features' length: lH |H|^2 = -<G, W H>, G the slopes over N.

    Where W is stationary too, lW |W|^2 is the same number: that is balance, which a W that is given does not have.
    """
    f, x = problem.landscape_at(point)
    jet = f.jet(x)
    return -float((jet.G * (jet.scaled @ jet.W.T)).sum() / jet.scaled.square().sum())
