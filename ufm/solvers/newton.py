"""Trust-region Newton with truncated conjugate gradients (Steihaug 1983; Nocedal and Wright 2006, ch. 7).

Two things differ from the textbook. Once the predicted decrease drowns in the rounding of f, steps are
judged by the gradient norm instead, so that the iteration goes on to full precision. And the Hessian may
be singular along a symmetry orbit: conjugate gradients never leave the range of the Hessian, so nothing
needs to be fixed or added.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

FORCING = 0.3  # at most: the relative tolerance of conjugate gradients, else the root of the relative gradient
NOISE = 64  # roundings of f: a predicted decrease below that is not seen in f
TAKEN = 1e-4  # of the predicted decrease has to be there for a step to be taken
POOR, GOOD = 0.25, 0.75  # of it: the radius shrinks below, and may grow above
REACHED = 0.99  # of the radius: a good step of that length makes it grow
EXACT = 1e-15  # the relative gradient that is rounding: conjugate gradients are asked for no less
LOST = 1e-15  # a radius below this, relative to 1 + |x|, makes no progress
Size = TypeVar("Size", int, torch.Tensor)


class Quadratic(Protocol):
    """<g, p> + <p, Hp>/2 on flat vectors p."""

    @property
    def gradient(self) -> torch.Tensor:
        """g"""

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        """H v"""


class Jet(Quadratic, Protocol):
    """A function at one x to second order."""

    @property
    def value(self) -> torch.Tensor:
        """The function there, 0-d."""

    @property
    def relative_gradient(self) -> float:
        """The size of the gradient, in a unit of the function's own."""


class Function(Protocol):
    """A function of flat vectors."""

    def jet(self, x: torch.Tensor) -> Jet:
        """The function at x to second order."""


class Trial(NamedTuple):
    """A step to be tried: the decrease that its quadratic model predicts, and the products it took."""

    step: torch.Tensor
    decrease: float
    products: int


Solver = Callable[[float, float], Trial]  # of a radius and a tolerance


class Step(NamedTuple):
    """One accepted iterate: its value, its relative gradient norm, and the Hessian products spent so far."""

    value: float
    relative_grad_norm: float
    products: int

    @classmethod
    def at(cls, jet: Jet, products: int) -> "Step":
        return cls(float(jet.value), jet.relative_gradient, products)


def steihaug(model: Quadratic, radius: float, tolerance: float) -> Trial:
    """Approximately minimise the model in |p| <= radius: to a residual |g + Hp| <= tolerance, or to the sphere.

    Inner products of p and the direction follow from each other (Conn, Gould and Toint 2000, section 7.5.1).
    """
    p, square = torch.zeros_like(model.gradient), float(model.gradient @ model.gradient)
    if square**0.5 <= tolerance:
        return Trial(p, 0.0, 0)
    residual, direction = model.gradient.clone(), -model.gradient
    decrease, pp, pd, dd = 0.0, 0.0, 0.0, square
    products = 0
    while square**0.5 > tolerance and products < most_products(len(p)):
        image = model.hvp(direction)
        products += 1
        curvature = float(direction @ image)
        length = square / curvature if curvature > 0 else torch.inf
        reach = _reach(dd, pd, pp - radius**2)
        if length >= reach:
            # The slope of the quadratic model along a conjugate direction is -|residual|^2.
            decrease += reach * square - 0.5 * reach**2 * curvature
            return Trial(p.add_(direction, alpha=reach), decrease, products)
        p.add_(direction, alpha=length)
        decrease += 0.5 * length * square
        residual.add_(image, alpha=length)
        previous, square = square, float(residual @ residual)
        ratio = square / previous
        pp, pd = pp + length * (2 * pd + length * dd), ratio * (pd + length * dd)
        dd = square + ratio**2 * dd
        direction.mul_(ratio).sub_(residual)
    return Trial(p, decrease, products)


def truncated(jet: Jet) -> Solver:
    """Truncated conjugate gradients on the expansion of the function to second order."""
    return partial(steihaug, jet)


def trust_region_newton(
    landscape: Function,
    x: torch.Tensor,
    *,
    tol: float,
    max_iterations: int,
    moved: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch.add,
    solver: Callable[[Any], Solver] = truncated,
) -> Iterator[tuple[torch.Tensor, Step]]:
    """Yield (x, Step) for the start and each accepted iterate, until Jet.relative_gradient <= tol.

    moved(x, step) is where a step leads: on a manifold a retraction, where jets are Riemannian, with gradients and
    products that are tangent. solver(jet)(radius, tolerance) is the step to try, from a quadratic model whose gradient
    is the jet's. The inner iteration's relative tolerance is the root of the relative gradient, at most 0.3.
    Ends without reaching tol when max_iterations trial steps are spent or no step can make progress any more.
    """
    jet, products = landscape.jet(x), 0
    solve = solver(jet)
    radius = max(1.0, float(x.norm()))
    yield x, Step.at(jet, products)
    for _ in range(max_iterations):
        relative, size = jet.relative_gradient, float(jet.gradient.norm())
        if relative <= tol or size == 0:
            return
        trial = solve(radius, forcing(relative) * size)
        products += trial.products
        there = moved(x, trial.step)
        beyond = landscape.jet(there)
        ratio = _agreement(jet, beyond, trial.decrease)
        length = float(trial.step.norm())
        if ratio < POOR:
            radius = POOR * length
        elif ratio > GOOD and length > REACHED * radius:
            radius *= 2
        if ratio > TAKEN:
            x, jet, solve = there, beyond, solver(beyond)
            yield x, Step.at(jet, products)
        elif radius < LOST * (1 + float(x.norm())):
            return


def forcing(relative: float) -> float:
    """What is left of the gradient in the model, for a relative gradient."""
    return min(FORCING, max(math.sqrt(relative), EXACT / relative))


def _agreement(jet: Jet, beyond: Jet, decrease: float) -> float:
    """Actual over predicted decrease; judged by gradients where f's rounding hides the decrease."""
    noise = NOISE * torch.finfo(jet.value.dtype).eps * abs(float(jet.value))
    if decrease > noise:
        return float(jet.value - beyond.value) / decrease
    return 1.0 if float(beyond.gradient.norm()) < float(jet.gradient.norm()) else 0.0


def most_products(size: Size) -> Size:
    """How many products with the Hessian one step of so many variables may take."""
    return 2 * size + 19


def _reach(a: float, b: float, c: float) -> float:
    """The positive root of a t^2 + 2 b t + c, for c <= 0: how far it is to the sphere."""
    return (-b + math.sqrt(max(b * b - a * c, 0.0))) / a
