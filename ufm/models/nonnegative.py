"""Features that are nonnegative, as behind a ReLU: f(W, H) over H >= 0, without a bias unless asked for.

*Dual.* For H >= 0 with columns h_a, and Z~ = H~ W^T = sum_a h_a w_a^T, the decays are at least rho sum_a |w_a| |h_a|
with rho = sqrt(lW lH). So with L = t G for slopes G at any point,

    f >= D = -(1/N) sum_i l*(t g_i) - t^2 |sum_i g_i/N|^2/(2 lb)    if  |G~^T u| t <= rho |u| for all u >= 0,

that is if rho^2 I - t^2 G~ G~^T is copositive (`orthant`: decided for up to 12 types, by a sufficient bound beyond).

*A unit that is dead*, column a of W and of H both 0, adds rho |w|^2 + rho |h|^2 + 2 h^T G~ w to f at second order, w
free and h >= 0, and nothing else sees it. So where second order holds and a unit is dead, t = 1 is feasible, and with
balance, lW |w_a|^2 = lH |h~_a|^2 for every unit, the duality gap is 0: the point is global (docs/theory,
section 12.1; for factorisations in general Haeffele and Vidal 2015, arXiv 1506.07540).

*Units that are parallel*, columns (w_a, h_a) = r_a (w, h), r_a > 0, leave f as it is when r moves on its sphere: an
orbit of dimension one less than their number, at whose end all but one of them are dead (`merged`).

*Cross-entropy, no bias, d >= K* (Dang et al. 2024, arXiv 2401.02058): features are orthogonal, h_k = |h_k| e_k, and
classes decouple, min over z of n_k/N CE(z, k) + rho sqrt(n_k) |z|. With theta_k = N rho sqrt((K-1)/(K n_k)), the wrong
classes' share of p, the margin is c_k = log((K-1)(1 - theta_k)/theta_k); class k vanishes if and only if
n_k <= N^2 lW lH K/(K-1).
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from ..certificates.lower_bound import without_bias
from ..errors import NoClosedForm, require
from ..landscape import Landscape
from ..losses import CrossEntropy
from ..losses.loss import Loss
from ..losses.own import require_conjugate
from ..point import Point
from ..problem import Problem
from ..results import PointVerdict
from ..solvers.bias import with_optimal_bias
from ..solvers.bounded import minimize_bounded, residual
from ..spectra import Spectrum
from .model import Judgement, Minimum, Recorded, by_spectrum, judge, require_tol
from .orthant import Largest, largest_on_orthant
from .within import with_features_within

STRICT = 1e-6  # a slope at a bound above this, in units of the residual, is not 0
STEPS = 20  # halvings of the step out of a trap
DEAD = 1e-7  # a column below this part of the whole is 0
SPLIT = 1e-5  # the most by which the directions of parallel units differ


@dataclass(frozen=True)
class Nonnegative(Recorded):
    """W (K, d) free, H (N, d) >= 0, b (K,) where bias is True. Settings as for `ufm.Problem`."""

    class_counts: tuple[int, ...]
    dim: int
    lambda_w: float
    lambda_h: float
    lambda_b: float = 0.0
    bias: bool = False
    loss: Loss = field(default_factory=CrossEntropy)
    name = "nonnegative"

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_counts", self.free.class_counts)

    @cached_property
    def free(self) -> Problem:
        """The problem without the constraint."""
        return Problem(
            *(tuple(self.class_counts), self.dim, self.lambda_w, self.lambda_h, self.lambda_b, self.bias, self.loss)
        )

    @property
    def num_variables(self) -> int:
        """K d + N d, and K more with a bias."""
        return self.free.num_variables

    def require_decidable(self) -> None:
        self.free.require_decidable()

    def random_point(self, seed: int = 0, scale: float = 1.0) -> Point:
        """Normal numbers, the features' without their signs, of even sizes where both decays are equal."""
        f = self.free.even.landscape(collapsed=True)
        W, H, b = f.unpack(self._drawn(f, seed, scale))
        return self.free.unevened(Point(W, H, b))

    def _drawn(self, f: Landscape, seed: int, scale: float) -> torch.Tensor:
        generator = torch.Generator("cpu").manual_seed(seed)
        x = scale * torch.randn(f.size, generator=generator, dtype=torch.float64, device="cpu") / math.sqrt(self.dim)
        return torch.where(self._bounded(f), x.abs(), x)

    def objective(self, point: Point) -> torch.Tensor:
        """0-d f. Raises InputError where a feature is negative."""
        self._require(point)
        return self.free.objective(point)

    def minimize(self, seed: int = 0, tol: float = 1e-10, escape: bool = True) -> Minimum[Point]:
        """Descend from a random start, features averaged within types, to a point where the KKT residual is <= tol.

        In the coordinates of `Problem.even`, by `minimize_bounded`. Where a descent ends in a trap that `escape` leads
        out of, it goes on from there, at first with 2 T units, the others dead; with escape=False it stays. Raises
        InputError for more than 3,000 collapsed variables and for a tol that is none.
        """
        require_tol(tol)
        narrow = replace(self, dim=min(self.dim, 2 * self.free.num_types)) if escape else self
        f = narrow.free.even.landscape(collapsed=True)
        point, steps = narrow._descended(narrow._at(f, narrow._drawn(f, seed, 1.0)), tol)
        lower = self.escape(point.padded(self.dim)) if escape else None
        while lower is not None:
            point, more = self._descended(lower, tol)
            steps, lower = steps + more, self.escape(point)
        point = point.padded(self.dim)
        left = self.residual(point)
        return Minimum(point, float(self.objective(point)), left, steps, left <= tol)

    def _descended(self, point: Point, tol: float) -> tuple[Point, int]:
        """Where the descent from a point ends, and its steps."""
        f, even = self.free.even.landscape(collapsed=True), self.free.evened(point)
        x, steps = minimize_bounded(f, f.pack(even.W, even.H, even.b), self._bounded(f), tol)
        return self._at(f, x), steps

    def _at(self, f: Landscape, x: torch.Tensor) -> Point:
        """The point of a flat vector of the even landscape."""
        W, H, b = f.unpack(x)
        return self.free.unevened(Point(W, H.clamp_min(0), b))

    def escape(self, point: Point) -> Point | None:
        """A collapsed point with a lower f, where parallel units can be merged or a unit is dead, and one falls.

        The dead unit takes the steepest pair, h~ = u and w along -G~^T u. None where there is no such unit, the dual is
        feasible, or there are more types than copositivity is decided for.
        """
        merged = self.free.evened(self.merged(point))
        f, x = self.free.even.landscape_at(merged)
        W, scaled, b = (part.clone() for part in f.split(x))
        dead = _dead(W, scaled).nonzero().flatten().tolist()
        steepest = self.steepest(point)
        if not dead or steepest.vector is None or steepest.value <= self.free.ridge**2 * (1 + 1e-8):
            return None
        jet = f.jet(x)
        pair = -jet.G.T @ steepest.vector
        for power in range(STEPS):
            size = max(float(W.norm()), 1.0) * 2.0**-power
            W[:, dead[0]], scaled[:, dead[0]] = size * pair / pair.norm(), size * steepest.vector
            moved = f.join(W, scaled, b)
            if float(f.value(moved)) < float(jet.value):
                return self._at(f, moved)
        return None

    def residual(self, point: Point) -> float:
        """The norm of the projected gradient over sqrt(4 rho (f - infimum of the loss)), where both decays are rho."""
        self._require(point)
        f, x = self.free.even.landscape_at(self.free.evened(point))
        return residual(f.jet(x), x, self._bounded(f))

    def lower_bound(self, point: Point) -> float:
        """D of the module's docstring, from the slopes at the point, a bias without decay made optimal first.

        Raises InputError for a loss whose conjugate is not known.
        """
        require_conjugate(self.loss)
        means = self.free.class_means(point)
        jet = self.free.jet(with_optimal_bias(self.free, means) if self.bias and self.lambda_b == 0 else means)
        f, (slopes, pull) = jet.landscape, without_bias(self.free, jet)
        most = largest_on_orthant(jet.G @ jet.G.T).value
        t = min(1.0, self.free.ridge / math.sqrt(most)) if most > 0 else 1.0
        dual = float(f.counts @ f.loss.negative_conjugate(t * slopes, f.labels)) / f.num_samples
        return dual - t**2 * pull

    def steepest(self, point: Point) -> Largest:
        """The largest |G~^T u|^2 over unit u >= 0 at a point's means: at most lW lH where the dual is feasible."""
        jet = self.free.jet(self.free.class_means(point))
        return largest_on_orthant(jet.G @ jet.G.T)

    def certify(self, point: Point) -> Judgement:
        """What a point is: global where its duality gap closes; else what second order says."""
        return judge(self, point, self._second_order)

    def _second_order(self, point: Point) -> PointVerdict:
        """What the Hessian inside the bounds says, the slopes at the bounds, and a unit that is dead.

        Units that are parallel, and a bias that the loss ignores, explain zeros. Where f is flat at a bound of a unit
        that is not dead, nothing is decided.
        """
        orbit = sum(len(group) - 1 for group in self.parallel(point))
        found = by_spectrum(self.spectrum(point), orbit + self.free.bias_is_free)
        if found == PointVerdict.STRICT_SADDLE:
            return found
        f, x = self.free.even.landscape_at(self.free.evened(self.free.class_means(point)))
        jet = f.jet(x)
        if _dead(jet.W, jet.scaled).any():
            most = self.steepest(point)
            leaves = most.vector is not None and most.value > self.free.ridge**2 * (1 + 1e-8)
            return PointVerdict.STRICT_SADDLE if leaves else PointVerdict.DEGENERATE
        slopes = jet.gradient[self._bounded(f) & (x <= 0)]
        rises = bool((slopes > STRICT * jet.unit).all())
        return found if rises else PointVerdict.DEGENERATE

    def parallel(self, point: Point) -> list[list[int]]:
        """The units that are not dead, grouped where they are parallel, each group in ascending order."""
        means = self.free.evened(self.free.class_means(point))
        f, x = self.free.even.landscape_at(means)
        W, scaled, _ = f.split(x)
        units = torch.cat([W, scaled])
        alive = (~_dead(W, scaled)).nonzero().flatten().tolist()
        units = units / units.norm(dim=0).clamp_min(1e-300)
        groups: list[list[int]] = []
        for a in alive:
            near = (group for group in groups if float((units[:, a] - units[:, group[0]]).norm()) <= SPLIT)
            home = next(near, None)
            groups.append([a]) if home is None else home.append(a)
        return groups

    def merged(self, point: Point) -> Point:
        """The collapsed point with parallel units put into the first of them, the others dead: f is the same."""
        means = self.free.class_means(point)
        W, H = means.W.clone(), means.H.clone()
        for first, *others in self.parallel(point):
            for part in (W, H):
                part[:, first] *= float(part[:, [first, *others]].norm()) / max(float(part[:, first].norm()), 1e-300)
                part[:, others] = 0
        return Point(W, H, means.b)

    def spectrum(self, point: Point) -> Spectrum:
        """The Hessian's spectrum at a collapsed point over the variables that are not at the bound 0.

        Block 1: W, the positive entries of H~ (one row a type), b. Block 2: for each type, W_F^T S_t W_F/N + lH I over
        the columns F in which its feature is positive, n_t - 1 times.
        """
        self._require(point)
        means = self.free.class_means(point)
        f, x = self.free.landscape_at(means)
        jet, inside = f.jet(x), ~(self._bounded(f) & (x <= 0))
        collapsed = torch.linalg.eigvalsh(jet.hessian()[inside][:, inside])
        least = min(self.lambda_w, self.lambda_h)
        return with_features_within(collapsed, jet, means.H > 0, self.class_counts, least)

    def closed_form(self) -> Point:
        """The global minimiser for cross-entropy, d >= K, without a bias or with equal n_k: row k of H is |h_k| e_k.

        With equal n_k no class pulls the bias more than another, so b = 0. Raises NoClosedForm elsewhere, naming why.
        """
        K, N = self.free.num_classes, self.free.num_samples
        if not isinstance(self.loss, CrossEntropy):
            raise NoClosedForm(f"no closed form with nonnegative features for the loss {self.loss.name!r}; minimise")
        if self.bias and not self.free.is_balanced:
            reason = "no closed form with nonnegative features, a bias and imbalanced classes"
            raise NoClosedForm(f"{reason}; minimise, or leave the bias out")
        if self.dim < K:
            raise NoClosedForm(f"no closed form with nonnegative features for d = {self.dim} < K = {K}; minimise")
        W, H = np.zeros((K, self.dim)), np.zeros((K, self.dim))
        for k, n in enumerate(self.class_counts):
            theta = N * self.free.ridge * math.sqrt((K - 1) / (K * n))
            margin = math.log((K - 1) * (1 - theta) / theta) if theta < (K - 1) / K else 0.0
            # |w_k| |h_k| = c sqrt((K-1)/K), lW |w_k|^2 = n lH |h_k|^2
            product, stretch = margin * math.sqrt((K - 1) / K), math.sqrt(n * self.lambda_h / self.lambda_w)
            direction = (np.eye(K)[k] - 1 / K) / math.sqrt((K - 1) / K)
            W[:, k] = math.sqrt(product * stretch) * direction
            H[k, k] = math.sqrt(product / stretch)
        return Point(torch.from_numpy(W), torch.from_numpy(H), torch.zeros(K, dtype=torch.float64, device="cpu"))

    def vanishing(self) -> list[int]:
        """The classes whose features are 0 at the minimiser of `closed_form`: n_k <= N^2 lW lH K/(K-1)."""
        K, most = self.free.num_classes, (self.free.num_samples * self.free.ridge) ** 2
        return [k for k, n in enumerate(self.class_counts) if n <= most * K / (K - 1)]

    def _bounded(self, f: Landscape) -> torch.Tensor:
        """(size,) which variables are bounded below by 0."""
        W = torch.zeros(f.num_classes, f.dim, dtype=torch.bool, device=f.counts.device)
        H = torch.ones(len(f.labels), f.dim, dtype=torch.bool, device=f.counts.device)
        return f.join(W, H, W.new_zeros(f.num_classes))

    def _require(self, point: Point) -> None:
        least = float(point.H.min())
        require(least >= 0, f"the features must be >= 0, got {least:g}; apply a ReLU, or take ufm.Problem")


def _dead(W: torch.Tensor, scaled: torch.Tensor) -> torch.Tensor:
    """(d,) which columns are 0 in both."""
    whole = max(float(W.norm()), float(scaled.norm()), 1e-300)
    return (W.norm(dim=0) <= DEAD * whole) & (scaled.norm(dim=0) <= DEAD * whole)
