"""A deep linear model: the logits are a product of L factors, the features among them, with one decay and no bias.

    f = (1/N) sum_i l(W_(L-1) ... W_1 h_i, t_i) + decay/2 (sum_l |W_l|^2 + |H|^2)

L = 2 is `ufm.Problem` with both decays equal and no bias. Sources: Dang et al. 2023 (arXiv 2301.00437); Garrod and
Keating 2024 (arXiv 2410.23169); Sukenik et al. 2024 (arXiv 2405.14468) behind a ReLU.

At a critical point the factors are balanced, so they have one rank r and the same singular values. For a convex loss
features collapse within types there (Jensen: f is convex in H for a fixed product of the layers), so f is descended
from with one row of H a type. A critical point lives in r dimensions of every inner space, so it is one for every
width d >= r, and descents need no more than min(d, K, T).
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral, Real

import torch

from ..certificates import lower_bound
from ..closed_forms.minimizer import global_minimizer
from ..errors import NoClosedForm, Setting, require
from ..losses import CrossEntropy, MeanSquare
from ..losses.loss import Loss
from ..losses.own import has_conjugate
from ..problem import LARGEST_DECAY, SMALLEST_DECAY, Problem
from ..results import PointVerdict
from ..solvers.minimize import minimize
from ..solvers.newton import trust_region_newton
from ..spectra import Spectrum
from .chain import Chain
from .codes import simplex_logits, simplex_margin
from .deep_spectrum import Inner, inner_point, orbit_dimension, spectrum_of
from .deep_starts import balanced_start, drawn, scattered
from .factors import Factors, balanced_factors
from .model import Judgement, Minimum, Recorded, by_spectrum, judge, require_tol
from .schatten import Line, Shrunk, below, shrunk

DEEPEST = 64  # factors
STEPS = 2000  # of Newton's method at most
UNDECAYED = (
    "without it f is the same at W_2 A^-1, A W_1 for every invertible A, and has no isolated minimiser, if it has one "
    "at all; take a small one"
)


@dataclass(frozen=True)
class DeepLinear(Recorded):
    """W_1, ..., W_(L-2) (d, d), W_(L-1) (K, d) and H (N, d) are free.

    class_counts, dim, loss   as for `ufm.Problem`; every inner space has the dimension d
    depth                     L >= 2 factors, the features included
    decay > 0                 of every factor
    Raises InputError where one is out of its range, and as Problem does.
    """

    class_counts: tuple[int, ...]
    dim: int
    depth: int
    decay: float
    loss: Loss = field(default_factory=CrossEntropy)
    name = "deep-linear"

    def __post_init__(self) -> None:
        whole = isinstance(self.depth, Integral) and not isinstance(self.depth, bool)
        require(
            whole and 2 <= self.depth <= DEEPEST,
            (Setting("depth"), f" must be a whole number of factors in 2 .. {DEEPEST}, got {self.depth!r}"),
        )
        number = isinstance(self.decay, Real) and not isinstance(self.decay, bool) and math.isfinite(self.decay)
        positive = number and self.decay > 0
        reason = UNDECAYED if number and self.decay == 0 else ()
        require(positive, (Setting("decay"), f" must be a finite number > 0, got {self.decay!r}"), reason)
        least = f" must be at most {LARGEST_DECAY:g}, got {self.decay!r}"
        require(self.decay <= LARGEST_DECAY, (Setting("decay"), least))
        object.__setattr__(self, "decay", float(self.decay))
        object.__setattr__(self, "class_counts", self.free.class_counts)

    @cached_property
    def free(self) -> Problem:
        """The problem of two factors with this decay, without a bias: this model where L = 2."""
        return self.of_two(self.decay, self.dim)

    def of_two(self, decay: float, dim: int) -> Problem:
        """The problem of two factors with another decay and width."""
        return Problem(tuple(self.class_counts), dim, decay, decay, 0.0, False, self.loss)

    @property
    def num_variables(self) -> int:
        """(L - 2) d^2 + K d + N d."""
        d = self.dim
        return (self.depth - 2) * d**2 + (self.free.num_classes + self.free.num_samples) * d

    def require_decidable(self) -> None:
        """Raise InputError where the decay is too small for verdicts in float64."""
        decided = self.decay >= SMALLEST_DECAY
        require(decided, ("verdicts in float64 need ", Setting("decay"), f" >= {SMALLEST_DECAY:g}, got {self.decay:g}"))

    def random_point(self, seed: int = 0, scale: float = 1.0) -> Factors:
        """Normal numbers over sqrt(d), times the scale."""
        return drawn(self.chain(), seed, scale)

    def chain(self, collapsed: bool = True, dim: int | None = None) -> Chain:
        """f of flat vectors, over one row of H a type or over all N, in so many dimensions (d by default)."""
        inner = self.free.landscape(collapsed=collapsed)
        return Chain(replace(inner, dim=self.dim if dim is None else dim), self.depth)

    def objective(self, point: Factors) -> torch.Tensor:
        """0-d f, differentiable by autograd. A collapsed H (T, d) stands for all N features."""
        f = self._chain_of(point)
        return f.value(f.pack(point))

    def residual(self, point: Factors) -> float:
        """|gradient| over sqrt(4 decay (f - infimum of the loss)): `ufm.Problem.relative_gradient` where L = 2."""
        f = self._chain_of(point)
        return f.jet(f.pack(point)).relative_gradient

    def minimize(self, seed: int = 0, tol: float = 1e-10, reduce: bool = True) -> Minimum[Factors]:
        """Descend from a random start to a critical point where residual <= tol, by a trust-region Newton method.

        The start (`ufm.models.deep_starts`) is balanced, of rank R - (seed mod R), R = min(d, K, T), and R for L = 2: R
        seeds in a row try every rank.

        reduce   with one row of H a type (see the module's docstring), in no more dimensions than the start's rank.
                 False frees all N features in d dimensions, apart from each other at the start.
        Raises InputError for a tol that is none and a seed below 0.
        """
        require_tol(tol)
        require(seed >= 0, (Setting("seed"), f" must be >= 0, got {seed}"))
        start = self.start(seed)
        if not reduce:
            start = scattered(start.padded(self.dim), self.free.labels, seed)
        f = self.chain(collapsed=reduce, dim=start.dim)
        iterates = list(trust_region_newton(f, f.pack(start), tol=tol, max_iterations=STEPS))
        point = f.unpack(iterates[-1][0]).padded(self.dim)
        residual = self.residual(point)
        return Minimum(point, float(self.objective(point)), residual, len(iterates) - 1, residual <= tol)

    def start(self, seed: int = 0) -> Factors:
        """The balanced start of `minimize`, of width its rank."""
        most = min(self.dim, self.free.num_classes, self.free.num_types)
        return balanced_start(self.chain(), most - (seed % most if self.depth > 2 else 0), seed)

    def lower_bound(self, point: Factors | None = None) -> float:
        """A number below f everywhere, the same from every point (`ufm.models.schatten`).

        Squared error without weights: the least value itself. Else the least of P(t) + (L/2) decay t^(2/L), which is
        exact where a minimiser has rank 1 (K = 2) or 0, and below f* elsewhere for L >= 3.
        -inf for a loss whose conjugate is not known.
        """
        return self._bound

    @cached_property
    def _bound(self) -> float:
        if self._decouples:
            _, kept, rest = self._sizes()
            return sum(one.least for one in kept) + rest
        if not has_conjugate(self.loss):
            return -math.inf
        f = self.free.landscape(collapsed=True)
        zero = torch.zeros(self.free.num_types, self.free.num_classes, dtype=torch.float64, device="cpu")
        values, slopes, _ = f.loss.expand(zero, f.labels)
        steepest = float(torch.linalg.matrix_norm(f.weighted(slopes), 2)) / f.num_samples
        if steepest == 0:  # the loss is least at the origin
            return float(f.counts @ values) / f.num_samples
        return below(self._line, steepest, self.free.floor, self.depth, self.decay)

    def _line(self, mu: float) -> Line:
        """The dual bound of the problem of two factors with decay mu, from its minimiser."""
        problem = self.of_two(mu, self.free.largest_rank)
        try:
            point = global_minimizer(problem)
        except NoClosedForm:
            point = minimize(problem, tol=1e-9).point
        means = problem.class_means(point)
        roots = problem.landscape(collapsed=True).roots
        nuclear = float(torch.linalg.svdvals(roots * means.H @ means.W.T).sum())
        return Line(mu, lower_bound(problem, means).value, nuclear)

    def certify(self, point: Factors) -> Judgement:
        """What a point is: global where its gap closes, else by the exact index and nullity of its Hessian.

        A local minimiser has index 0 and a nullity that is the orbit's dimension.
        """
        return judge(self, point, self._by_hessian)

    def _by_hessian(self, point: Factors) -> PointVerdict:
        found = self.inner(point)
        return by_spectrum(spectrum_of(found, self.dim), self.orbit_dimension(found.rank))

    def inner(self, point: Factors) -> Inner:
        """The critical point near one with residual <= 1e-7, in the r dimensions that it lives in."""
        return inner_point(self.chain(), self.collapsed(point))

    def spectrum(self, point: Factors) -> Spectrum:
        """The Hessian's spectrum over all variables at a critical point, features collapsed (`deep_spectrum`)."""
        return spectrum_of(self.inner(point), self.dim)

    def orbit_dimension(self, rank: int) -> int:
        """The dimension of the orbit of a critical point of that rank under the rotations of the L - 1 inner spaces."""
        return orbit_dimension(rank, self.dim, self.depth)

    def closed_form(self) -> Factors:
        """The global minimiser, collapsed: squared error without weights at any counts, d and L; what L = 2 has; and
        the simplex ETF of two balanced classes with cross-entropy.

        Raises NoClosedForm elsewhere, naming why.
        """
        roots = self.free.landscape(collapsed=True).roots
        if self._decouples:
            (U, V), kept, _ = self._sizes()
            x = U.new_tensor([one.x for one in kept])
            Z = (U * x) @ V.T / roots
        elif self.depth == 2:
            point = global_minimizer(self.free)
            Z = point.H @ point.W.T
        elif self._has_etf and self.free.num_classes == 2:
            etf = self.etf()
            origin = self.origin()
            return origin if etf is None or self.objective(etf) > self.objective(origin) else etf
        else:
            raise NoClosedForm(
                f"no closed form with {self.depth} factors for the loss {self.loss.name!r} and these classes; minimise"
            )
        return balanced_factors(Z, roots, self.dim, self.depth)

    def origin(self) -> Factors:
        """All factors 0: critical, and for L >= 3 a strict local minimiser, where the Hessian is decay times I."""
        T, K = self.free.num_types, self.free.num_classes
        zero = torch.zeros(T, K, dtype=torch.float64, device="cpu")
        return balanced_factors(zero, self.free.landscape(collapsed=True).roots, self.dim, self.depth)

    def etf(self) -> Factors | None:
        """The best simplex ETF that is a critical point, for balanced cross-entropy; None where there is none.

        Raises InputError where there is no such frame to speak of.
        """
        K = self.free.num_classes
        require(self._has_etf, f"a simplex ETF needs balanced cross-entropy and d >= K - 1 = {K - 1}")
        margin = simplex_margin(K, self.free.per_class, self.depth, self.decay)
        if margin is None:
            return None
        roots = self.free.landscape(collapsed=True).roots
        return balanced_factors(simplex_logits(K, margin), roots, self.dim, self.depth)

    @property
    def _has_etf(self) -> bool:
        alike = isinstance(self.loss, CrossEntropy) and self.free.is_balanced
        return alike and self.dim >= self.free.num_classes - 1

    @property
    def _decouples(self) -> bool:
        """Whether the loss is the squared error, so that singular values are problems of their own."""
        return isinstance(self.loss, MeanSquare) and self.loss.weight == 1

    def _sizes(self) -> tuple[tuple[torch.Tensor, torch.Tensor], list[Shrunk], float]:
        """((U (T, r), V (K, r)), the r = min(d, K, T) largest singular values of the targets, what the others cost)."""
        assert isinstance(self.loss, MeanSquare)
        f = self.free.landscape(collapsed=True)
        zero = torch.zeros(self.free.num_types, self.free.num_classes, dtype=torch.float64, device="cpu")
        U, sizes, Vt = torch.linalg.svd(f.roots * self.loss.rows(zero, f.labels), full_matrices=False)
        kept = [shrunk(size, f.num_samples, self.depth, self.decay) for size in sizes[: self.dim].tolist()]
        rest = float(sizes[self.dim :].square().sum()) / (2 * f.num_samples)
        return (U[:, : self.dim], Vt[: self.dim].T), kept, rest

    def collapsed(self, point: Factors) -> Factors:
        """Every feature replaced by the mean of its type: for a convex loss f does not rise."""
        means = self.free.class_means(self._fits(point).point)
        return replace(point, H=means.H)

    def _chain_of(self, point: Factors) -> Chain:
        return self.chain(collapsed=len(self._fits(point).H) == self.free.num_types)

    def _fits(self, point: Factors) -> Factors:
        K, d, T, N = self.free.num_classes, self.dim, self.free.num_types, self.free.num_samples
        same = (point.depth, point.num_classes, point.dim) == (self.depth, K, d) and len(point.H) in (T, N)
        found = f"L = {point.depth}, K = {point.num_classes}, d = {point.dim} and {len(point.H)} features"
        require(same, f"the model has L = {self.depth}, K = {K}, d = {d} and {N} features or {T} types; got {found}")
        return point
