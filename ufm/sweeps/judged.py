"""Certificates and spectra of many points at once: what `ufm.certify` and `ufm.spectrum` say of each, by their steps.

One batch has the points of one rank, or a part of them where their Hessians would fill the memory. Each is followed to
the critical point near it, judged by its duality gap, and its reduced Hessian is diagonalised. Minimisers are
what sweeps end in: whatever else a point is, and any that a step here leaves open, is judged alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch

from ..analysis import analysis, spectrum
from ..certificates import GAP, Certificate, certify
from ..certificates.certificate import ROOM, note_on
from ..losses import Loss
from ..losses.own import has_conjugate
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict
from ..solvers.sharpen import CRITICAL, NEAR, RANK, SETTLED, SWEEPS
from ..spectra.blocks import orbit_dimension
from ..spectra.spectrum import BLOCKS, ZERO, Spectrum, listed
from ..spectra.symmetric import symmetric_spectrum
from .stack import Stack, StackJet, norms

MOST = 2**24  # entries of the Hessians that are formed at once: 128 MiB, of which a few are held


class Judged(NamedTuple):
    """What a point is, the spectrum there, complete where a critical point is near, and that one, collapsed.

    point   the class means of the given one where no critical point is near
    """

    certificate: Certificate
    spectrum: Spectrum
    point: Point


def judged(problems: Sequence[Problem], points: Sequence[Point], device: torch.device | str = "cpu") -> list[Judged]:
    """The certificate and the spectrum at a collapsed point of each problem; the problems share what a `Stack` does."""
    found: dict[int, Judged] = {}
    means = [_means(*pair) for pair in zip(problems, points, strict=True)]
    if _fits(problems[0].loss):
        f = Stack.of(problems, max(problem.dim for problem in problems), device)
        jet = f.jet(f.packed(means))
        rows, ranks = _row_spaces(jet)
        ranks = torch.where(jet.relative_gradient <= CRITICAL, ranks, 0)
        for rank in set(ranks.tolist()) - {0}:
            places = (ranks == rank).nonzero()[:, 0]
            size = f.rows * (rank + f.bias)
            for part in places.split(max(1, MOST // size**2)):
                ends = Ends(jet, part, rows[part, :rank].mT)
                judgements = ends.judged([problems[place] for place in part.tolist()])
                found |= {int(part[i]): one for i, one in judgements.items() if one}
    return [found[i] if i in found else judged_alone(problem, means[i]) for i, problem in enumerate(problems)]


def _means(problem: Problem, point: Point) -> Point:
    """The features of a collapsed point's types, one row each: those of each type's first sample."""
    counts = torch.tensor(problem.class_counts, device=point.H.device)
    return replace(point, H=point.H[counts.cumsum(0) - counts])


def _fits(loss: Loss) -> bool:
    """Whether slopes are exact and the dual values of a convex conjugate, as the steps below take them."""
    return loss.convex and has_conjugate(loss) and getattr(loss, "exact_slopes", False)


def judged_alone(problem: Problem, point: Point) -> Judged:
    """The same of one point, by `ufm.certify` and `ufm.spectrum` themselves."""
    certificate, levels = certify(problem, point), spectrum(problem, point)
    return Judged(certificate, levels, problem.class_means(analysis(problem, point).point))


def _row_spaces(jet: StackJet) -> tuple[torch.Tensor, torch.Tensor]:
    """(right singular vectors of W (B, ., d), ranks (B,)), as `ufm.solvers.sharpen.row_space` counts them."""
    _, sizes, rows = torch.linalg.svd(jet.stack.split(jet.x)[0], full_matrices=False)
    unit = (2 * jet.excess / jet.stack.lambdas[:, 0]).sqrt()
    slack = (100 * jet.relative_gradient).clamp(RANK, 1e-5)
    return rows, (sizes > (slack * unit)[:, None]).sum(1)


class Ends:
    """Points of one rank, followed to the critical points near them, and all that is said of these but in words.

    jet     at points of the stack, of which `places` are looked at
    basis   (B, d, rank) orthonormal: the row spaces of their W
    """

    def __init__(self, jet: StackJet, places: torch.Tensor, basis: torch.Tensor):
        self.rank = basis.shape[2]
        self.relative_gradient = jet.relative_gradient[places]
        W, H, b = (part[places] for part in jet.stack.split(jet.x))
        f = self.stack = replace(jet.stack.take(places), dim=self.rank)
        x, rests = at_rest(f.even, f.evened(f.join(W @ basis, H @ basis, b)))
        there = f.jet(f.unevened(x))
        self.sizes = torch.linalg.svdvals(there.G)
        self.value, self.bound = there.value, lower_bounds(there, self.sizes[:, 0])
        self.known = rests & self.bound.isfinite() & (_row_spaces(there)[1] == self.rank)
        closed = (self.value - self.bound).abs() <= GAP * self.value
        self.optimal = closed & (self.sizes[:, 0] <= f.ridge * (1 + ROOM))
        W, H, b = f.split(there.x)
        self.x, self.there, self.parts = x, there, [part.cpu() for part in (W @ basis.mT, H @ basis.mT, b)]

    @cached_property
    def even_levels(self) -> "Levels":
        return Levels(self.stack.even.jet(self.x), self.sizes)

    def judged(self, problems: Sequence[Problem]) -> dict[int, Judged | None]:
        """What is said of each of these points that is critical, if it is a minimiser."""
        points = {i: self._point(i, problems[i].dim) for i in self.known.nonzero()[:, 0].tolist()}
        symmetric = {i: symmetric_spectrum(problems[i], point) for i, point in points.items()}
        others = [i for i, levels in symmetric.items() if levels is None]
        places = torch.tensor(others, dtype=torch.int64, device=self.x.device)
        blocks = Levels(self.there.take(places), self.sizes[places])
        own = {i: blocks.of(problems[i], k) for k, i in enumerate(others)}
        return {i: self._judged(i, problems[i], point, symmetric[i] or own[i]) for i, point in points.items()}

    def _point(self, i: int, dim: int) -> Point:
        W, H, b = (part[i] for part in self.parts)
        return Point(W[:, :dim].clone(), H[:, :dim].clone(), b.clone())

    def _judged(self, i: int, problem: Problem, point: Point, levels: Spectrum) -> Judged | None:
        orbit, sigma_max, optimal = orbit_dimension(problem, self.rank), float(self.sizes[i, 0]), bool(self.optimal[i])
        signs = levels.inertia
        if (signs.index, signs.nullity) != (0, orbit) and problem.stretch != 1:
            # They are read off most sharply where the decays are equal; more zeros than the orbit's may be rounding.
            even = problem.even
            signs = (symmetric_spectrum(even, problem.evened(point)) or self.even_levels.of(even, i)).inertia
        leads_down = signs.index or (self.rank < problem.dim and sigma_max > problem.ridge)
        if not optimal and (leads_down or signs.nullity != orbit):
            return None
        verdict = PointVerdict.GLOBAL_MINIMIZER if optimal else PointVerdict.LOCAL_MINIMIZER
        certificate = Certificate(
            verdict=verdict,
            value=float(self.value[i]),
            relative_grad_norm=float(self.relative_gradient[i]),
            lower_bound=float(self.bound[i]),
            duality_gap=float(self.value[i] - self.bound[i]),
            sigma_max=sigma_max,
            ridge=problem.ridge,
            rank=self.rank,
            lambda_min=levels.min,
            index=signs.index,
            nullity=signs.nullity,
            orbit_dimension=orbit,
            direction=None,
            curvature=None,
            note=note_on(problem, verdict),
        )
        return Judged(certificate, levels, point)


def at_rest(f: Stack, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the critical points next to x, whether each was found): `ufm.solvers.sharpen.at_rest` of a stack."""
    begin, x = x, x.clone()
    found = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    left = torch.arange(len(x), device=x.device)
    free = f.free.flatten().bool()
    for _ in range(SWEEPS):
        jet = f.take(left).jet(x[left])
        rests = jet.size <= jet.rounding
        found[left[rests]] = True
        left = left[~rests]
        if not len(left):
            break
        part = f.take(left)
        jet = part.jet(x[left])
        values, vectors = torch.linalg.eigh(jet.hessian())
        slopes = (vectors.mT @ jet.gradient[:, free, None])[..., 0]
        steps = torch.where(slopes.abs() > jet.rounding[:, None], slopes / values, 0.0)
        before = x[left]
        x[left[:, None], free.nonzero()[:, 0]] -= (vectors @ steps[..., None])[..., 0]
        settled = _distances(part, before, x[left]) <= SETTLED
        near = _distances(part, begin[left], x[left]) <= NEAR
        found[left[near & settled]] = True
        left = left[near & ~settled]
    return x, found & (_distances(f, begin, x) <= NEAR)


