"""A classifier that is given: f(H, b) with W fixed, convex where the loss is (Yang et al. 2022, arXiv 2203.09081).

    f(H, b) = (1/N) sum_i l(W h_i + b, t_i) + lH/2 |H|^2 + lb/2 |b|^2

*Dual.* With l(z) >= <g, z> - l*(g) and min over H of <G~ W, H~> + lH/2 |H~|^2 = -|G~ W|^2/(2 lH),

    f >= D(G) = -(1/N) sum_i l*(g_i) - |G~ W|^2/(2 lH) - |sum_i g_i/N|^2/(2 lb),

with equality at the minimiser, where lH H~ = -G~ W. Without a decay the sum of the g_i has to vanish. Over H >= 0, as
behind a ReLU, G~ W enters by its negative entries alone, and lH H~ = (-G~ W)_+.

*A simplex frame without a bias* (or with equal n_k): W W^T = w^2 (I - 11^T/K). Then h_k = (c/w^2) w_k, and the margin c
solves (K-1) e^-c/(1 + (K-1) e^-c) = N lH c (1 - 1/K)/w^2 for cross-entropy: it does not depend on n_k. Over H >= 0
with the frame in its standard position, W = w (I - 11^T/K) beside zeros, h_k = (c/w) e_k, and N lH c/w^2 stands on
the right (docs/theory, section 12.2).
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real

import numpy as np
import torch
from scipy.optimize import brentq

from ..certificates.lower_bound import without_bias
from ..closed_forms.simplex import standard_frame
from ..errors import Call, NoClosedForm, Setting, Words, require
from ..landscape import Jet, Landscape
from ..losses import CrossEntropy, MeanSquare
from ..losses.loss import Loss
from ..losses.own import require_conjugate
from ..losses.tables import Table, table
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict
from ..solvers.bias import with_optimal_bias, without_shift
from ..solvers.bounded import minimize_bounded, residual
from ..solvers.newton import trust_region_newton
from ..spectra import Spectrum
from .model import Judgement, Minimum, Recorded, by_spectrum, judge, require_tol
from .within import with_features_within

LARGEST = 1e12  # entry of W: squares of logits are formed
SAME = 1e-12  # of its size: the most by which a frame may miss its definition


@dataclass(frozen=True)
class FixedClassifier(Recorded):
    """H (N, d) and b (K,) are free, W (K, d) is given.

    class_counts, lambda_h, lambda_b, bias, loss   as for `ufm.Problem`
    nonnegative                                    whether H >= 0, as behind a ReLU
    Raises InputError where W does not fit, and as Problem does.
    """

    W: Table
    class_counts: tuple[int, ...]
    lambda_h: float
    lambda_b: float = 0.0
    bias: bool = True
    loss: Loss = field(default_factory=CrossEntropy)
    nonnegative: bool = False
    name = "fixed-classifier"

    def __post_init__(self) -> None:
        object.__setattr__(self, "W", table("W", self.W, 2))
        K, T = self.W.shape[0], len(tuple(self.class_counts))
        there = T if self.loss.shape is None else self.loss.shape[1]
        most = float(np.abs(self.W.array).max())
        require(most <= LARGEST, (Setting("W"), f" must have entries of at most {LARGEST:g}, got {most:g}"))
        require(there == K, (Setting("W"), f" must have a row for each of K = {there} classes, got {K}"))
        lambda_h = self.lambda_h
        number = isinstance(lambda_h, Real) and not isinstance(lambda_h, bool) and math.isfinite(lambda_h)
        reason = self._undecayed() if number and lambda_h == 0 else ()
        positive = number and lambda_h > 0
        require(positive, (Setting("lambda_h"), f" must be a finite number > 0, got {lambda_h!r}"), reason)
        object.__setattr__(self, "class_counts", self.free.class_counts)

    def _undecayed(self) -> Words:
        """Why f without a decay of H has no minimiser, or not one."""
        if isinstance(self.loss, MeanSquare):
            return (
                "without it f is least squares, flat along all that W does not see; take a small one, whose minimiser "
                "is near the least-squares features of least norm"
            )
        return (
            "without it features run to infinity, or are free in all that W does not see; take a small one, or where W "
            "is free too the limit, ",
            Call("ufm.models.Ridgeless"),
        )

    @cached_property
    def free(self) -> Problem:
        """The problem whose W is free too, with the feature decay for both."""
        return Problem(
            tuple(self.class_counts), self.W.shape[1], self.lambda_h, self.lambda_h, self.lambda_b, self.bias, self.loss
        )

    @cached_property
    def classifier(self) -> torch.Tensor:
        """W (K, d), float64 on the CPU."""
        return torch.from_numpy(self.W.array.copy())

    @property
    def num_variables(self) -> int:
        """N d, and K more with a bias."""
        return self.free.num_samples * self.free.dim + self.free.num_classes * self.bias

    def landscape(self, point: Point | None = None) -> "Frozen":
        """f of the flat vectors (H~, b): over one row of H a type, or over the rows of a point."""
        f = self.free.landscape(collapsed=True) if point is None else self.free.landscape_at(point)[0]
        return Frozen(replace(f, lambda_w=0.0), self.classifier)

    def require_decidable(self) -> None:
        self.free.require_decidable()

    def random_point(self, seed: int = 0, scale: float = 1.0) -> Point:
        """Normal numbers for H~ and b; without their signs in H~ where it has to be nonnegative."""
        return self._point(self._drawn(seed, scale))

    def _drawn(self, seed: int, scale: float) -> torch.Tensor:
        generator = torch.Generator("cpu").manual_seed(seed)
        x = scale * torch.randn(self.landscape().size, generator=generator, dtype=torch.float64, device="cpu")
        return torch.where(self._bounded(self.free.num_types), x.abs(), x)

    def _point(self, x: torch.Tensor) -> Point:
        """The collapsed point of a flat vector (H~, b)."""
        f = self.landscape()
        W, H, b = f.inner.unpack(f.joined(x))
        return Point(W, H, without_shift(self.free, b) if self.bias else b)

    def _bounded(self, rows: int) -> torch.Tensor:
        """(size,) which of the variables are bounded below by 0, with so many rows of H."""
        features = torch.full((rows * self.free.dim,), self.nonnegative, device="cpu")
        return torch.cat([features, torch.zeros(self.free.num_classes * self.bias, dtype=torch.bool, device="cpu")])

    def objective(self, point: Point) -> torch.Tensor:
        """0-d f. Raises InputError where the point's W is another, or a feature is negative that may not be."""
        self._require(point)
        f, _ = self.free.landscape_at(point)
        f = replace(f, lambda_w=0.0)
        return f.value(f.pack(point.W, point.H, point.b))

    def minimize(self, seed: int = 0, tol: float = 1e-10) -> Minimum[Point]:
        """Descend over H and b from a random start, features averaged within types; the minimiser is unique if convex.

        residual <= tol is asked for, by a trust-region Newton method, or by `minimize_bounded` over H >= 0. Raises
        InputError for a tol that is none.
        """
        require_tol(tol)
        f, begin = self.landscape(), self._drawn(seed, 1.0)
        if self.nonnegative:
            x, steps = minimize_bounded(f, begin, self._bounded(self.free.num_types), tol)
        else:
            iterates = list(trust_region_newton(f, begin, tol=tol, max_iterations=1000))
            x, steps = iterates[-1][0], len(iterates) - 1
        point = self._point(x)
        left = self.residual(point)
        return Minimum(point, float(self.objective(point)), left, steps, left <= tol)

    def residual(self, point: Point) -> float:
        """|gradient in H~ and b| (projected, over H >= 0) over sqrt(2 lH (f - infimum of the loss))."""
        self._require(point)
        f = self.landscape(point)
        x = f.inner.pack(point.W, point.H, point.b)[self.classifier.numel() :]
        return residual(f.jet(x), x, self._bounded(len(point.H)))

    def lower_bound(self, point: Point) -> float:
        """D(G) of the module's docstring, with the slopes at the point, a bias without decay made optimal first.

        Raises InputError for a loss whose conjugate is not known.
        """
        self._require(point)
        require_conjugate(self.loss)
        jet = self.free.jet(with_optimal_bias(self.free, point) if self.bias and self.lambda_b == 0 else point)
        f, (slopes, pull) = jet.landscape, without_bias(self.free, jet)
        moved = f.weighted(slopes) @ point.W / f.num_samples
        moved = moved.clamp_max(0) if self.nonnegative else moved
        dual = float(f.counts @ f.loss.negative_conjugate(slopes, f.labels)) / f.num_samples
        return dual - float(moved.square().sum()) / (2 * self.lambda_h) - pull

    def certify(self, point: Point) -> Judgement:
        """What a point is: global where its duality gap closes, as it does at the minimiser of a convex loss."""
        return judge(self, point, self._second_order)

    def _second_order(self, point: Point) -> PointVerdict:
        """What the Hessian inside the bounds says; nothing where f is flat at a bound."""
        means = self.free.class_means(point)
        f = self.landscape()
        x = f.inner.pack(means.W, means.H, means.b)[self.classifier.numel() :]
        jet, bound = f.jet(x), self._bounded(self.free.num_types) & (x <= 0)
        found = by_spectrum(self.spectrum(point), int(self.free.bias_is_free))
        rises = bool((jet.gradient[bound] > SAME * jet.unit).all())
        return found if rises or found == PointVerdict.STRICT_SADDLE else PointVerdict.DEGENERATE

    def spectrum(self, point: Point) -> Spectrum:
        """The Hessian's spectrum at a collapsed point, exact: over all N d + K variables but those at the bound 0.

        Block 1: H~ (one row a type) and b. Block 2: W_F^T S_t W_F/N + lH I for features within type t, n_t - 1 times,
        over the columns F in which its feature is free.
        """
        self._require(point)
        means = self.free.class_means(point)
        f = self.landscape()
        x = f.inner.pack(means.W, means.H, means.b)[self.classifier.numel() :]
        jet, free = f.jet(x), ~(self._bounded(self.free.num_types) & (x <= 0))
        collapsed = torch.linalg.eigvalsh(jet.hessian()[free][:, free])
        inside = free[: means.H.numel()].view_as(means.H)
        return with_features_within(collapsed, jet.full, inside, self.class_counts, self.lambda_h)

    def closed_form(self) -> Point:
        """The minimiser for cross-entropy and a simplex frame: without a bias, or with equal n_k.

        Over H >= 0 the frame has to stand in its standard position. Raises NoClosedForm elsewhere, naming why.
        """
        K, N = self.free.num_classes, self.free.num_samples
        if not isinstance(self.loss, CrossEntropy):
            raise NoClosedForm(f"no closed form with a fixed classifier for the loss {self.loss.name!r}; minimise")
        if self.bias and not self.free.is_balanced:
            raise NoClosedForm("no closed form with a bias and imbalanced classes; minimise, or leave the bias out")
        gram = self.W.array @ self.W.array.T
        square = float(np.trace(gram)) / (K - 1)
        if square == 0 or np.abs(gram - square * (np.eye(K) - 1 / K)).max() > SAME * square:
            raise NoClosedForm("no closed form: W is no simplex frame, W W^T = w^2 (I - 11^T/K); minimise")
        if not self.nonnegative:
            W, margin = self.classifier, _margin(K, N * self.lambda_h * (1 - 1 / K) / square)
            return Point(W, margin / square * W, W.new_zeros(K))
        W, length = self.classifier, math.sqrt(square)
        standing = self.free.dim >= K and (W - length * standard_frame(K, self.free.dim)).abs().max() <= SAME * length
        if not standing:
            raise NoClosedForm("no closed form over H >= 0: the frame is not in its standard position; minimise")
        margin = _margin(K, N * self.lambda_h / square)
        H = torch.eye(K, self.free.dim, dtype=torch.float64, device="cpu") * margin / length
        return Point(W, H, W.new_zeros(K))

    def _require(self, point: Point) -> None:
        same = point.W.shape == self.classifier.shape and bool((point.W.cpu().double() == self.classifier).all())
        require(same, "the point has another W than the fixed classifier; replace it by model.classifier")
        least = float(point.H.min()) if self.nonnegative else 0.0
        require(least >= 0, f"the features must be >= 0, got {least:g}; apply a ReLU, or leave nonnegative out")


