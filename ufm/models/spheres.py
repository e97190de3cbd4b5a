"""Features and rows of W on unit spheres (Yaras et al. 2022, arXiv 2209.09211): no decay, no bias.

    f(W, H) = (1/N) sum_i l(tau W h_i, t_i),    |w_k| = |h_i| = 1

*First order.* With s_i the slopes and L = s/N (N, K): tau L^T H = -diag(nu) W, tau L W = -diag(mu) H, which defines the
multipliers; sum nu = sum mu. With M = [[diag nu, tau L^T], [tau L, diag mu]] that is M (W, H) = 0.

*Bound.* Any nu, mu with M >= 0 give f >= (1/N) sum_i -l*(s_i) - (sum nu + sum mu)/2 (`multipliers`, which makes good
ones at any point). At a critical point with M >= 0 it is f: the point is global.

*Second order.* Along (u a, v a), with a unit vector a orthogonal to all rows, no logit moves at first order, and the
curvature of f is (u, v)^T M (u, v). So a critical point whose rows leave a direction of R^d free is a global minimiser
or a strict saddle, where l is convex. Where l ignores a shift of the logits too, sum_k nu_k w_k = 0, and d >= K leaves
such a direction; at d = K - 1 and rank W = K - 1 there is none, yet a point with all mu > 0 is global: the matrix
diag nu - tau^2 L^T diag(mu)^-1 L vanishes on the columns of W and takes (1, ..., 1) to nu, so it is
nu nu^T/sum nu >= 0. With some mu < 0 there are traps at d = K - 1 (docs/theory, section 12.3).

*Within types.* h_i sees the others through W alone. Replacing the features of a type by the best among them never
raises f; where l is convex and mu_i > 0, l(tau W h) >= l(tau W h_i) + N mu_i (1 - <h, h_i>), so h_i is the only best.
For cross-entropy mu_i > 0 at the best h_i for any W whose rows are not all equal.

*Closed form.* Cross-entropy, equal n_k, d >= K - 1: the simplex frame W = H, f = log(1 + (K-1) exp(-tau K/(K-1))).
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real

import torch

from ..closed_forms.simplex import unit_frame
from ..errors import NoClosedForm, Setting, require
from ..losses import CrossEntropy
from ..losses.loss import Loss
from ..losses.own import require_conjugate
from ..point import Point
from ..problem import LEAST, Problem
from ..results import PointVerdict
from ..solvers.newton import trust_region_newton
from ..spectra import Spectrum
from ..spectra.spectrum import BLOCKS
from .model import Judgement, Minimum, Recorded, by_spectrum, judge, require_tol
from .multipliers import dual_bound
from .unit_rows import RoundJet, UnitRows

UNIT = 1e-5  # the most by which the length of a row may differ from 1: rounding of float32
SAME = 1e-8  # the most by which features of one type may differ and count as one
ZERO = 1e-12  # of the largest eigenvalue: what counts as 0
RANK = 1e-6  # of the largest singular value: what counts as 0
SCALES = (1e-3, 100.0)  # in float64 f shows what it is between
DENSE = 4000  # the most collapsed variables whose Hessian is formed


@dataclass(frozen=True)
class Spheres(Recorded):
    """W (K, d) and H (N, d) of unit rows, logits scale * <w_k, h>.

    class_counts, loss   as for `ufm.Problem`
    dim                  d >= 2: in one dimension a sphere is two points
    scale                tau > 0, one over the temperature
    Raises InputError for other values, and as Problem does.

    >>> import ufm
    >>> model = ufm.models.Spheres(class_counts=(2, 2, 2), dim=3, scale=5.0)
    >>> frame = model.closed_form()
    >>> abs(model.minimize(seed=0).value - float(model.objective(frame))) < 1e-12
    True
    >>> abs(float(model.objective(frame)) - model.lower_bound(frame)) < 1e-12  # so it is a global minimiser
    True
    """

    class_counts: tuple[int, ...]
    dim: int
    scale: float
    loss: Loss = field(default_factory=CrossEntropy)
    name = "spheres"

    def __post_init__(self) -> None:
        scale = self.scale
        number = isinstance(scale, Real) and not isinstance(scale, bool) and math.isfinite(scale) and scale > 0
        require(number, (Setting("scale"), f" must be a finite number > 0, got {scale!r}"))
        require(scale <= 1e6, (Setting("scale"), f" must be at most 1e6, got {scale!r}"))
        object.__setattr__(self, "scale", float(scale))
        object.__setattr__(self, "class_counts", self.free.class_counts)
        object.__setattr__(self, "loss", self.free.loss)
        require(self.dim >= 2, (Setting("dim"), f" must be >= 2 on spheres, got {self.dim}: two points are no sphere"))

    @classmethod
    def balanced(cls, num_classes: int, per_class: int, dim: int, scale: float, loss: Loss | None = None) -> "Spheres":
        """K classes of n samples each."""
        problem = Problem.balanced(num_classes, per_class, dim, lambda_w=1.0, lambda_h=1.0)
        return cls(problem.class_counts, dim, scale, CrossEntropy() if loss is None else loss)

    @cached_property
    def free(self) -> Problem:
        """A problem with the same samples, classes and dimension; its decays say nothing here."""
        return Problem(tuple(self.class_counts), self.dim, 1.0, 1.0, bias=False, loss=self.loss)

    @property
    def num_classes(self) -> int:
        """K"""
        return self.free.num_classes

    @property
    def is_balanced(self) -> bool:
        return self.free.is_balanced

    @property
    def num_variables(self) -> int:
        """(K + N)(d - 1), the dimension of the product of spheres."""
        return (self.num_classes + self.free.num_samples) * (self.dim - 1)

    @property
    def wide(self) -> bool:
        """Whether theory has no traps: cross-entropy and d >= K, but for K = d = 2 (docs/theory, section 12.3)."""
        return isinstance(self.loss, CrossEntropy) and self.dim >= max(self.num_classes, 3)

    def require_decidable(self) -> None:
        low, high = SCALES
        least = (Setting("scale"), f" must lie in [{low:g}, {high:g}] for verdicts in float64, got {self.scale:g}")
        require(low <= self.scale <= high, least)

    def on(self, point: Point | None = None) -> UnitRows:
        """f on flat vectors (W, H~): over one row a type, or over the rows of a point."""
        f = self.free.landscape(collapsed=True) if point is None else self.free.landscape_at(point)[0]
        return UnitRows(replace(f, lambda_w=0.0, lambda_h=0.0), self.scale)

    def jet(self, point: Point) -> RoundJet:
        """f to second order at a point, over its own rows of H."""
        self._require(point)
        on = self.on(point)
        return on.jet(on.inner.pack(point.W, point.H, point.b))

    def random_point(self, seed: int = 0, scale: float = 1.0) -> Point:
        """Uniform on the spheres. `scale` is that of other models: all points of this one are of one size."""
        on, generator = self.on(), torch.Generator("cpu").manual_seed(seed)
        x = torch.randn(on.inner.size, generator=generator, dtype=torch.float64, device="cpu")
        return self._point(on, on.onto(x))

    def normalised(self, point: Point) -> Point:
        """The point in float64 with all rows at length 1. Raises InputError for a row that is 0."""
        point = point.double()
        least = min(float(part.norm(dim=1).min()) for part in (point.W, point.H))
        require(least > 0, "a row of W or H is 0 and has no direction on the sphere")
        W, H = (torch.nn.functional.normalize(part, dim=1, eps=1e-300) for part in (point.W, point.H))
        return Point(W, H, point.b, point.labels)

    def collapsed(self, point: Point) -> Point:
        """One row of H a type, in the direction of its mean."""
        return self.normalised(self.free.class_means(point))

    def objective(self, point: Point) -> torch.Tensor:
        """0-d f. Raises InputError where a row has not length 1 or there is a bias."""
        self._require(point)
        f, _ = self.free.landscape_at(point)
        f = replace(f, lambda_w=0.0, lambda_h=0.0)
        return f.value(f.pack(self.scale * point.W, point.H, point.b))

    def minimize(self, seed: int = 0, tol: float = 1e-10) -> Minimum[Point]:
        """Descend from a random start over one feature a type, by a Riemannian trust-region Newton method.

        residual <= tol is asked for. Raises InputError for a tol that is none.
        """
        require_tol(tol)
        on, start = self.on(), self.random_point(seed)
        x = on.inner.pack(start.W, start.H, start.b)
        iterates = list(trust_region_newton(on, x, tol=tol, max_iterations=1000, moved=on.moved))
        point = self._point(on, iterates[-1][0])
        left = self.residual(point)
        return Minimum(point, float(self.objective(point)), left, len(iterates) - 1, left <= tol)

    def residual(self, point: Point) -> float:
        """The norm of the Riemannian gradient over tau mean_i |s_i|, which the gradient in W cannot exceed."""
        return self.jet(point).relative_gradient

    def lower_bound(self, point: Point) -> float:
        """D of the module's docstring, from the rows of W and the mean slopes of types at the point.

        The domain of a conjugate is convex, and so is the conjugate: the mean of slopes serves at least as well as
        they do. D sees no d: it is below f at every d. Raises InputError for a loss whose conjugate is not known.
        """
        require_conjugate(self.loss)
        self._require(point)
        jet = self.jet(point.double())
        types, slopes = jet.inner.landscape.labels, jet.inner.slopes
        sums = slopes.new_zeros(self.free.num_types, slopes.shape[1]).index_add_(0, types, slopes)
        means = sums / torch.bincount(types)[:, None]
        return dual_bound(self.on().inner, means, point.W.double(), self.scale)

    def bound_of_any_dim(self) -> float:
        """A number below f at every d: D at the end of a descent with d >= K and d >= 3, where traps are not."""
        wider = replace(self, dim=max(self.dim, self.num_classes, 3))
        return wider.lower_bound(wider.minimize().point)

    def certify(self, point: Point) -> Judgement:
        """What a point is: global where its duality gap closes; else what second order says."""
        least = 0.0 if getattr(self.loss, "exact_slopes", False) else LEAST * self.free.drop
        return judge(self, point, self._second_order, least)

    def _second_order(self, point: Point) -> PointVerdict:
        return by_spectrum(self.spectrum(point), self.orbit(point))

    def orbit(self, point: Point) -> int:
        """The dimension of the orbit of O(d) through a point: d(d-1)/2 less that of the rotations that fix its rows."""
        sizes = torch.linalg.svdvals(torch.cat([point.W, point.H]).double())
        fixed = self.dim - int((sizes > RANK * sizes[0]).sum())
        return self.dim * (self.dim - 1) // 2 - fixed * (fixed - 1) // 2

    def spectrum(self, point: Point) -> Spectrum:
        """The Riemannian Hessian's spectrum at a critical point, exact: over all (K + N)(d - 1) variables.

        Block 1: W and H~ (one row a type). Block 2: tau^2 P W^T S_t W P/N + mu_i on the tangent space of type t's
        feature, n_t - 1 times. Where features of a type differ there is one block, over all of them. Raises InputError
        for more than 4,000 variables of block 1.
        """
        means = self.collapsed(point)
        labels = self.free.labels if point.labels is None else point.labels
        whole = len(point.H) != len(means.H)
        together = not whole or bool((point.H - means.H[labels.to(point.H.device)]).abs().max() <= SAME)
        jet = self.jet(means if together else point)
        size = len(jet.frames) * (self.dim - 1)
        require(size <= DENSE, f"{size:,} variables are too many for a dense Hessian; {DENSE:,} can be had")
        values, counts = [torch.linalg.eigvalsh(jet.hessian())], [torch.ones(size, dtype=torch.int64, device="cpu")]
        for t, n in enumerate(self.class_counts if together else ()):
            if n > 1:
                values.append(torch.linalg.eigvalsh(self._within(jet, t)))
                counts.append(torch.full((self.dim - 1,), n - 1, dtype=torch.int64, device="cpu"))
        found, multiplicities = torch.cat(values), torch.cat(counts)
        order = found.argsort()
        # An orbit's directions have curvatures of the size of the gradient that is left.
        tolerance = max(ZERO * float(found.abs().max()), 10 * float(jet.gradient.norm()))
        return Spectrum(found[order], multiplicities[order], tolerance, int(multiplicities.sum()), BLOCKS)

    def _within(self, jet: RoundJet, t: int) -> torch.Tensor:
        """(d - 1, d - 1) the Hessian of one sample of type t, W held."""
        row = self.num_classes + t
        moved = self.scale * jet.frames[row].T @ (jet.inner.W.T / self.scale)
        every = moved.new_zeros(len(moved), *jet.inner.slopes.shape)
        every[:, t] = moved
        block = moved @ jet.inner.curvature(every)[:, t].T / self.free.num_samples
        return (block + block.T) / 2 + jet.multipliers[row] * torch.eye(self.dim - 1).to(block)

    def closed_form(self) -> Point:
        """The minimiser for cross-entropy, equal n_k and d >= K - 1: W = H is a simplex frame.

        Raises NoClosedForm elsewhere, naming why.
        """
        if not isinstance(self.loss, CrossEntropy):
            raise NoClosedForm(f"no closed form on spheres for the loss {self.loss.name!r}; minimise")
        if not self.is_balanced:
            raise NoClosedForm("no closed form on spheres for imbalanced classes; minimise")
        if self.dim < self.num_classes - 1:
            raise NoClosedForm(
                f"no closed form on spheres for d = {self.dim} < K - 1 = {self.num_classes - 1}; minimise"
            )
        W = unit_frame(self.num_classes, self.dim)
        return Point(W, W.clone(), W.new_zeros(self.num_classes))

    def _point(self, on: UnitRows, x: torch.Tensor) -> Point:
        return Point(*on.inner.unpack(x))

    def _require(self, point: Point) -> None:
        off = max(float((part.norm(dim=1) - 1).abs().max()) for part in (point.W, point.H))
        require(off <= UNIT, f"a row's length differs from 1 by {off:.2g}; take the model's normalised(point)")
        require(not point.b.any(), "the model on spheres has no bias, and the point has one")
