"""Levenberg-Marquardt for square systems, many starts at once (More 1978; damping after Nielsen 1999), and deflation.

Critical points of any index are zeros of the gradient; |gradient|^2 is minimised from every start, each with its own
damping. Deflation (Farrell, Birkisson and Funke 2015) multiplies the gradient by a factor that is infinite at the
points already known, so that no start ends at one of them again.
"""

from collections.abc import Callable

import torch

from .family import Family
from .subspaces import Subspace

Space = Family | Subspace
System = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


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

    system   x (B, m) -> F (B, m), its Jacobian (B, m, m)
    damping  mu in (J^T J + mu I) s = -J^T F at the start
    patience a start that does not halve |F| in so many iterations creeps along a valley, and is given up; None: none is

    Steps longer than 1 + |x| are not taken: they end where the loss is saturated, and its gradient constant.
    """
    x, (F, J) = x.clone(), system(x)
    norms = F.norm(dim=1)
    mu, growth = torch.full_like(norms, damping), torch.full_like(norms, 2.0)
    active = (norms > tol).nonzero()[:, 0]
    F, J, before = F[active], J[active], norms.clone()
    for i in range(iterations):
        if not len(active):
            break
        step, decrease = _step(F, J, mu[active])
        trial_F, trial_J = system(x[active] + step)
        old, new = norms[active].square(), trial_F.square().sum(1)
        ratio = (old - new) / decrease.clamp_min(1e-300)
        good = (ratio > 1e-4) & torch.isfinite(new) & (step.norm(dim=1) <= 1 + x[active].norm(dim=1))
        easier = mu[active] * (1 - (2 * ratio - 1) ** 3).clamp(0.1, 2)
        mu[active] = torch.where(good, easier, mu[active] * growth[active]).clamp_min(1e-30)
        growth[active] = torch.where(good, 2.0, 2 * growth[active])
        F, J = torch.where(good[:, None], trial_F, F), torch.where(good[:, None, None], trial_J, J)
        x[active] = torch.where(good[:, None], x[active] + step, x[active])
        norms[active] = F.norm(dim=1)
        going = (norms[active] > tol) & (growth[active] < 1e12)
        if patience and (i + 1) % patience == 0:
            going &= norms[active] <= before[active] / 2
            before = norms.clone()
        active, F, J = active[going], F[going], J[going]
    return x, norms


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
        F, J = system(x[active])
        values, vectors = torch.linalg.eigh(J)
        step = (vectors @ ((vectors.mT @ F[..., None]) / values[..., None]))[..., 0]
        good = step.norm(dim=1) <= 0.1 * x[active].norm(dim=1)
        x[active[good]] -= step[good]
        norms[active] = torch.where(good, system(x[active])[0].norm(dim=1), torch.inf)
    return x, norms


def _step(F: torch.Tensor, J: torch.Tensor, mu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the damped Gauss-Newton step, the decrease of |F|^2 that the linear model predicts)."""
    normal = J.mT @ J
    normal.diagonal(dim1=1, dim2=2).add_(mu[:, None])
    slope = (J.mT @ F[..., None])[..., 0]
    factor, _ = torch.linalg.cholesky_ex(normal)
    step = -torch.cholesky_solve(slope[..., None], factor)[..., 0]
    step = torch.where(torch.isfinite(step).all(1, keepdim=True), step, -slope / mu[:, None].clamp_min(1e-12))
    return step, -(step * slope).sum(1) + mu * step.square().sum(1)


def gradient_system(space: Space, known: torch.Tensor | None = None) -> System:
    """The gradient of f in a family or a subspace of it, with its Hessian; deflated at logits `known` (M, T, K)."""

    def system(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, g, H = space.expand(y)
        if known is not None and len(known):
            factor, slope = deflation(space.family, space.lift(y), known)
            H = H + g[:, :, None] * space.restrict(slope)[:, None, :]
            g, H = factor[:, None] * g, factor[:, None, None] * H
        return g, H

    return system


def deflation(family: Family, x: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(factor (B,), gradient of its logarithm (B, size)): prod_i (1 + 1/u_i), u_i = |logits(x) - known_i|^2."""
    away = family.logits(x)[:, None] - known
    u = away.square().sum((2, 3)).clamp_min(1e-30)
    weights = -2 / (u * (1 + u))
    return (1 + 1 / u).log().sum(1).exp(), family.pull(x, (weights[..., None, None] * away).sum(1))
