"""Trust-region Newton with truncated conjugate gradients (Steihaug 1983; Nocedal and Wright 2006, ch. 7).

Two things differ from the textbook. Once the predicted decrease drowns in the rounding of f, steps are
judged by the gradient norm instead, so that the iteration goes on to full precision. And the Hessian may
be singular along a symmetry orbit: conjugate gradients never leave the range of the Hessian, so nothing
needs to be fixed or added.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch

FORCING = 0.3  # at most: the relative tolerance of conjugate gradients, else the root of the relative gradient
NOISE = 64  # roundings of f: a predicted decrease below that is not seen in f
TAKEN = 1e-4  # of the predicted decrease has to be there for a step to be taken
POOR, GOOD = 0.25, 0.75  # of it: the radius shrinks below, and may grow above
REACHED = 0.99  # of the radius: a good step of that length makes it grow
LOST = 1e-15  # a radius below this, relative to 1 + |x|, makes no progress


class Jet(Protocol):
    """A function at one x to second order."""

    value: torch.Tensor
    gradient: torch.Tensor

    @property
    def relative_gradient(self) -> float:
        """The size of the gradient, in a unit of the function's own."""

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        """The Hessian times v."""


class Function(Protocol):
    """A function of flat vectors."""

    def jet(self, x: torch.Tensor) -> Jet:
        """The function at x to second order."""


class Step(NamedTuple):
    """One accepted iterate: its value, its relative gradient norm, and the Hessian products spent so far."""

    value: float
    relative_grad_norm: float
    products: int

    @classmethod
    def at(cls, jet: Jet, products: int) -> "Step":
        return cls(float(jet.value), jet.relative_gradient, products)


def trust_region_newton(
    landscape: Function,
    x: torch.Tensor,
    *,
    tol: float,
    max_iterations: int,
    moved: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch.add,
) -> Iterator[tuple[torch.Tensor, Step]]:
    """Yield (x, Step) for the start and each accepted iterate, until Jet.relative_gradient <= tol.

    moved(x, step) is where a step leads: on a manifold a retraction, where jets are Riemannian, with gradients and
    products that are tangent. The inner iteration's relative tolerance is the root of the relative gradient, at most
    0.3. Ends without reaching tol when max_iterations trial steps are spent or no step can make progress any more.
    """
    jet, products = landscape.jet(x), 0
    radius = max(1.0, float(x.norm()))
    yield x, Step.at(jet, products)
    for _ in range(max_iterations):
        relative, size = jet.relative_gradient, float(jet.gradient.norm())
        if relative <= tol or size == 0:
            return
        step, decrease, spent = _steihaug(jet, radius, min(FORCING, math.sqrt(relative)) * size)
        products += spent
        there = moved(x, step)
        trial = landscape.jet(there)
        ratio = _agreement(jet, trial, decrease)
        length = float(step.norm())
        if ratio < POOR:
            radius = POOR * length
        elif ratio > GOOD and length > REACHED * radius:
            radius *= 2
        if ratio > TAKEN:
            x, jet = there, trial
            yield x, Step.at(jet, products)
        elif radius < LOST * (1 + float(x.norm())):
            return


def _agreement(jet: Jet, trial: Jet, decrease: float) -> float:
    """Actual over predicted decrease; judged by gradients where f's rounding hides the decrease."""
    noise = NOISE * torch.finfo(jet.value.dtype).eps * abs(float(jet.value))
    if decrease > noise:
        return float(jet.value - trial.value) / decrease
    return 1.0 if float(trial.gradient.norm()) < float(jet.gradient.norm()) else 0.0


def _steihaug(jet: Jet, radius: float, tolerance: float) -> tuple[torch.Tensor, float, int]:
    """Approximately minimise <g, p> + <p, Hp>/2 in |p| <= radius: (p, predicted decrease, products)."""
    p = torch.zeros_like(jet.gradient)
    residual = jet.gradient.clone()
    direction = -residual
    square = float(residual @ residual)
    decrease = 0.0
    for products in range(1, most_products(len(p)) + 1):
        image = jet.hvp(direction)
        curvature = float(direction @ image)
        length = square / curvature if curvature > 0 else torch.inf
        reach = _reach(float(direction @ direction), float(p @ direction), float(p @ p) - radius**2)
        if length >= reach:
            # The slope of the quadratic model along a conjugate direction is -|residual|^2.
            decrease += reach * square - 0.5 * reach**2 * curvature
            return p.add_(direction, alpha=reach), decrease, products
        p.add_(direction, alpha=length)
        decrease += 0.5 * length * square
        residual.add_(image, alpha=length)
        previous, square = square, float(residual @ residual)
        if square**0.5 <= tolerance:
            break
        direction.mul_(square / previous).sub_(residual)
    return p, decrease, products


def most_products(size: int) -> int:
    """How many products with the Hessian one step of so many variables may take."""
    return 2 * size + 19


def _reach(a: float, b: float, c: float) -> float:
    """The positive root of a t^2 + 2 b t + c, for c <= 0: how far it is to the sphere."""
    return (-b + math.sqrt(max(b * b - a * c, 0.0))) / a
