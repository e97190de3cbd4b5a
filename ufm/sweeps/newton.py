"""`ufm.solvers.newton` for a stack of problems: each takes the steps that it would take alone.

A product with the Hessian is one for every problem at once. Conjugate gradients end at different times: problems whose
iteration has ended wait until enough of them do, step together, and begin the next one beside those that go on. What
has converged leaves the stack. Sums are made in another order than alone, so that paths agree up to rounding.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch

from ..solvers.newton import EXACT, FORCING, GOOD, LOST, NOISE, POOR, REACHED, TAKEN, Step, most_products
from .stack import Stack, StackJet, dot, norms

WAITING = 0.5  # of the problems wait for the others before they step


class Descents(NamedTuple):
    """Where B descents ended: x (B, size), and the accepted iterates of each, its start first."""

    x: torch.Tensor
    histories: list[list[Step]]


class Seen(NamedTuple):
    """A step of the problems at some places: which of them took it, and each one's `Step` there; (B,) numbers."""

    places: torch.Tensor
    taken: torch.Tensor
    value: torch.Tensor
    relative_grad_norm: torch.Tensor
    products: torch.Tensor


@dataclass
class Steihaug:
    """Truncated conjugate gradients of B problems in their trust regions.

    p, descent (less the residual) and direction (B, size); square |descent|^2, pd <p, direction>, dd |direction|^2,
    room radius^2 - |p|^2, least (where square ends the iteration) and radius (B,); products (B,) of all iterations so
    far, and the most there may be at the end of this one; going (B,) whether the iteration goes on.
    """

    p: torch.Tensor
    descent: torch.Tensor
    direction: torch.Tensor
    square: torch.Tensor
    pd: torch.Tensor
    dd: torch.Tensor
    room: torch.Tensor
    least: torch.Tensor
    radius: torch.Tensor
    products: torch.Tensor
    most: torch.Tensor
    going: torch.Tensor

    @classmethod
    def idle(cls, x: torch.Tensor, radius: torch.Tensor) -> "Steihaug":
        """Iterations that are still to be begun."""
        p, descent, direction = x.new_zeros(3, *x.shape)
        square, pd, dd, room, least = x.new_ones(5, len(x))
        count = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return cls(p, descent, direction, square, pd, dd, room, least, radius, count, count, count > 0)

    def keep(self, kept: torch.Tensor) -> None:
        """Leave the others out."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[kept])

    def begin(self, jet: StackJet, new: torch.Tensor) -> None:
        """Begin anew at these places, a mask."""
        rows, down, square, relative = new[:, None], -jet.gradient, jet.size.square(), _relative(jet)
        forcing = torch.maximum(relative.sqrt(), EXACT / relative).clamp_max_(FORCING)
        self.p.masked_fill_(rows, 0)
        self.descent = torch.where(rows, down, self.descent)
        self.direction = torch.where(rows, down, self.direction)
        self.square = torch.where(new, square, self.square)
        self.pd.masked_fill_(new, 0)
        self.dd = torch.where(new, square, self.dd)
        self.room = torch.where(new, self.radius.square(), self.room)
        self.least = torch.where(new, forcing.square_().mul_(square), self.least)
        self.most = torch.where(new, self.products + most_products(jet.stack.sizes), self.most)
        self.going = self.going | new

    def advance(self, jet: StackJet) -> None:
        """One product. Those that have ended stay."""
        image = jet.hvp(self.direction)
        # One over the lengths to the model's minimum and to the sphere: the way ends where the larger one says.
        bend = dot(self.direction, image) / self.square
        wall = self.pd.square().addcmul_(self.dd, self.room).sqrt_().add_(self.pd).div_(self.room)
        length = torch.where(self.going, torch.maximum(bend, wall).reciprocal_(), 0.0)
        self.p.addcmul_(self.direction, length[:, None])
        self.descent.addcmul_(image, length[:, None], value=-1)
        previous, self.square = self.square, dot(self.descent, self.descent)
        self.products = self.products + self.going
        inside = (bend > wall).logical_and_(self.square > self.least).logical_and_(self.products < self.most)
        self.going = inside.logical_and_(self.going)
        ratio = torch.where(self.going, self.square / previous, 0.0)
        beyond = torch.addcmul(self.pd, length, self.dd)
        self.room.addcmul_(length, self.pd.add_(beyond), value=-1).clamp_min_(0)
        self.pd = beyond.mul_(ratio)
        self.dd = torch.addcmul(self.square, ratio.square(), self.dd)
        torch.addcmul(self.descent, self.direction, ratio[:, None], out=self.direction)


def descend(f: Stack, x: torch.Tensor, *, tol: float, max_iterations: int) -> Descents:
    """`ufm.solvers.newton.trust_region_newton` from every row of x (B, size), to its end."""
    jet, inner = f.jet(x), Steihaug.idle(x, f.lengths(x).clamp_min(1.0))
    ended, places = x.clone(), torch.arange(len(x), device=x.device)
    trials, over = torch.zeros_like(places), _at_rest(jet, tol)
    seen = [Seen(places, torch.ones_like(over), jet.value, _relative(jet), inner.products)]
    while left := int((~over).count_nonzero()):
        inner.begin(jet, ~(inner.going | over))
        while int(inner.going.count_nonzero()) > (1 - WAITING) * left:
            inner.advance(jet)
        if left < len(over):
            kept = (~over).nonzero()[:, 0]
            ended[places] = jet.x
            jet, places, trials = jet.take(kept), places[kept], trials[kept]
            inner.keep(kept)
        trial, taken = _step(jet, inner)
        refused = ~(inner.going | taken)
        jet = jet.mixed(trial, taken) if bool(refused.any()) else trial
        trials = trials + ~inner.going
        lost = refused & (inner.radius < LOST * (1 + f.lengths(jet.x)))
        over = _at_rest(jet, tol) | lost | (trials >= max_iterations)
        seen.append(Seen(places, taken, jet.value, _relative(jet), inner.products))
    ended[places] = jet.x
    return Descents(ended, _histories(seen))


def _step(jet: StackJet, inner: Steihaug) -> tuple[StackJet, torch.Tensor]:
    """(the jet where the steps of those that wait lead, the others staying; which take theirs); radii are set anew."""
    going, radius = inner.going, inner.radius
    step = inner.p.masked_fill(going[:, None], 0)
    trial, length, value = jet.stack.jet(jet.x + step), norms(step), jet.value
    decrease = dot(inner.descent - jet.gradient, step) / 2
    noise = NOISE * torch.finfo(value.dtype).eps * value.abs()
    smaller = (trial.size < jet.size).to(value.dtype)
    ratio = torch.where(decrease > noise, (value - trial.value) / decrease, smaller)
    wider = torch.where((ratio > GOOD) & (length > REACHED * radius), 2 * radius, radius)
    inner.radius = torch.where(going, radius, torch.where(ratio < POOR, POOR * length, wider))
    return trial, ~going & (ratio > TAKEN)


def _at_rest(jet: StackJet, tol: float) -> torch.Tensor:
    return (_relative(jet) <= tol) | (jet.size == 0)


def _relative(jet: StackJet) -> torch.Tensor:
    """(B,) the relative gradients, in the coordinates of `Stack.even`."""
    return jet.size / jet.unit


def _histories(seen: list[Seen]) -> list[list[Step]]:
    """The iterates of each problem, in order."""
    every = Seen(*(torch.cat(part) for part in zip(*seen, strict=True)))
    taken = every.taken.nonzero()[:, 0]
    order = taken[every.places[taken].argsort(stable=True)]
    steps = list(map(Step, *(part[order].tolist() for part in every[2:])))
    ends = every.places[taken].bincount().cumsum(0).tolist()
    return [steps[start:end] for start, end in zip([0, *ends], ends, strict=False)]
