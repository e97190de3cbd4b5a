"""The minimiser of balanced classes that are all alike, for a convex loss that is a sum over the classes.

    W Hbar^T = margin Pi + level J,   b = beta 1,       Pi = I - 11^T/K,  J = 11^T/K,  Hbar (K, d) a row a class

Averaging over permutations keeps a minimiser of the convex relaxation one, so this family holds it, for every K, n and
d >= rank W (docs/theory, section 11.1). With rho = K sqrt(n lW lH) the value in the family is

    l(z_own, z_other) + (rho/K) [(K-1) |margin| + |level|] + lb K beta^2/2,
    z_own - z_other = margin,   z_own + (K-1) z_other = level + K beta.

Its stationarity leaves one number, the tension t in [-1, 1], a subgradient of |level|: the slopes of l add up to
-rho t = -lb K beta, and where margin > 0 they are (1 - t) rho/K at the others and rho less at the own class.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import brentq

from ..errors import NoClosedForm
from ..point import Point
from ..problem import Problem
from .cross_entropy import collapse_ratio
from .simplex import simplex_frame


@dataclass(frozen=True)
class Balanced:
    """W Hbar^T = margin Pi + level J, b = beta 1, logits own and other, f = value; margin >= 0.

    tension  t in [-1, 1], 1 or -1 where level > 0 or < 0: the slopes of a sample add up to -rho t
    """

    margin: float
    level: float
    beta: float
    own: float
    other: float
    tension: float
    value: float


@dataclass(frozen=True)
class Slopes:
    """A loss that is a sum over the classes, by the inverses of its slopes.

    own, other  the logit of the own or of another class at which the slope in it is the one given
    all         z at which the slopes of all K classes add up to the number given, all logits being z
    apart       the slope of another class less that of the own one, all logits being z
    """

    own: Callable[[float], float]
    other: Callable[[float], float]
    all: Callable[[float], float]
    apart: Callable[[float], float]


def solve(problem: Problem, slopes: Slopes) -> Balanced:
    """The minimiser in the family, by one root of a decreasing function of t where t is not -1, 0 or 1."""
    K, rho = problem.num_classes, collapse_ratio(problem)

    def flat(t: float) -> tuple[float, float]:
        z = slopes.all(-rho * t)
        return z, z

    def spread(t: float) -> tuple[float, float]:
        slope = rho * (1 - t) / K
        return slopes.own(slope - rho), slopes.other(slope)

    t = _tension(problem, flat)
    if slopes.apart(flat(t)[0]) <= rho:
        return at_tension(problem, t, *flat(t))
    t = _tension(problem, spread)
    return at_tension(problem, t, *spread(t))


def at_tension(problem: Problem, t: float, own: float, other: float) -> Balanced:
    """The member of the family with these logits and this tension."""
    K, lb = problem.num_classes, problem.lambda_b
    total, margin = own + (K - 1) * other, own - other
    if problem.bias and abs(t) < 1:
        level, beta = 0.0, total / K
    else:
        beta = collapse_ratio(problem) * t / (K * lb) if problem.bias else 0.0
        level = total - K * beta if abs(t) == 1 else 0.0
    z = torch.full((1, K), other, dtype=torch.float64, device="cpu")
    z[0, 0] = own
    loss = float(problem.loss.values(z, torch.zeros(1, dtype=torch.int64, device="cpu")))
    norms = ((K - 1) * margin + abs(level)) / K
    value = loss + collapse_ratio(problem) * norms + lb * K * beta**2 / 2
    return Balanced(margin, level, beta, own, other, t, value)


def _tension(problem: Problem, logits: Callable[[float], tuple[float, float]]) -> float:
    """t in [-1, 1] at which level = 0; 1 or -1 where level stays > 0 or < 0; 0 for a free bias."""
    K, rho, lb = problem.num_classes, collapse_ratio(problem), problem.lambda_b
    if problem.bias and lb == 0:
        return 0.0

    def level(t: float) -> float:
        own, other = logits(t)
        found = own + (K - 1) * other - (rho * t / lb if problem.bias else 0.0)
        return min(max(found, -1e12), 1e12)  # an infinite logit has a sign

    middle = level(0.0)
    if middle == 0:
        return 0.0
    end = math.copysign(1.0, middle)
    if level(end) * end >= 0:
        return end
    return float(brentq(level, 0.0, end, xtol=1e-300, rtol=1e-15, maxiter=500))


def rank(problem: Problem, form: Balanced) -> int:
    """The rank of W: K - 1 for the margin, 1 for the level."""
    return (problem.num_classes - 1) * (form.margin > 0) + (form.level != 0)


def point_of(problem: Problem, form: Balanced) -> Point:
    """(W (K, d), Hbar (K, d), b) of the form, lW W^T W = n lH Hbar^T Hbar; NoClosedForm where d < rank W."""
    K, d, r = problem.num_classes, problem.dim, rank(problem, form)
    if d < r:
        raise NoClosedForm(f"no closed form for d = {d} < {r}, the rank that the minimiser needs; use ufm.minimize")
    tilt = (problem.per_class * problem.lambda_h / problem.lambda_w) ** 0.25
    W = torch.zeros(K, d, dtype=torch.float64, device="cpu")
    if form.margin > 0:
        W = math.sqrt(form.margin) * simplex_frame(K, d)
    H = W.clone()
    if form.level:
        W[:, r - 1] = math.sqrt(abs(form.level) / K)
        H[:, r - 1] = math.copysign(math.sqrt(abs(form.level) / K), form.level)
    return Point(tilt * W, H / tilt, torch.full_like(W[:, 0], form.beta))
