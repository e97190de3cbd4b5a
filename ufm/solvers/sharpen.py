"""The critical point near a numerical one: Newton's method, to the last digit that rounding leaves.

A small gradient is no critical point: in a flat valley there may be none near. What is near is found in the coordinates
of `Problem.even`, with one feature a class and as many dimensions as W has, where every direction but those of the
orbit counts. A component of the gradient along an eigenvector of the Hessian is followed where it exceeds the rounding
of the sums that it comes from; one that does not says nothing, whatever the eigenvalue.
"""

from dataclasses import replace
from typing import NamedTuple

import torch

from ..landscape import Jet, Landscape
from ..point import Point
from ..problem import Problem

CRITICAL = 1e-7  # a relative gradient above this has no critical point near enough to speak of
DENSE = 3000  # the largest reduced Hessian that is formed
NEAR = 1e-3  # how far the critical point of a point may be, relative to W, to H~ and to 1 + |b|
SETTLED = 1e-9  # a Newton step below this, likewise, leaves an error of its square
TOLD = 1e-3  # how far rounding may move a point, likewise, that is told from others
SWEEPS = 8
RANK = 1e-11  # a singular value of W below this, relative to sqrt(2 (f - floor) / lW), is 0 where the gradient is


class Critical(NamedTuple):
    """A critical point, collapsed, and an orthonormal basis (d, r) of the row space of its W, of rank r."""

    point: Point
    basis: torch.Tensor


def sharpened(problem: Problem, point: Point) -> Point | None:
    """The critical point next to `point`, collapsed, in float64 on its device; None where none is near.

    Where the reduced Hessian is too large to be formed (more than 3,000 rows), the class means of a point whose
    relative gradient is at most 1e-7.
    """
    point = point.double()
    if not problem.relative_gradient(point) <= CRITICAL:
        return None
    means = problem.class_means(point)
    found = critical_near(problem, Critical(means, row_space(problem, means)[0]))
    return None if found is None else found.point


def critical_near(problem: Problem, given: Critical) -> Critical | None:
    """The critical point near a nearly critical one, by Newton's method; None where none is near."""
    means, basis = given
    for _ in range(3):
        f = replace(problem.even.landscape(collapsed=True, device=means.W.device), dim=basis.shape[1])
        if f.size > DENSE:
            return Critical(means, basis)
        even = problem.evened(means)
        x = at_rest(f, f.pack(even.W @ basis, even.H @ basis, even.b))
        if x is None:
            return None
        W, H, b = f.unpack(x)
        means = problem.unevened(Point(W @ basis.T, H @ basis.T, b))
        before, (basis, rank) = basis.shape[1], row_space(problem, means)
        if rank == before:
            return Critical(means, basis)
    return None


def row_space(problem: Problem, point: Point, jet: Jet | None = None) -> tuple[torch.Tensor, int]:
    """(orthonormal basis (d, r) of the row space of W, its rank r); jet is f's at the point, if it is known.

    A singular value counts when it exceeds sqrt(2 (f - floor) / lW), the largest |W| at the point's level, times 1e-11
    or 100 times the relative gradient, which moves a singular value by about as much. (Not times the largest singular
    value: near the collapse threshold W is small.)
    """
    _, sizes, rows = torch.linalg.svd(point.W, full_matrices=False)
    jet = problem.jet(point) if jet is None else jet
    unit = (2 * jet.excess / problem.lambda_w) ** 0.5
    slack = min(1e-5, max(RANK, 100 * jet.relative_gradient))
    rank = int((sizes > slack * unit).sum())
    return rows[:rank].T, rank


def at_rest(f: Landscape, x: torch.Tensor, near: float = NEAR) -> torch.Tensor | None:
    """The critical point of f next to x (size,), by Newton steps along what rounding lets be seen; None without one.

    near    how far it may be, relative to W, to H~ and to 1 + |b|
    """
    begin = x
    for _ in range(SWEEPS):
        jet = f.jet(x)
        noise = rounding(jet, x)
        if float(jet.gradient.norm()) <= noise:
            return x
        values, vectors = torch.linalg.eigh(jet.hessian())
        slopes = vectors.T @ jet.gradient
        step = vectors @ torch.where(slopes.abs() > noise, slopes / values, 0.0)
        x = x - step
        if not _distance(f, begin, x) <= near:
            return None
        if _distance(f, x + step, x) <= SETTLED:
            return x
    return None


def doubt(f: Landscape, x: torch.Tensor, basis: torch.Tensor | None, orbit: int) -> float | None:
    """How far rounding may have moved the critical point next to x (size,), relative to W, to H~ and to 1 + |b|; None
    where it hides which of the places around x is one.

    basis  (size, m) orthonormal: a subspace that some symmetry fixes, in which x lies; None for the whole space
    orbit  the dimension of the set of critical points that symmetries make of one: as many eigenvalues are 0

    Along an eigenvector of eigenvalue l Newton's method can err by e = rounding/|l|. All in all that may move the point
    by 1e-3 of it. The least |l| may change by half at most on the way of 2 e to both sides along the valley's bottom:
    Newton's method converges quadratically from wherever the point may be, and there is no other (Kantorovich 1948).
    """
    jet = f.jet(x)
    values, vectors = _beyond(jet, basis, orbit)
    if not len(values):
        return 0.0
    errors = max(rounding(jet, x), float(jet.gradient.norm())) / values.abs()
    far = _distance(f, x, x + vectors @ errors)
    if not far <= TOLD:
        return None
    along, steep, stiff = vectors[:, 0], vectors[:, 1:], values[1:]
    for side in (-2, 2):
        y = x + side * errors[0] * along
        for _ in range(2):
            y = y - steep @ ((steep.T @ f.jet(y).gradient) / stiff)
        if not abs(float(_beyond(f.jet(y), basis, orbit)[0][0] / values[0]) - 1) <= 0.5:
            return None
    return far


def _beyond(jet: Jet, basis: torch.Tensor | None, orbit: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(eigenvalues of the Hessian in the subspace by size without the `orbit` least, their eigenvectors (size, .))."""
    H = jet.hessian()
    values, vectors = torch.linalg.eigh(H if basis is None else basis.T @ H @ basis)
    kept = values.abs().argsort()[orbit:]
    return values[kept], vectors[:, kept] if basis is None else basis @ vectors[:, kept]


def rounding(jet: Jet, x: torch.Tensor) -> float:
    """A bound on the rounding of the gradient at x: eps (4 + max |z|) times the norm of its terms' absolute values.

    An error of eps |z| in a logit z is one of eps |z| in the slopes, relative to the terms that they are made of.
    """
    f = jet.landscape
    G = f.weighted(jet.terms) / f.num_samples
    W, scaled, b = (part.abs() for part in f.split(x))
    into_W, into_H = G.T @ scaled + f.lambda_w * W, G @ W + f.lambda_h * scaled
    terms = f.join(into_W, into_H, (f.roots * G).sum(0) + f.lambda_b * b)
    largest = float(f.logits(x).abs().max())
    return torch.finfo(x.dtype).eps * (4 + largest) * float(terms.norm())


def _distance(f: Landscape, x: torch.Tensor, y: torch.Tensor) -> float:
    """The largest of |dW|/|W|, |dH~|/|H~| and |db|/(1 + |b|); NaN where one is."""
    changes = torch.stack([(new - old).norm() for old, new in zip(f.split(x), f.split(y), strict=True)])
    sizes = torch.stack([part.norm() for part in f.split(x)])
    sizes[2] += 1
    return float(torch.where(changes > 0, changes / sizes, changes).max())
