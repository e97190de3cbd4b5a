"""Where the gradient flow goes from a saddle, along each of its negative directions, both ways.

The flow keeps every symmetry of its start, so that a symmetric move from a saddle can end at another saddle. The
moves are the negative eigenvectors of the Hessian in one dimension more than the saddle's rank (f is the same in every
further one), and in the space of a repeated eigenvalue also the projections of moves of single classes.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..problem import Problem
from ..solvers.sharpen import at_rest
from .family import Family
from .symmetry import MATCH, same_point, transversals

KICK = 1e-3  # how far from the saddle the flow starts, relative to |x|, or to the natural length where x = 0
NEAR = 1e-6  # a gradient below this, relative to sqrt(2 (lW + lH) (f - floor)), ends the flow
STUCK = 1e9  # I/h above this (no eigenvalue of the Hessian comes near) moves nothing: the flow is given up


@dataclass(frozen=True, eq=False)
class FlowLines:
    """The flow from one critical point x (size,) of the family of its rank, where features have up to `dim` dimensions;
    place is where it stands in a list of its owner's.

    `run` gives the family of the ends, the eigenvalue of each flow's first direction (m,), and the ends (m, size),
    at rest; m = 0 at a local minimiser. NaN marks a flow that did not come to rest. Flows that a symmetry of x takes to
    each other are followed once: they have the same end, up to symmetry.
    """

    problem: Problem
    rank: int
    x: torch.Tensor
    dim: int
    place: int

    def run(self) -> tuple[Family, torch.Tensor, torch.Tensor]:
        family = Family(self.problem, min(self.dim, self.rank + 1))
        x = _widened(Family(self.problem, self.rank), self.x, family)
        values, directions = _negative_directions(family, x)
        if not len(values):
            return family, values, directions
        size = float(x.norm()) or (2 * self.problem.num_classes * self.problem.ridge) ** 0.5
        moves = size * torch.cat([directions, -directions])
        kinds = alike(family, x, moves)
        first = sorted(set(kinds))
        kept = _side_by_side([fixed_space(family, x + 0.3 * move) for move in moves[first]])
        ends = flow(family, x + KICK * moves[first], kept, 3 * KICK * size)
        rests = [at_rest(family.landscape, end) if bool(end.isfinite().all()) else None for end in ends]
        nowhere = torch.full_like(x, torch.nan)
        found = torch.stack([nowhere if y is None else y for y in rests])
        return family, torch.cat([values, values]), found[[first.index(kind) for kind in kinds]]


def _widened(narrow: Family, x: torch.Tensor, wide: Family) -> torch.Tensor:
    """The point with zero columns added."""
    W, scaled, b = narrow.landscape.split(x)
    pad = (0, wide.rank - narrow.rank)
    return wide.landscape.join(torch.nn.functional.pad(W, pad), torch.nn.functional.pad(scaled, pad), b)


def _negative_directions(family: Family, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(eigenvalues (m,), unit directions (m, size)) of negative curvature."""
    values, vectors = torch.linalg.eigh(family.expand(x[None]).hessian[0])
    negative = values < -1e-9 * values.abs().max()
    values, vectors = values[negative], vectors[:, negative]
    if not len(values):
        return values, vectors.T
    gaps = values.diff() > 1e-7 * values.abs().max()
    spaces = torch.nn.functional.pad(gaps.long().cumsum(0), (1, 0))
    found_values, found = [values], [vectors.T]
    for space in range(int(spaces[-1]) + 1):
        U = vectors[:, spaces == space]
        if U.shape[1] > 1:
            moves = U @ U[: family.problem.num_classes * family.rank].T
            moves = moves[:, moves.norm(dim=0) > 0.1]
            found.append((moves / moves.norm(dim=0)).T)
            found_values.append(values[spaces == space].mean().expand(moves.shape[1]))
    return torch.cat(found_values), torch.cat(found)


def alike(family: Family, x: torch.Tensor, moves: torch.Tensor) -> list[int]:
    """For each of the moves (m, size) from x the place of the first one that a symmetry of x turns into it.

    A permutation of the classes does so, with some rotation, exactly when it keeps the inner products of all rows of W
    and H~ and of their changes, and b and its change.
    """
    W, scaled, b = family.landscape.split(torch.stack([x.expand_as(moves), moves / moves.norm(dim=1, keepdim=True)], 1))
    if scaled.shape != W.shape:
        return list(range(len(moves)))
    rows = torch.cat([W, scaled], 1)
    products = torch.einsum("miac,mjbc->mabij", rows, rows).flatten(3)
    biases = b.expand(*W.shape[:3])[:, :, None].expand(-1, -1, W.shape[2], -1)
    invariants = torch.cat([products, biases.permute(0, 2, 3, 1)], 3).numpy()
    profiles = np.sort(invariants.reshape(len(moves), -1, invariants.shape[3]), 1)
    tol = MATCH * (1 + np.abs(profiles).max())
    found: list[int] = []
    for i, profile in enumerate(profiles):
        near = [j for j in sorted(set(found)) if np.abs(profiles[j] - profile).max() <= tol]
        same = (j for j in near if same_point(invariants[j], invariants[i], family.problem.kinds))
        found.append(next(same, i))
    return found


