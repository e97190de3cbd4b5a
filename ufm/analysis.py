"""One analysis of a point: what certificates, spectra and proofs need of it, each computed once.

A point is followed to the critical point near it (`ufm.solvers.sharpen`). What is read off there goes one way: class
means and row space, the jet, the residual's singular values, the blocks of the Hessian, the spectrum.
"""

from dataclasses import replace
from functools import cached_property

import torch

from .closed_forms.minimizer import global_minimizer
from .landscape import Jet
from .losses.untied import Untied
from .point import Point
from .problem import Problem
from .solvers.sharpen import CRITICAL, Critical, critical_near, row_space
from .spectra.blocks import Split, reduced_jet
from .spectra.ends import Operator, end_spectrum
from .spectra.spectrum import Spectrum
from .spectra.symmetric import minimizer_spectrum, symmetric_spectrum

SPREAD = 1e-6  # how far features of one type may lie about their mean, relative to all, and count as one


class Analysis:
    """What is known of one point of one problem, in float64. Attributes are computed when they are first asked for.

    relative_gradient  at the given point
    means, rows        its class means, and an orthonormal basis (d, r) of the row space of its W
    critical           whether a critical point is near; if not, `point` is the given one, with its own rows of H
    point, basis       the critical point, collapsed, and the same of it: all else is about this one
    """

    def __init__(self, problem: Problem, point: Point):
        self.problem, point = problem, point.detach().double()
        self.relative_gradient = problem.relative_gradient(point)
        self.means = problem.class_means(point)
        self.rows, _ = row_space(problem, self.means)
        given = Critical(self.means, self.rows)
        near = critical_near(problem, given) if self.relative_gradient <= CRITICAL else None
        self.critical = near is not None
        self.point, self.basis = near or (point, self.rows)

    @cached_property
    def jet(self) -> Jet:
        """f to second order."""
        return self.problem.jet(self.point)

    @property
    def rank(self) -> int:
        """r, the rank of W."""
        return self.basis.shape[1]

    @cached_property
    def residual(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The singular value decomposition (U, sizes, V^T) of G~ (T, K) at a critical point, a row a type."""
        return torch.linalg.svd(self.jet.G)

    @property
    def sigma_max(self) -> float:
        """The largest singular value of G~."""
        return float(self.residual[1][0]) if self.critical else self.jet.sigma_max

    @cached_property
    def blocks(self) -> Split:
        """The blocks of the Hessian at a critical point."""
        return self._split(self.problem, self.point)

    @cached_property
    def even_blocks(self) -> Split:
        """The same in the coordinates of `Problem.even`."""
        return self._split(self.problem.even, self.problem.evened(self.point))

    @cached_property
    def levels(self) -> Spectrum | None:
        """The complete spectrum at a critical point; None where the reduced Hessian is too large to be formed."""
        found = symmetric_spectrum(self.problem, self.point)
        return self.blocks.spectrum() if found is None else found

    @cached_property
    def even_levels(self) -> Spectrum | None:
        """The same in the coordinates of `Problem.even`: the same index and nullity, read off most sharply there."""
        if self.problem.stretch == 1:
            return self.levels
        found = symmetric_spectrum(self.problem.even, self.problem.evened(self.point))
        return self.even_blocks.spectrum() if found is None else found

    def _split(self, problem: Problem, means: Point) -> Split:
        return Split(problem, means.W @ self.basis, reduced_jet(problem, means, self.basis), self.residual[1])


def analysis(problem: Problem, point: Point) -> Analysis:
    """The analysis of a point in a problem. A critical point keeps it, and copies of the tensors that it is about.

    The copies are compared: what changes a tensor in place (numpy behind its back, say) need not tell torch.
    """
    parts = [part for part in (point.W, point.H, point.b, point.labels) if part is not None]
    kept_problem, copies, kept = vars(point).get("_analysis", (None, (), None))
    if kept_problem == problem and len(copies) == len(parts) and all(map(torch.equal, copies, parts)):
        return kept
    found = Analysis(problem, point)
    if found.critical:
        vars(point)["_analysis"] = problem, [part.detach().clone() for part in parts], found
    return found


def untied(problem: Problem, point: Point) -> tuple[Problem, Point]:
    """The same point of a problem in which every sample has a type of its own, where features of one type differ.

    At a critical point they can differ only where the loss is not convex: elsewhere both are returned as they are.
    """
    if problem.loss.convex or len(point.H) != problem.num_samples:
        return problem, point
    types = (problem.labels if point.labels is None else point.labels).to(point.H.device)
    fixed = point.detach()
    spread = float((fixed.H - problem.class_means(fixed).H[types]).norm())
    if spread <= SPREAD * float(fixed.H.norm()):
        return problem, point
    loss = Untied(problem.loss, problem.num_classes, tuple(types.tolist()))
    alone = replace(problem, class_counts=(1,) * problem.num_samples, loss=loss)
    return alone, replace(point, labels=None)


def spectrum(problem: Problem, point: Point | None = None, *, k: int = 6) -> Spectrum:
    """The spectrum of the Hessian of f at a point (any class counts, any d, any rank), in float64.

    point   None stands for the global minimiser in closed form (raises NoClosedForm where none is known). For balanced
            classes and cross-entropy, label smoothing or the squared error it is never formed: any K, n, d in
            milliseconds
    k       how many eigenvalues at each end, where only the ends can be had

    At a critical point, or next to one (`ufm.solvers.sharpen`), it is that one's, complete and exact, equivalent to
    torch.linalg.eigvalsh of the dense (num_variables)^2 Hessian: through the symmetric group at the closed form's
    simplex ETF and the balanced origin, else by the three blocks of `ufm.spectra.blocks`. Where the reduced Hessian is
    too large (more than 3,000 rows), and at points that are not critical, where the blocks say nothing, the result
    holds the two ends alone; `method` and `complete` say so.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> levels = ufm.spectrum(problem, ufm.minimize(problem).point)
    >>> levels.index, levels.nullity, int(levels.multiplicities.sum())
    (0, 2, 21)
    """
    if point is None:
        found = minimizer_spectrum(problem)
        if found is not None:
            return found
        point = global_minimizer(problem)
    problem, point = untied(problem, point)
    seen = analysis(problem, point)
    if not seen.critical:
        f, x = problem.landscape_at(seen.point)
        return end_spectrum(problem, [Operator(f.jet(x).hvp, f.size, x.device)], [], k)
    levels = seen.levels
    if levels is None:
        return seen.blocks.ends(k)
    # What the analysis keeps is its own: a caller may change what it is given.
    return replace(levels, values=levels.values.clone(), multiplicities=levels.multiplicities.clone())
