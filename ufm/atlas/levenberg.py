"""Levenberg-Marquardt for square systems, many starts at once (More 1978; damping after Nielsen 1999), and deflation.

Critical points of any index are zeros of the gradient; |gradient|^2 is minimised from every start, each with its own
damping. Deflation (Farrell, Birkisson and Funke 2015) multiplies the gradient by a factor that is infinite at the
points already known, so that no start ends at one of them again.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from .family import Family
from .subspaces import Subspace

Space = Family | Subspace
CACHED = 2**19  # numbers in the Jacobians of the starts that are under way at a time: about what a cache holds
FEWEST = 8  # starts under way at a time, however large: for fewer the calls would take longer than the sums
STEEP = 1e12  # the growth of the damping at which a start has nowhere to go


class System(NamedTuple):
    """F, and F with its Jacobian: x (B, m) -> F (B, m), and x -> F, J (B, m, m)."""

    values: Callable[[torch.Tensor], torch.Tensor]
    expand: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class _Way(NamedTuple):
    """The starts under way, a row each: their places, x, |F| there, J^T J and J^T F; the damping and how fast it grows,
    how many iterations they had, and what |F| was when patience was last asked for."""

    place: torch.Tensor
    x: torch.Tensor
    norms: torch.Tensor
    normal: torch.Tensor
    slope: torch.Tensor
    mu: torch.Tensor
    growth: torch.Tensor
    had: torch.Tensor
    before: torch.Tensor

    def rows(self, chosen: torch.Tensor) -> "_Way":
        return _Way(*(part[chosen] for part in self))

    def going(self, tol: float, iterations: int) -> torch.Tensor:
        """Which of them have neither converged nor had all their iterations, and can still move."""
        return (self.norms > tol) & (self.growth < STEEP) & (self.had < iterations)


def find_zeros(
    system: System,
    x: torch.Tensor,
    *,
    tol: float,
    damping: float,
    iterations: int = 100,
    patience: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(x (B, m), norms (B,)): where each start ended, and |F| there; at most tol where it converged.

    damping  mu in (J^T J + mu I) s = -J^T F at the start
    patience a start that does not halve |F| in so many iterations creeps along a valley, and is given up; None: none is

    Steps longer than 1 + |x| are not taken: they end where the loss is saturated, and its gradient constant. As many
    starts are under way at a time as a cache holds the Jacobians of; as some end, others begin.
    """
    ends, norms = x.clone(), x.new_full((len(x),), torch.inf)
    room = max(FEWEST, CACHED // max(1, x.shape[1] ** 2))
    begun = min(room, len(x))
    way = _begun(system, x, 0, begun, damping)
    while True:
        if begun < len(x) and len(way.place) <= room * 3 // 4:
            end = min(len(x), begun + room - len(way.place))
            fresh = _begun(system, x, begun, end, damping)
            begun, way = end, _Way(*map(torch.cat, zip(way, fresh, strict=True)))
        going = way.going(tol, iterations)
        if patience:
            due = (way.had > 0) & (way.had % patience == 0)
            going &= ~due | (way.norms <= way.before / 2)
            way = way._replace(before=torch.where(due, way.norms, way.before))
        if not going.all():
            over = way.place[~going]
            ends[over], norms[over] = way.x[~going], way.norms[~going]
            way = way.rows(going)
        if len(way.place):
            way = _iterated(system, way)
        elif begun == len(x):
            return ends, norms


def _begun(system: System, x: torch.Tensor, begin: int, end: int, damping: float) -> _Way:
    """The starts x[begin:end] before their first iteration."""
    rows, place = x[begin:end], torch.arange(begin, end, device=x.device)
    norms, normal, slope = _squares(system, rows)
    mu, growth = torch.full_like(norms, damping), torch.full_like(norms, 2.0)
    return _Way(place, rows, norms, normal, slope, mu, growth, torch.zeros_like(place), norms)


def _squares(system: System, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """|F|, J^T J and J^T F."""
    F, J = system.expand(x)
    return F.norm(dim=1), J.mT @ J, (J * F[..., None]).sum(1)


def _iterated(system: System, way: _Way) -> _Way:
    """One iteration of each: the step, and the damping of the next. Only where the step is taken is J asked for."""
    step, decrease = _step(way.normal, way.slope, way.mu)
    x = way.x + step
    new = system.values(x).square().sum(1)
    ratio = (way.norms.square() - new) / decrease.clamp_min(1e-300)
    good = (ratio > 1e-4) & torch.isfinite(new) & (step.norm(dim=1) <= 1 + way.x.norm(dim=1))
    easier = way.mu * (1 - (2 * ratio - 1) ** 3).clamp(0.1, 2)
    mu = torch.where(good, easier, way.mu * way.growth).clamp_min(1e-30)
    growth = torch.where(good, 2.0, 2 * way.growth)
    way = way._replace(mu=mu, growth=growth, had=way.had + 1)
    taken = good.nonzero()[:, 0]
    if not len(taken):
        return way
    changed: tuple[torch.Tensor, ...] = (x[taken], *_squares(system, x[taken]))
    if len(taken) < len(good):
        before = way.x.clone(), way.norms.clone(), way.normal, way.slope
        changed = tuple(old.index_copy_(0, taken, new) for old, new in zip(before, changed, strict=True))
    return way._replace(**dict(zip(("x", "norms", "normal", "slope"), changed, strict=True)))


def polished(
    system: System, x: torch.Tensor, norms: torch.Tensor, tol: float, near: float = 1e-8, iterations: int = 20
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ends x (B, m) of `find_zeros` and their norms, those between tol and `near` sharpened by Newton's method.

    For symmetric Jacobians. Where an eigenvalue is below 1e-8 of the largest the squares of `find_zeros` do not see it:
    its starts creep along a flat valley. One whose step exceeds a tenth of |x| stays where it was.
    """
    x, norms = x.clone(), norms.clone()
    for _ in range(iterations):
        active = ((norms > tol) & (norms <= near)).nonzero()[:, 0]
        if not len(active):
            break
        F, J = system.expand(x[active])
        values, vectors = torch.linalg.eigh(J)
        step = (vectors @ ((vectors.mT @ F[..., None]) / values[..., None]))[..., 0]
        good = step.norm(dim=1) <= 0.1 * x[active].norm(dim=1)
        x[active[good]] -= step[good]
        norms[active] = torch.where(good, system.values(x[active]).norm(dim=1), torch.inf)
    return x, norms


def _step(normal: torch.Tensor, slope: torch.Tensor, mu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the damped Gauss-Newton step, the decrease of |F|^2 that the linear model predicts)."""
    damped = normal.clone()
    damped.diagonal(dim1=1, dim2=2).add_(mu[:, None])
    factor, _ = torch.linalg.cholesky_ex(damped)
    step = -torch.cholesky_solve(slope[..., None], factor)[..., 0]
    step = torch.where(torch.isfinite(step).all(1, keepdim=True), step, -slope / mu[:, None].clamp_min(1e-12))
    return step, -(step * slope).sum(1) + mu * step.square().sum(1)


def gradient_system(space: Space, known: torch.Tensor | None = None) -> System:
    """The gradient of f in a family or a subspace of it, with its Hessian; deflated at logits `known` (M, T, K)."""

    def expand(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, g, H = space.expand(y)
        return g, H

    if known is None or not len(known):
        return System(space.gradient, expand)

    def deflated(y: torch.Tensor) -> torch.Tensor:
        return deflation(space.family, space.lift(y), known)[0][:, None] * space.gradient(y)

    def expand_deflated(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (g, H), (factor, slope) = expand(y), deflation(space.family, space.lift(y), known)
        H.baddbmm_(g[:, :, None], space.restrict(slope)[:, None, :])
        return factor[:, None] * g, H.mul_(factor[:, None, None])

    return System(deflated, expand_deflated)


def deflation(family: Family, x: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(factor (B,), gradient of its logarithm (B, size)): prod_i (1 + 1/u_i), u_i = |logits(x) - known_i|^2."""
    away = family.logits(x)[:, None] - known
    u = away.square().sum((2, 3)).clamp_min(1e-30)
    weights = -2 / (u * (1 + u))
    return (1 + 1 / u).log().sum(1).exp(), family.pull(x, (weights[..., None, None] * away).sum(1))