def _margin(num_classes: int, pull: float) -> float:
    """The c at which the wrong classes' share (K-1) e^-c/(1 + (K-1) e^-c) is pull times c."""

    def excess(c: float) -> float:
        wrong = (num_classes - 1) * math.exp(-c)
        return wrong / (1 + wrong) - pull * c

    return brentq(excess, 0.0, 1 / pull, xtol=1e-16, rtol=1e-15)


class Frozen:
    """A landscape with its W held: the same questions about the flat vectors (H~, b)."""

    def __init__(self, inner: Landscape, W: torch.Tensor):
        self.inner, self.W = inner, W

    @property
    def size(self) -> int:
        return self.inner.size - self.W.numel()

    def joined(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.W.reshape(-1), x])

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """0-d f(x), differentiable by autograd."""
        return self.inner.value(self.joined(x))

    def jet(self, x: torch.Tensor) -> "FrozenJet":
        return FrozenJet(self, self.inner.jet(self.joined(x.detach())))


class FrozenJet:
    """f at one (H~, b) to second order; `full` is the jet over W too."""

    def __init__(self, landscape: Frozen, full: Jet):
        self.full, self.landscape, self.cut = full, landscape, landscape.W.numel()
        self.value, self.gradient = full.value, full.gradient[self.cut :]

    @property
    def unit(self) -> float:
        return math.sqrt(2 * self.landscape.inner.lambda_h * self.full.excess)

    @property
    def relative_gradient(self) -> float:
        return float(self.gradient.norm()) / self.unit

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        return self.full.hvp(torch.nn.functional.pad(v, (self.cut, 0)))[..., self.cut :]

    def hessian(self) -> torch.Tensor:
        columns = self.hvp(torch.eye(self.landscape.size, dtype=self.gradient.dtype, device=self.gradient.device))
        return (columns + columns.T) / 2