def _distances(f: Stack, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(B,) the largest of |dW|/|W|, |dH~|/|H~| and |db|/(1 + |b|)."""
    K, d = f.num_classes, f.dim
    parts = [(slice(0, K), slice(0, d), 0.0), (slice(K, None), slice(0, d), 0.0), (slice(0, K), slice(d, None), 1.0)]
    X, change = f.matrix(x), f.matrix(y - x)
    ratios = [norms(change[:, r, c].flatten(1)) / (one + norms(X[:, r, c].flatten(1))) for r, c, one in parts]
    return torch.stack(ratios).amax(0)


def lower_bounds(jet: StackJet, sigma_max: torch.Tensor) -> torch.Tensor:
    """(B,) `ufm.certificates.lower_bound.dual` of a stack; NaN where the mean slope should vanish and does not."""
    f = jet.stack
    t = (f.ridge / sigma_max).clamp_max(1.0)
    slopes, pull = jet.slopes, torch.zeros_like(t)
    if f.bias:
        shares = (f.counts / f.num_samples[:, None])[:, None]
        total, sizes = torch.bmm(shares, slopes)[:, 0], norms(torch.bmm(shares, slopes.abs())[:, 0])
        decays, size = f.lambdas[:, 2], norms(total)
        slopes = torch.where(decays[:, None, None] > 0, slopes, slopes - total[:, None])
        open_ones = torch.where(size <= 1e-12 * sizes, 0.0, torch.nan)
        pull = torch.where(decays > 0, size.square() / (2 * decays), open_ones)
    values = f.loss.negative_conjugate((t[:, None, None] * slopes).flatten(0, 1), f.types).view_as(f.counts)
    return (f.counts * values).sum(1) / f.num_samples - t.square() * pull


class Levels:
    """The eigenvalues of the blocks of `ufm.spectra.blocks` at critical points of one rank; `of` is a record of them.

    sizes (B, min(K, T))  the singular values of G~
    """

    def __init__(self, jet: StackJet, sizes: torch.Tensor):
        f = self.stack = jet.stack
        K, T, r, (lW, lH, _) = f.num_classes, f.num_types, f.dim, f.lambdas.T[..., None]
        centre, roots = (lW + lH) / 2, (((lW - lH) / 2).square() + sizes.square()).sqrt()
        least = min(K, T)
        within = torch.linalg.eigvalsh(jet.within[..., :r, :r]) + lH[..., None]
        parts = [
            (torch.linalg.eigvalsh(jet.hessian()), "once"),
            (torch.cat([centre - roots, centre + roots, lW.expand(-1, K - least), lH.expand(-1, T - least)], 1), "out"),
            (lH, "rest"),
            (within.flatten(1), "within"),
        ]
        self.values = torch.cat([values for values, _ in parts], 1).cpu()
        self.sizes = {name: values.shape[1] for values, name in parts}

    def of(self, problem: Problem, i: int) -> Spectrum:
        """The spectrum of problem i of the stack."""
        out, rank = problem.dim - self.stack.dim, self.stack.dim
        counts = {"once": 1, "out": out, "rest": out * (problem.num_samples - problem.num_types)}
        alike = torch.cat(
            [torch.full((size,), counts[name], device="cpu") for name, size in self.sizes.items() if name in counts]
        )
        within = torch.tensor(problem.class_counts, device="cpu").sub_(1).repeat_interleave(rank)
        return listed(problem, self.values[i], torch.cat([alike, within]), ZERO, BLOCKS)
