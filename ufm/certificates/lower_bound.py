"""A number under the whole landscape, from any point: weak duality.

Convex duality with min over Z, b of g(Z + b 1^T) + sqrt(lW lH) |Z|_* + lb/2 |b|^2: with G the slopes of the loss over N
at the point, t = min(1, sqrt(lW lH)/|G|_2) makes L = t G feasible, and

    D = (1/N) sum_j -conjugate(N l_j) - |L 1|^2/(2 lb)

is nowhere above f (docs/theory, section 3.2), also where the loss is not convex. For cross-entropy -conjugate is the
entropy of (1 - t) y_j + t p_j. Without a bias the last term is absent; with lb = 0 it must vanish. Where t G leaves the
domain of the conjugate, as it can for a loss that is not convex, t is made smaller.
"""

import math
from dataclasses import dataclass

import torch

from ..analysis import Analysis
from ..landscape import Jet
from ..losses.own import has_conjugate, require_conjugate
from ..point import Point
from ..problem import Problem
from ..results import Result, Shown
from ..solvers.bias import with_optimal_bias


@dataclass(frozen=True)
class LowerBound(Shown, Result):
    """D <= f everywhere, and what it comes from.

    value      D, in floating point: rounding may move it by about 1e-14 of f
    sigma_max  |G~|_2 at the point; at a global minimiser at most `ridge`
    ridge      sqrt(lW lH)
    shrink     t in (0, 1], by which the slopes are made feasible; 1 where sigma_max <= ridge (and the loss is convex)
    """

    value: float
    sigma_max: float
    ridge: float
    shrink: float


def lower_bound(problem: Problem, point: Point) -> LowerBound:
    """The bound that a point gives by weak duality; any point, critical or not (see the module's docstring).

    With lambda_b = 0 the bias is first replaced by the optimal one for W and H, and D = -inf should |L 1| still exceed
    rounding level (1e-12 of its terms). Time O(N K (d + K)); at a point of K rows O(K^2 (d + K)). Raises InputError
    for a loss whose conjugate is not known.

    >>> import ufm
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> import torch
    >>> start = ufm.Point(W=torch.eye(3, 2), H=torch.ones(6, 2), b=torch.zeros(3))
    >>> ufm.lower_bound(problem, start).value <= ufm.minimize(problem).value <= problem.objective(start)
    tensor(True)
    """
    require_conjugate(problem.loss)
    point = point.double()
    if problem.bias and problem.lambda_b == 0:
        point = with_optimal_bias(problem, point)
    jet = problem.jet(point)
    return dual(problem, jet, jet.sigma_max)


def bound_of(seen: Analysis) -> LowerBound:
    """The bound that an analysed point gives, from the jet that the analysis has; -inf where no conjugate is known."""
    if not has_conjugate(seen.problem.loss):
        return LowerBound(-math.inf, seen.sigma_max, seen.problem.ridge, 1.0)
    if seen.problem.bias and seen.problem.lambda_b == 0:
        return lower_bound(seen.problem, seen.point)
    return dual(seen.problem, seen.jet, seen.sigma_max)


def dual(problem: Problem, jet: Jet, sigma_max: float) -> LowerBound:
    """The bound at a point whose jet and |G~|_2 are known, and whose bias is optimal where nothing decays it."""
    f, ridge = jet.landscape, problem.ridge
    t = min(1.0, ridge / sigma_max) if sigma_max > 0 else 1.0
    slopes, pull = without_bias(problem, jet)
    if pull == math.inf:
        return LowerBound(-math.inf, sigma_max, ridge, t)
    t, values = _in_domain(jet, slopes, t)
    return LowerBound(float(f.counts @ values / problem.num_samples) - t**2 * pull, sigma_max, ridge, t)


def without_bias(problem: Problem, jet: Jet) -> tuple[torch.Tensor, float]:
    """(slopes (R, K) for the dual, what the bias costs it).

    The cost is sup over b of <total, b> - lb/2 |b|^2 with the mean slope total: |total|^2/(2 lb), 0 without a bias.
    Where nothing decays the bias the mean slope has to be 0: rounding is taken off the slopes, and more costs inf.
    """
    total = jet.landscape.counts @ jet.slopes / problem.num_samples
    if not problem.bias:
        return jet.slopes, 0.0
    if problem.lambda_b > 0:
        return jet.slopes, float(total.square().sum()) / (2 * problem.lambda_b)
    return jet.slopes - total, 0.0 if _vanishes(jet, total) else math.inf


def _vanishes(jet: Jet, total: torch.Tensor) -> bool:
    """Whether the mean slope (K,) is rounding: 1e-12 of the slopes, or of the terms that they are made of."""
    shares, size = jet.landscape.counts / jet.landscape.num_samples, float(total.norm())
    return size <= 1e-12 * float((shares @ jet.slopes.abs()).norm()) or size <= 1e-12 * float(
        (shares @ jet.terms).norm()
    )


def _in_domain(jet: Jet, slopes: torch.Tensor, t: float) -> tuple[float, torch.Tensor]:
    """(t, or a smaller one, with all t times slopes in the domain; the dual values (R,) there).

    The domain of a convex loss is convex, and has its slopes and 0 in it: t is small enough.
    """
    f = jet.landscape
    for _ in range(60):
        values = f.loss.negative_conjugate(t * slopes, f.labels)
        if f.loss.convex or bool((values > -math.inf).all()):
            break
        share = f.loss.largest_share(t * slopes, f.labels) if hasattr(f.loss, "largest_share") else 0.5
        t *= min(share, 1 - 1e-12)
    return t, values
