"""How fast gradient descent converges near a minimiser: predicted from the spectrum, and measured.

Near a minimiser whose Hessian vanishes on the tangent of its symmetry orbit alone (Morse-Bott), a gradient
step of size t multiplies the component of the error along an eigenvector of eigenvalue l by 1 - t l, and
leaves the orbit alone. So the gradient norm shrinks by the largest |1 - t l| over the positive l a step, in
the limit (Polyak 1964 for an isolated minimiser; docs/theory, section 6.4). At t = 1/l_max that is 1 - 1/condition.
"""

import math

import torch

from ..errors import require
from ..point import Point
from ..problem import Problem
from .spectrum import Spectrum


def predicted_rate(levels: Spectrum, step: float | None = None) -> float:
    """The factor by which a gradient step of that size (1/levels.max by default) shrinks the gradient, in the limit.

    Raises InputError where the spectrum has only its ends or no positive eigenvalue, or where the step is
    not shorter than 2/levels.max, so that gradient descent does not converge.
    """
    require(levels.complete, "a rate needs the complete spectrum; give a critical point")
    positive = levels.values[levels.values > levels.tolerance]
    require(len(positive) > 0, "a rate needs a positive eigenvalue; the spectrum has none")
    step = 1 / levels.max if step is None else step
    require(0 < step * levels.max < 2, f"the step must lie in (0, 2/l_max) = (0, {2 / levels.max:.6g}), got {step}")
    return float((1 - step * positive[[0, -1]]).abs().max())


def gradient_descent(problem: Problem, start: Point, step: float, iterations: int) -> torch.Tensor:
    """(iterations + 1,) norms of the gradient of f along plain gradient descent over the rows of start.H."""
    require(iterations >= 1, f"iterations must be >= 1, got {iterations}")
    f, x = problem.landscape_at(start)
    norms = []
    for _ in range(iterations + 1):
        gradient = f.jet(x).gradient
        norms.append(gradient.norm())
        x = x - step * gradient
    return torch.stack(norms)


def measured_rate(norms: torch.Tensor) -> float:
    """The factor a step over the second half of a sequence of gradient norms."""
    half = len(norms) // 2
    return math.exp(float((norms[-1] / norms[half]).log()) / (len(norms) - 1 - half))
