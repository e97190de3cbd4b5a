"""Features that are nonnegative, as behind a ReLU: f(W, H) over H >= 0, without a bias unless asked for.

*Dual.* For H >= 0 with columns h_a, and Z~ = H~ W^T = sum_a h_a w_a^T, the decays are at least rho sum_a |w_a| |h_a|
with rho = sqrt(lW lH). So with L = t G for slopes G at any point,

    f >= D = -(1/N) sum_i l*(t g_i) - t^2 |sum_i g_i/N|^2/(2 lb)    if  |G~^T u| t <= rho |u| for all u >= 0,

that is if rho^2 I - t^2 G~ G~^T is copositive. For u >= 0, u^T M u is at most u^T M+ u, M+ with the negative entries
off the diagonal set to 0; t is taken from the smaller of the largest eigenvalues of M and M+. At minimisers entries off
the diagonal are negative, and M+ is diagonal.

*Cross-entropy, no bias, d >= K* (Dang et al. 2024, arXiv 2401.02058): features are orthogonal, h_k = |h_k| e_k, and
classes decouple, min over z of n_k/N CE(z, k) + rho sqrt(n_k) |z|. With theta_k = N rho sqrt((K-1)/(K n_k)), the wrong
classes' share of p, the margin is c_k = log((K-1)(1 - theta_k)/theta_k); class k vanishes if and only if
n_k <= N^2 lW lH K/(K-1).
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import minimize as scipy_minimize

from ..certificates.lower_bound import without_bias
from ..errors import NoClosedForm, require
from ..landscape import Jet, Landscape
from ..losses import CrossEntropy
from ..losses.loss import Loss
from ..losses.own import require_conjugate
from ..point import Point
from ..problem import Problem
from ..solvers.bias import with_optimal_bias
from ..spectra import Spectrum
from ..spectra.spectrum import BLOCKS
from .model import Judgement, Minimum, judge, require_tol

WARM = 2000  # iterations of L-BFGS-B before Newton's method
STEPS = 200  # of Newton's method at most
LARGEST = 3000  # variables: the Hessian is formed
STRICT = 1e-6  # a slope at a bound above this, in units of the residual, is not 0
ZERO = 1e-12  # of the largest eigenvalue: what counts as 0


@dataclass(frozen=True)
class Nonnegative:
    """W (K, d) free, H (N, d) >= 0, b (K,) where bias is True. Settings as for `ufm.Problem`."""

    class_counts: tuple[int, ...]
    dim: int
    lambda_w: float
    lambda_h: float
    lambda_b: float = 0.0
    bias: bool = False
    loss: Loss = field(default_factory=CrossEntropy)
    name = "nonnegative features"

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

    def objective(self, point: Point) -> torch.Tensor:
        """0-d f. Raises InputError where a feature is negative."""
        self._require(point)
        return self.free.objective(point)

    def minimize(self, seed: int = 0, tol: float = 1e-10) -> Minimum:
        """Descend from a random start, features averaged within types, to a point where the KKT residual is <= tol.

        L-BFGS-B (scipy) first, then Newton's method over the variables that no bound holds. In the coordinates of
        `Problem.even`. Raises InputError for more than 3,000 collapsed variables and for a tol that is none.
        """
        require_tol(tol)
        even = self.free.even
        f = even.landscape(collapsed=True)
        require(f.size <= LARGEST, f"at most {LARGEST:,} collapsed variables are taken, got {f.size:,}")
        bounded = self._bounded(f)
        generator = torch.Generator("cpu").manual_seed(seed)
        x = torch.randn(f.size, generator=generator, dtype=torch.float64, device="cpu") / math.sqrt(self.dim)
        x = torch.where(bounded, x.abs(), x)
        x, steps = _newton(f, _warm(f, x, bounded), bounded, tol)
        W, H, b = f.unpack(x)
        point = self.free.unevened(Point(W, H.clamp_min(0), b))
        residual = self.residual(point)
        return Minimum(point, float(self.objective(point)), residual, steps, residual <= tol)

    def residual(self, point: Point) -> float:
        """The norm of the projected gradient over sqrt(4 rho (f - infimum of the loss)), where both decays are rho."""
        self._require(point)
        even = self.free.even
        f, x = even.landscape_at(self.free.evened(point))
        return _residual(f.jet(x), x, self._bounded(f))

    def lower_bound(self, point: Point) -> float:
        """D of the module's docstring, from the slopes at the point, a bias without decay made optimal first.

        Raises InputError for a loss whose conjugate is not known.
        """
        require_conjugate(self.loss)
        means = self.free.class_means(point)
        jet = self.free.jet(with_optimal_bias(self.free, means) if self.bias and self.lambda_b == 0 else means)
        f, (slopes, pull) = jet.landscape, without_bias(self.free, jet)
        M = jet.G @ jet.G.T
        above = torch.where(torch.eye(len(M), dtype=torch.bool, device=M.device), M, M.clamp_min(0))
        most = min(float(torch.linalg.eigvalsh(part)[-1]) for part in (M, above))
        t = min(1.0, self.free.ridge / math.sqrt(most)) if most > 0 else 1.0
        dual = float(f.counts @ f.loss.negative_conjugate(t * slopes, f.labels)) / f.num_samples
        return dual - t**2 * pull

    def certify(self, point: Point) -> Judgement:
        """What a point is: global where its duality gap closes."""
        return judge(self, point, self._is_minimal)

    def _is_minimal(self, point: Point) -> bool:
        """Whether f is least nearby: its Hessian is positive inside, and f rises from every bound at first order.

        Where f is flat at a bound, as for a feature and a column of W that are both 0, second order decides nothing.
        """
        f, x = self.free.even.landscape_at(self.free.evened(self.free.class_means(point)))
        jet, bound = f.jet(x), self._bounded(f) & (x <= 0)
        slopes = jet.gradient[bound]
        rises = bool((slopes > STRICT * math.sqrt(4 * self.free.ridge * jet.excess)).all())
        levels = self.spectrum(point)
        return rises and levels.index == 0 and levels.nullity == self.free.bias_is_free

    def spectrum(self, point: Point) -> Spectrum:
        """The Hessian's spectrum at a collapsed point over the variables that are not at the bound 0.

        Block 1: W, the positive entries of H~ (one row a type), b. Block 2: for each type, W_F^T S_t W_F/N + lH I over
        the columns F in which its feature is positive, n_t - 1 times.
        """
        self._require(point)
        means = self.free.class_means(point)
        f, x = self.free.landscape_at(means)
        jet, inside = f.jet(x), ~(self._bounded(f) & (x <= 0))
        H = jet.hessian()[inside][:, inside]
        values, counts = [torch.linalg.eigvalsh(H)], [torch.ones(len(H), dtype=torch.int64, device="cpu")]
        W, N = means.W, self.free.num_samples
        for t, n in enumerate(self.class_counts):
            columns = W[:, means.H[t] > 0]
            if n > 1 and columns.shape[1]:
                every = torch.zeros(columns.shape[1], *jet.slopes.shape, dtype=W.dtype, device=W.device)
                every[:, t] = columns.T
                block = columns.T @ jet.curvature(every)[:, t].T / N
                values.append(torch.linalg.eigvalsh((block + block.T) / 2) + self.lambda_h)
                counts.append(torch.full((columns.shape[1],), n - 1, dtype=torch.int64, device="cpu"))
        found, multiplicities = torch.cat(values), torch.cat(counts)
        order = found.argsort()
        tolerance = min(ZERO * float(found.abs().max()), 0.01 * min(self.lambda_w, self.lambda_h))
        return Spectrum(found[order], multiplicities[order], tolerance, int(multiplicities.sum()), BLOCKS)

    def closed_form(self) -> Point:
        """The global minimiser for cross-entropy, no bias, d >= K, any class counts: row k of H is |h_k| e_k.

        Raises NoClosedForm elsewhere, naming why.
        """
        K, N = self.free.num_classes, self.free.num_samples
        if not isinstance(self.loss, CrossEntropy):
            raise NoClosedForm(f"no closed form with nonnegative features for the loss {self.loss.name!r}; minimise")
        if self.bias:
            raise NoClosedForm("no closed form with nonnegative features and a bias; minimise, or leave the bias out")
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


def _warm(f: Landscape, x: torch.Tensor, bounded: torch.Tensor) -> torch.Tensor:
    """Where L-BFGS-B leads."""

    def both(y: np.ndarray) -> tuple[float, np.ndarray]:
        jet = f.jet(torch.from_numpy(y))
        return float(jet.value), jet.gradient.numpy()

    bounds = [(0.0, None) if one else (None, None) for one in bounded.tolist()]
    options = {"maxiter": WARM, "maxfun": 4 * WARM, "ftol": 0.0, "gtol": 1e-8}
    return torch.from_numpy(
        scipy_minimize(both, x.numpy(), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    )


def _newton(f: Landscape, x: torch.Tensor, bounded: torch.Tensor, tol: float) -> tuple[torch.Tensor, int]:
    """(the end of Newton's method over the variables that no bound holds, its steps), from a point within bounds."""
    for step_number in range(STEPS):
        jet = f.jet(x)
        residual = _residual(jet, x, bounded)
        if residual <= tol:
            return x, step_number
        inside = ~(bounded & (x <= 0) & (jet.gradient >= 0))
        values, vectors = torch.linalg.eigh(jet.hessian()[inside][:, inside])
        size = values.abs().clamp_min(1e-9 * float(values.abs().max()))
        step = torch.zeros_like(x)
        step[inside] = -vectors @ ((vectors.T @ jet.gradient[inside]) / size)
        found = _along(f, jet, x, step, bounded, residual)
        if found is None:
            return x, step_number
        x = found
    return x, STEPS


def _along(
    f: Landscape, jet: Jet, x: torch.Tensor, step: torch.Tensor, bounded: torch.Tensor, residual: float
) -> torch.Tensor | None:
    """The first of x + step, x + step/2, ... (projected) with a lower f, or residual where rounding hides f."""
    noise = 1e-14 * abs(float(jet.value))
    for power in range(40):
        trial = x + 0.5**power * step
        trial = torch.where(bounded, trial.clamp_min(0), trial)
        there = f.jet(trial)
        change = float(there.value - jet.value)
        if change < -noise or (change <= noise and _residual(there, trial, bounded) < residual):
            return trial
    return None


def _residual(jet: Jet, x: torch.Tensor, bounded: torch.Tensor) -> float:
    """|projected gradient| over sqrt(4 rho excess), of a problem whose decays are both rho."""
    g = torch.where(bounded & (x <= 0), jet.gradient.clamp_max(0), jet.gradient)
    return float(g.norm()) / math.sqrt(4 * jet.landscape.lambda_h * jet.excess)
