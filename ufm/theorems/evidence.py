"""What the theorems are checked on: free minimisations, saddles, spectra, each made once when asked for."""

import math
from dataclasses import replace
from functools import cached_property

import torch

from ..analysis import analysis, spectrum
from ..atlas import Atlas, explore
from ..certificates import Certificate, certify
from ..closed_forms.cross_entropy import collapse_ratio
from ..closed_forms.minimizer import global_minimizer
from ..closed_forms.simplex import simplex_frame
from ..errors import Setting, require
from ..losses import BinaryCrossEntropy
from ..point import Point
from ..problem import Problem
from ..proofs import Proof, prove
from ..solvers.critical import narrow_solution, origin
from ..solvers.minimize import Solution, minimize, random_point, require_memory
from ..spectra import Spectrum
from ..spectra.rates import gradient_descent

NEAR = 1e-10  # a relative gradient that counts as a critical point's, where rounding ends a descent
RANKS = 8  # of which saddles are sought, where there are more
STEPS = (100, 5000)  # of gradient descent, to measure its rate: at least and at most


class Undecided(Exception):
    """What was there to look at decides nothing about a claim; the message says why."""


class Evidence:
    """Points and spectra of one problem, computed on first use and shared by all checks.

    starts  how many random full-size starts are descended from, with all N features free to the end.
    Every attribute can be replaced by assignment, which is how the tests plant errors. What cannot be made (no descent
    converged, no critical point is near) raises Undecided.
    """

    def __init__(self, problem: Problem, seed: int = 0, starts: int = 4, narrow: dict[int, Point | None] | None = None):
        require(starts >= 1, (Setting("starts"), f" must be >= 1, got {starts}"))
        require_memory(problem)
        problem.require_decidable()
        self.problem, self.seed, self.starts = problem, seed, starts
        self.narrow = {} if narrow is None else narrow  # by rank: the critical point that `saddles` pads, at d = rank

    @cached_property
    def solutions(self) -> list[Solution]:
        """Descents from random starts with free features (reduce=False), to where rounding ends them."""
        seeds = range(self.seed, self.seed + self.starts)
        found = [minimize(self.problem, seed=seed, tol=1e-12, reduce=False) for seed in seeds]
        return [replace(s, converged=s.converged or s.relative_grad_norm <= NEAR) for s in found]

    @cached_property
    def ends(self) -> list[Solution]:
        """The descents that converged."""
        found = [solution for solution in self.solutions if solution.converged]
        if not found:
            raise Undecided(f"none of {len(self.solutions)} free descents converged")
        return found

    @cached_property
    def minimizer(self) -> Point:
        """A collapsed minimiser at full precision: the best free solution, averaged and sharpened."""
        seen = analysis(self.problem, min(self.ends, key=lambda solution: solution.value).point)
        if not seen.critical:
            raise Undecided("no critical point is near the best descent's end")
        return seen.point

    @cached_property
    def closed_form(self) -> Point:
        return global_minimizer(self.problem)

    @cached_property
    def origin(self) -> Point:
        return origin(self.problem)

    @cached_property
    def ranks(self) -> list[int]:
        """All ranks above 0 and below the largest one (K - 1 for a shift-invariant loss), or eight of them."""
        most = self.problem.largest_rank - 1
        return sorted({1 + round(i * (most - 1) / (RANKS - 1)) for i in range(RANKS)} if most > 0 else set())

    @cached_property
    def saddles(self) -> dict[int, Point]:
        """Collapsed critical points by rank, of `ranks`, each from the problem with d = rank.

        A rank is missing where that descent ended at a lower one, or did not converge.
        """
        found = {rank: self._narrow(rank) for rank in self.ranks if rank <= self.problem.dim}
        return {rank: point.padded(self.problem.dim) for rank, point in found.items() if point is not None}

    def _narrow(self, rank: int) -> Point | None:
        if rank not in self.narrow:
            flat = replace(self.problem, dim=rank)
            seen = analysis(flat, narrow_solution(flat, rank, seed=self.seed, tol=1e-10).point)
            self.narrow[rank] = seen.point if seen.critical and seen.rank == rank else None
        return self.narrow[rank]

    @cached_property
    def certificates(self) -> dict[int, Certificate]:
        """The certificates of the origin (rank 0) and of the saddles, by rank."""
        points = {0: self.origin} | self.saddles
        return {rank: certify(self.problem, point) for rank, point in points.items()}

    @cached_property
    def judged(self) -> list[Certificate]:
        """The certificates of every critical point at hand."""
        return [certify(self.problem, point) for point in self.critical_points]

    @cached_property
    def critical_points(self) -> list[Point]:
        """Every critical point at hand, with whatever rows of H it was found with."""
        return [solution.point for solution in self.ends] + [self.origin, *self.saddles.values()]

    @cached_property
    def random_points(self) -> list[Point]:
        """Points that are not critical, at three scales of W and H."""
        points = [random_point(self.problem, self.seed + i) for i in range(3 * self.starts)]
        return [
            replace(point, W=scale * point.W, H=scale * point.H)
            for point, scale in zip(points, [0.1, 1.0, 5.0] * self.starts, strict=True)
        ]

    @cached_property
    def averaged_points(self) -> list[Point]:
        """The random points with every feature replaced by the mean of its class."""
        return [self.problem.class_means(point) for point in self.random_points]

    @cached_property
    def spectra(self) -> dict[str, tuple[Point, Spectrum]]:
        """The exact spectrum at the minimiser, the origin and the saddles."""
        points = {"minimiser": self.minimizer, "origin": self.origin}
        points |= {f"rank {rank}": point for rank, point in self.saddles.items()}
        found = {name: analysis(self.problem, point) for name, point in points.items()}
        levels = {name: (seen.point, seen.levels or spectrum(self.problem, seen.point)) for name, seen in found.items()}
        seen = found["minimiser"]
        blocks = seen.blocks.spectrum()
        return levels | ({"minimiser, blocks": (seen.point, blocks)} if blocks else {})

    @cached_property
    def proofs(self) -> dict[str, Proof]:
        """What is proved in ball arithmetic of the minimiser, the origin and the saddles."""
        points = {"minimiser": self.minimizer, "origin": self.origin}
        points |= {f"rank {rank}": point for rank, point in self.saddles.items()}
        return {name: prove(self.problem, point) for name, point in points.items()}

    @cached_property
    def closed_form_proof(self) -> Proof:
        return prove(self.problem, self.closed_form)

    @cached_property
    def threshold_solutions(self) -> dict[float, Solution]:
        """Free minimisations of the problem with its decays scaled to K sqrt(n lW lH) = 0.9 and 1.1."""
        solutions = {}
        for ratio in (0.9, 1.1):
            factor = ratio / collapse_ratio(self.problem)
            sibling = replace(
                self.problem,
                lambda_w=self.problem.lambda_w * factor,
                lambda_h=self.problem.lambda_h * factor,
            )
            solutions[ratio] = minimize(sibling, seed=self.seed, tol=1e-12)
        return solutions

    @cached_property
    def siblings(self) -> dict[int, "Evidence"]:
        """Evidence for the problem at d = K - 1 (the largest rank), at one more, and at its own d if no less."""
        r, d = max(1, self.problem.largest_rank), self.problem.dim
        others = {dim: Evidence(replace(self.problem, dim=dim), self.seed, 1, self.narrow) for dim in (r, r + 1)}
        return others | ({d: self} if d >= r else {})

    @cached_property
    def atlas(self) -> Atlas:
        """Every critical point that the search of `ufm.atlas` finds."""
        return explore(self.problem, self.seed, until_quiet=400)

    @cached_property
    def descent(self) -> dict[str, torch.Tensor]:
        """Gradient norms of plain gradient descent with step 1/l_max from next to the minimiser, all features free.

        "slowest" starts along an eigenvector of the least positive eigenvalue, on both sides: the mean of the two, in
        which what is quadratic in the distance cancels. "random" starts in a random direction.
        """
        levels, minimizer = self.spectra["minimiser"][1], self.problem.expand(self.minimizer)
        f, x = self.problem.landscape_at(minimizer)
        vectors = torch.linalg.eigh(f.jet(x).hessian())[1]
        inertia = levels.inertia
        slowest = vectors[:, inertia.index + inertia.nullity]
        steps = math.ceil(min(max(STEPS[0], 0.1 * inertia.condition), STEPS[1]))
        noise = random_point(self.problem, self.seed)
        natural = (self.classifier_unit, self.feature_unit * math.sqrt(self.problem.num_samples))
        sizes = [float(part.norm()) or unit for part, unit in zip((minimizer.W, minimizer.H), natural, strict=True)]
        W, H = (size * part / part.norm() for size, part in zip(sizes, (noise.W, noise.H), strict=True))
        drawn = f.pack(W, H, noise.b)

        def norms(start: torch.Tensor) -> torch.Tensor:
            return gradient_descent(self.problem, Point(*f.unpack(start)), 1 / levels.max, steps)

        near = 1e-4 * min(sizes) * slowest
        return {"slowest": (norms(x + near) + norms(x - near)) / 2, "random": norms(x + 1e-7 * drawn)}

    @cached_property
    def trap(self) -> tuple[Problem, Point, Point]:
        """(a problem with d < K - 1, a local minimiser of it, a better point): K = 6 classes in the plane.

        Descended to from classifiers on a pentagon around a zero one, and on a hexagon.
        """
        problem = Problem.balanced(6, 2, 2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3)
        local, better = (minimize(problem, start=_polygon(n, 6), tol=1e-12).point for n in (5, 6))
        return problem, problem.class_means(local), problem.class_means(better)

    @cached_property
    def binary_trap(self) -> tuple[Problem, Point, Point]:
        """(binary cross-entropy with d = K - 1 and no bias, a local minimiser, a better point): K = 5, d = 4.

        The first is descended to from a frame whose singular values are all equal.
        """
        loss = BinaryCrossEntropy()
        problem = Problem.balanced(5, 1, 4, lambda_w=2e-3, lambda_h=2e-3, bias=False, loss=loss)
        frame = 3 * simplex_frame(5, 4)
        even = Point(frame, frame.clone(), frame.new_zeros(5))
        local = minimize(problem, start=even, tol=1e-12).point
        return problem, local, minimize(problem, seed=0, tol=1e-12).point

    def narrowed(self, dim: int) -> list[Solution]:
        """The free descents of the problem with that feature dimension that converged."""
        if dim == self.problem.dim:
            return self.ends
        if dim not in self._narrowed:
            self._narrowed[dim] = Evidence(replace(self.problem, dim=dim), self.seed, self.starts)
        return self._narrowed[dim].ends

    @cached_property
    def _narrowed(self) -> dict[int, "Evidence"]:
        return {}

    def dense_eigenvalues(self, point: Point) -> torch.Tensor:
        """Eigenvalues of the full Hessian, differentiated by autograd: an oracle that shares no block."""
        f, x = self.problem.landscape_at(self.problem.expand(point))
        return torch.linalg.eigvalsh(torch.autograd.functional.hessian(f.value, x, vectorize=True))

    @cached_property
    def level(self) -> float:
        """The least f of the descents that converged."""
        return min(solution.value for solution in self.ends)

    @property
    def excess(self) -> float:
        """The least f above its floor, or 1e-12 of its drop from the origin where that is more."""
        return max(self.level - self.problem.floor, 1e-12 * self.problem.drop)

    def of_f(self, deviation: float, value: float) -> float:
        """A deviation of values of f, relative to f there, or to 1e-12 of its drop from the origin where f is less."""
        return deviation / max(abs(value), 1e-12 * self.problem.drop)

    @property
    def feature_unit(self) -> float:
        """The natural length of one feature at the minimiser's level: sqrt(2 (f - floor) / (lH N))."""
        return math.sqrt(2 * self.excess / (self.problem.lambda_h * self.problem.num_samples))

    @property
    def classifier_unit(self) -> float:
        """The natural size of W there: sqrt(2 (f - floor) / lW)."""
        return math.sqrt(2 * self.excess / self.problem.lambda_w)


def converged(evidence: Evidence) -> str:
    """How many of the free descents converged, in words."""
    return f"{len(evidence.ends)} of {len(evidence.solutions)} free descents converged"


def _polygon(corners: int, num_classes: int) -> Point:
    """Classifier and class means at the corners of a regular polygon in the plane, those left over at 0."""
    turns = 2 * math.pi / corners * torch.arange(corners, dtype=torch.float64, device="cpu")
    W = torch.zeros(num_classes, 2, dtype=torch.float64, device="cpu")
    W[:corners] = 4 * torch.stack([turns.cos(), turns.sin()], 1)
    return Point(W, W.clone(), W.new_zeros(num_classes))
