"""`ufm.solvers.newton` for a stack of problems: each takes the steps that it would take alone.

A product with the Hessian is one for every problem at once. Conjugate gradients end at different times: problems whose
iteration has ended wait until enough of them do, step together, and begin the next one beside those that go on. What
has converged leaves the stack. Sums are made in another order than alone, so that paths agree up to rounding.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch

from ..solvers.newton import FORCING, GOOD, LOST, NOISE, POOR, REACHED, TAKEN, Step, most_products
from .stack import Stack, StackJet, dot, norms

WAITING = 0.4  # of the problems wait for the others before they step


class Descents(NamedTuple):
    """Where B descents ended: x (B, size), and the accepted iterates of each, its start first."""

    x: torch.Tensor
    histories: list[list[Step]]


@dataclass
class Steihaug:
    """Truncated conjugate gradients of B problems in their trust regions.

    p, residual, direction (B, size); square |residual|^2, decrease as predicted, tolerance and radius (B,);
    spent (B,) products of this iteration, products (B,) of all so far; going (B,) whether the iteration goes on.
    """

    p: torch.Tensor
    residual: torch.Tensor
    direction: torch.Tensor
    square: torch.Tensor
    decrease: torch.Tensor
    tolerance: torch.Tensor
    radius: torch.Tensor
    spent: torch.Tensor
    products: torch.Tensor
    going: torch.Tensor

    @classmethod
    def idle(cls, x: torch.Tensor, radius: torch.Tensor) -> "Steihaug":
        """Iterations that are still to be begun."""
        count = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        p, residual, direction = x.new_zeros(3, *x.shape)
        square, decrease, tolerance = x.new_zeros(3, len(x))
        return cls(p, residual, direction, square, decrease, tolerance, radius, count, count.clone(), count > 0)

    def keep(self, kept: torch.Tensor) -> None:
        """Leave the others out."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[kept])

    def begin(self, jet: StackJet) -> None:
        """Begin anew where the iteration has ended."""
        old, g = self.going, jet.gradient
        rows = old[:, None]
        self.p, self.residual = torch.where(rows, self.p, 0.0), torch.where(rows, self.residual, g)
        self.direction = torch.where(rows, self.direction, -g)
        self.square, self.decrease = torch.where(old, self.square, dot(g, g)), torch.where(old, self.decrease, 0.0)
        forcing = jet.relative_gradient.sqrt().clamp_max(FORCING)
        self.tolerance = torch.where(old, self.tolerance, forcing * jet.size)
        self.spent, self.going = torch.where(old, self.spent, 0), torch.ones_like(old)

    def advance(self, jet: StackJet) -> None:
        """One product. Those that have ended stay: their direction is 0."""
        image = jet.hvp(self.direction)
        curvature = dot(self.direction, image)
        length = torch.where(curvature > 0, self.square / curvature, torch.inf)
        a, b, c = (dot(x, y) for x, y in ((self.direction, self.direction), (self.p, self.direction), (self.p, self.p)))
        reach = _reach(a, b, c - self.radius**2)
        leaves = length >= reach
        length = torch.where(self.going, torch.where(leaves, reach, length), 0.0)
        self.decrease = self.decrease + length * self.square - length.square() * curvature / 2
        self.p.addcmul_(self.direction, length[:, None])
        self.residual.addcmul_(image, length[:, None])
        previous, self.square = self.square, dot(self.residual, self.residual)
        self.spent, self.products = self.spent + self.going, self.products + self.going
        self.going = self.going & ~leaves & (self.square.sqrt() > self.tolerance)
        self.going &= self.spent < most_products(jet.stack.size)
        self.direction.mul_((self.square / previous)[:, None]).sub_(self.residual).mul_(self.going[:, None])


def descend(f: Stack, x: torch.Tensor, *, tol: float, max_iterations: int) -> Descents:
    """`ufm.solvers.newton.trust_region_newton` from every row of x (B, size), to its end."""
    ended = x.clone()
    histories: list[list[Step]] = [[] for _ in x]
    places = torch.arange(len(x), device=x.device)
    trials, inner = torch.zeros_like(places), Steihaug.idle(x, f.lengths(x).clamp_min(1.0))
    jet = f.jet(x)
    _record(histories, places, jet, inner.products)
    over = _at_rest(jet, tol)
    while not bool(over.all()):
        if bool(over.any()):
            kept = ~over
            f, x, places, trials = f.take(kept), x[kept], places[kept], trials[kept]
            inner.keep(kept)
        jet = f.jet(x)
        inner.begin(jet)
        while int(inner.going.sum()) > (1 - WAITING) * len(x):
            inner.advance(jet)
        waiting = (~inner.going).nonzero()[:, 0]
        trial, taken = _step(jet, inner, waiting)
        trials[waiting] += 1
        there, x = waiting[taken], x.clone()
        x[there] = ended[places[there]] = trial.x[taken]
        over = trials >= max_iterations
        lost = inner.radius[waiting] < LOST * (1 + f.take(waiting).lengths(x[waiting]))
        over[waiting] |= torch.where(taken, _at_rest(trial, tol), lost)
        _record(histories, places[there], trial, inner.products[waiting], taken)
    return Descents(ended, histories)


def _step(jet: StackJet, inner: Steihaug, waiting: torch.Tensor) -> tuple[StackJet, torch.Tensor]:
    """(the jet where the steps of those that wait lead, whether each of them is taken); their radii are set anew."""
    step, radius = inner.p[waiting], inner.radius[waiting]
    trial, length = jet.stack.take(waiting).jet(jet.x[waiting] + step), norms(step)
    value, decrease = jet.value[waiting], inner.decrease[waiting]
    noise = NOISE * torch.finfo(value.dtype).eps * value.abs()
    smaller = (trial.size < jet.size[waiting]).to(value.dtype)
    ratio = torch.where(decrease > noise, (value - trial.value) / decrease, smaller)
    wider = torch.where((ratio > GOOD) & (length > REACHED * radius), 2 * radius, radius)
    inner.radius[waiting] = torch.where(ratio < POOR, POOR * length, wider)
    return trial, ratio > TAKEN


def _at_rest(jet: StackJet, tol: float) -> torch.Tensor:
    return (jet.relative_gradient <= tol) | (jet.size == 0)


def _record(
    histories: list[list[Step]],
    places: torch.Tensor,
    jet: StackJet,
    products: torch.Tensor,
    taken: torch.Tensor | slice = slice(None),
) -> None:
    seen = (jet.value[taken], jet.relative_gradient[taken], products[taken])
    for place, *step in zip(places.tolist(), *(part.tolist() for part in seen), strict=True):
        histories[place].append(Step(*step))


def _reach(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """(B,) the positive root of a t^2 + 2 b t + c, for c <= 0: how far it is to the sphere."""
    return (-b + (b * b - a * c).clamp_min(0).sqrt()) / a