def symmetrizer(family: Family, x: torch.Tensor) -> torch.Tensor:
    """(size, size): the projection to the points that keep every symmetry (permutation, rotation) of x.

    They have the row space of x's W too: in it, and on nothing else, the rotation is determined.
    """
    W, scaled, b = family.landscape.split(x)
    (K, r), inverse = W.shape, torch.linalg.pinv(W, rtol=1e-7)
    if len(scaled) != K:
        parts = [torch.kron(torch.eye(n, dtype=x.dtype, device=x.device), inverse @ W) for n in (K, len(scaled))]
        return torch.block_diag(*parts, *[torch.eye(K, dtype=x.dtype, device=x.device)] * family.problem.bias)
    grams = torch.stack([W @ W.T, scaled @ W.T, scaled @ scaled.T, b.expand(K, K)], 2).numpy()
    unit = torch.eye(K, dtype=x.dtype, device=x.device)
    wide, narrow = torch.eye(K * r, dtype=x.dtype, device=x.device), unit
    # The mean over a group is the product of the means over the transversals of its chain.
    for moves in transversals(grams, family.problem.kinds):
        back = [unit[list(p)].T.contiguous() for p in moves]
        turned = [torch.kron(P, (inverse @ P.T @ W).T.contiguous()) for P in back]
        wide, narrow = wide @ torch.stack(turned).mean(0), narrow @ torch.stack(back).mean(0)
    return torch.block_diag(*[wide, wide, narrow][: 2 + family.problem.bias])


def fixed_space(family: Family, x: torch.Tensor) -> torch.Tensor:
    """(size, m) orthonormal: the points that keep every symmetry of x."""
    values, vectors = torch.linalg.eigh(symmetrizer(family, x))
    return vectors[:, values > 0.5]


def _side_by_side(bases: list[torch.Tensor]) -> torch.Tensor:
    """(B, size, m): bases (size, .) with columns of zeros added up to the largest number m."""
    most = max(basis.shape[1] for basis in bases)
    return torch.stack([torch.nn.functional.pad(basis, (0, most - basis.shape[1])) for basis in bases])


def flow(family: Family, x: torch.Tensor, kept: torch.Tensor, away: float, steps: int = 3000) -> torch.Tensor:
    """(B, size): where the gradient flow from each row of x comes to rest, by linearly implicit Euler steps.

    (I/h + H) dx = -gradient, with h kept so small that I/2h + H is positive definite, the step short and f lower.
    kept (B, size, m) spans the subspace that the exact flow never leaves (zeros beside an orthonormal basis): the steps
    are taken in it, so that rounding leads nowhere else.
    A flow can rest where the gradient is below NEAR once it has moved by `away`; one that does not is NaN.
    """
    ends, begin, unit = torch.full_like(x, torch.nan), x, 2 * (family.problem.lambda_w + family.problem.lambda_h)
    inverse = x.new_full((len(x),), family.problem.ridge)
    active, left = torch.arange(len(x), device=x.device), torch.zeros_like(inverse, dtype=torch.bool)
    for _ in range(steps):
        value, gradient, hessian = family.expand(x)
        left |= (x - begin).norm(dim=1) > away
        excess = (value - family.problem.floor).clamp_min(0)
        resting = left & (gradient.norm(dim=1) <= NEAR * (unit * excess).sqrt())
        ends[active[resting]] = x[resting]
        going = ~resting & (inverse < STUCK)
        if not going.all():
            active, left, begin, inverse, x, kept = (v[going] for v in (active, left, begin, inverse, x, kept))
            value, gradient, hessian = value[going], gradient[going], hessian[going]
        if not len(active):
            break
        step = _implicit_step((gradient[:, None] @ kept).mT, kept.mT @ (hessian @ kept), inverse)
        step = (kept @ step[..., None])[..., 0]
        good = step.isfinite().all(1) & (step.norm(dim=1) <= 0.1 * (x.norm(dim=1) + 1))
        trial = torch.where(good[:, None], x + step, x)
        good &= family.values(trial) <= value
        x = torch.where(good[:, None], trial, x)
        inverse = inverse * torch.where(good, 0.7, 4.0)
    return ends


def _implicit_step(gradient: torch.Tensor, hessian: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """-(I/h + H)^-1 gradient (B, size); NaN where I/2h + H is not positive definite."""
    half = inverse[:, None] / 2
    hessian.diagonal(dim1=1, dim2=2).add_(half)
    _, failed = torch.linalg.cholesky_ex(hessian)
    hessian.diagonal(dim1=1, dim2=2).add_(half)
    factor, _ = torch.linalg.cholesky_ex(hessian)
    step = -torch.cholesky_solve(gradient, factor)[..., 0]
    return torch.where((failed == 0)[:, None], step, torch.nan)
