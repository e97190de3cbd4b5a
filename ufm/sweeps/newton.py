"""`ufm.solvers.newton` for a stack of problems: each takes the steps that it would take alone.

A product with the Hessian is one for every problem at once. Conjugate gradients end at different times: problems whose
iteration has ended wait until enough of them do, step together, and begin the next one beside those that go on. What
has converged leaves the stack. Values and gradients are computed where a step leads, and nowhere twice. Sums are made
in another order than alone, so that paths agree up to rounding.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch

from ..solvers.newton import EXACT, FORCING, GOOD, LOST, NOISE, POOR, REACHED, TAKEN, Step, most_products
from .stack import Stack, StackJet, dot, norms

WAITING = 0.4  # of the problems wait for the others before they step


class Descents(NamedTuple):
    """Where B descents ended: x (B, size), and the accepted iterates of each, its start first."""

    x: torch.Tensor
    histories: list[list[Step]]


class Seen(NamedTuple):
    """Iterates of the problems at some places, each a `Step`: (B,) numbers."""

    places: torch.Tensor
    value: torch.Tensor
    relative_grad_norm: torch.Tensor
    products: torch.Tensor


@dataclass
class Steihaug:
    """Truncated conjugate gradients of B problems in their trust regions.

    p, residual, direction (B, size); square |residual|^2, pp |p|^2, pd <p, direction>, dd |direction|^2, decrease as
    predicted, tolerance and radius (B,); spent (B,) products of this iteration, products (B,) of all so far;
    going (B,) whether the iteration goes on.
    """

    p: torch.Tensor
    residual: torch.Tensor
    direction: torch.Tensor
    square: torch.Tensor
    pp: torch.Tensor
    pd: torch.Tensor
    dd: torch.Tensor
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
        square, pp, pd, dd, decrease, tolerance = x.new_zeros(6, len(x))
        numbers = square, pp, pd, dd, decrease, tolerance, radius
        return cls(p, residual, direction, *numbers, count, count.clone(), count > 0)

    def keep(self, kept: torch.Tensor) -> None:
        """Leave the others out."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[kept])

    def begin(self, jet: StackJet) -> None:
        """Begin anew where the iteration has ended."""
        new = (~self.going).nonzero()[:, 0]
        g = jet.gradient[new]
        self.residual[new], self.direction[new] = g, -g
        self.square[new] = self.dd[new] = dot(g, g)
        for start in (self.p, self.pp, self.pd, self.decrease, self.spent):
            start[new] = 0
        relative = jet.relative_gradient[new]
        forcing = torch.maximum(relative.sqrt(), EXACT / relative).clamp_max(FORCING)
        self.tolerance[new], self.going = forcing * jet.size[new], torch.ones_like(self.going)

    def advance(self, jet: StackJet) -> None:
        """One product. Those that have ended stay."""
        image = jet.hvp(self.direction)
        curvature = dot(self.direction, image)
        length = torch.where(curvature > 0, self.square / curvature, torch.inf)
        reach = _reach(self.dd, self.pd, self.pp - self.radius.square())
        going = self.going & (length < reach)
        length = torch.where(self.going, torch.minimum(length, reach), 0.0)
        self.decrease += length * (self.square - length * curvature / 2)
        self.p.addcmul_(self.direction, length[:, None])
        self.residual.addcmul_(image, length[:, None])
        previous, self.square = self.square, dot(self.residual, self.residual)
        self.spent += self.going
        self.products += self.going
        self.going = going & (self.square.sqrt() > self.tolerance) & (self.spent < most_products(jet.stack.size))
        ratio, beyond = torch.where(self.going, self.square / previous, 0.0), self.pd + length * self.dd
        self.pp += length * (self.pd + beyond)
        self.pd, self.dd = ratio * beyond, self.square + ratio.square() * self.dd
        self.direction.mul_(ratio[:, None]).sub_(self.residual)


def descend(f: Stack, x: torch.Tensor, *, tol: float, max_iterations: int) -> Descents:
    """`ufm.solvers.newton.trust_region_newton` from every row of x (B, size), to its end."""
    ended = x.clone()
    places = torch.arange(len(x), device=x.device)
    trials, inner = torch.zeros_like(places), Steihaug.idle(x, f.lengths(x).clamp_min(1.0))
    jet = f.jet(x)
    seen = [Seen(places, jet.value, jet.relative_gradient, inner.products.clone())]
    over = _at_rest(jet, tol)
    while not bool(over.all()):
        if bool(over.any()):
            kept = (~over).nonzero()[:, 0]
            jet, places, trials = jet.take(kept), places[kept], trials[kept]
            inner.keep(kept)
        inner.begin(jet)
        while int(inner.going.sum()) > (1 - WAITING) * len(places):
            inner.advance(jet)
        waiting = (~inner.going).nonzero()[:, 0]
        trial, taken = _step(jet, inner, waiting)
        trials[waiting] += 1
        there = waiting[taken]
        jet = jet.put(there, trial, taken)
        ended[places[there]] = jet.x[there]
        seen.append(Seen(places[there], jet.value[there], jet.relative_gradient[there], inner.products[there]))
        over = trials >= max_iterations
        lost = inner.radius[waiting] < LOST * (1 + jet.stack.lengths(jet.x)[waiting])
        over[waiting] |= torch.where(taken, _at_rest(trial, tol), lost)
    return Descents(ended, _histories(seen))


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


def _histories(seen: list[Seen]) -> list[list[Step]]:
    """The iterates of each problem, in order."""
    every = Seen(*(torch.cat(part) for part in zip(*seen, strict=True)))
    order = every.places.argsort(stable=True)
    steps = list(map(Step, *(part[order].tolist() for part in every[1:])))
    ends = every.places.bincount().cumsum(0).tolist()
    return [steps[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _reach(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """(B,) the positive root of a t^2 + 2 b t + c, for c <= 0: how far it is to the sphere."""
    return (-b + (b * b - a * c).clamp_min(0).sqrt()) / a
