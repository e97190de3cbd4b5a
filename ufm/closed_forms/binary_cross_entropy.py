"""The global minimiser of the binary cross-entropies, balanced classes, y = +1 at the own class alone.

    W Hbar^T = margin Pi + level J,   b = beta 1,       rho = K sqrt(n lW lH) < 1
    other = sigmoid(z_other) = (1 - t) rho/K,    1 - sigmoid(z_own) = rho - other,    margin = z_own - z_other
    f* = -log(sigmoid(z_own)) - (K-1) log(1 - other) + (rho/K) [(K-1) margin + |level|] + lb K beta^2/2

    lb = 0           t = 0: other = rho/K, level = 0, beta = z_other + margin/K (radicals and logarithms)
    level < 0        t = -1: other = 2 rho/K, K beta = -rho/lb (0 without a bias),
                     level = z_own + (K-1) z_other - K beta, where that is negative; K >= 3
    else             level = 0 and t in (-1, 0] is the root of z_own + (K-1) z_other = rho t/lb = K beta (0 without a
                     bias), one of a decreasing function. At K = 2 it is t = 0, and b = 0.
    rho >= 1         margin = 0: K sigmoid(level/K + beta) = 1 - rho t, with t = -1 (level < 0) or level = 0. W = H = 0
                     unless level < 0, where all classes share one direction

Source: docs/theory, section 11.5.
"""

import math

from ..errors import NoClosedForm
from ..losses import BinaryCrossEntropy
from ..point import Point
from ..problem import Problem
from . import balanced
from .balanced import Balanced, Slopes
from .cross_entropy import require_balanced


def _logit(q: float) -> float:
    if 0 < q < 1:
        return math.log(q / (1 - q))
    return -math.inf if q <= 0 else math.inf


def slopes(num_classes: int) -> Slopes:
    """sum_k log(1 + exp(-y_k z_k)), by the inverses of its slopes."""
    return Slopes(
        own=lambda slope: -_logit(-slope),
        other=_logit,
        all=lambda total: _logit((1 + total) / num_classes),
        apart=lambda z: 1.0,
    )


def minimizer_form(problem: Problem) -> Balanced:
    """Margin, level and bias of the minimiser. NoClosedForm for imbalanced classes and for targets of one's own."""
    loss = problem.loss
    assert isinstance(loss, BinaryCrossEntropy)
    if loss.targets is not None:
        raise NoClosedForm("no closed form for binary cross-entropy with targets of its own; use ufm.minimize")
    require_balanced(problem)
    return balanced.solve(problem, slopes(problem.num_classes))


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form: W (K, d), H (K, d) collapsed, b (K,); one of its O(d) orbit.

    Raises NoClosedForm for imbalanced classes, targets of one's own, and d below the rank: K - 1, or K where level < 0.
    """
    return balanced.point_of(problem, minimizer_form(problem))
