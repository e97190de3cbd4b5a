"""The global minimiser of the squared error with one-hot targets m e_k (m = 1 but for Hui and Belkin's target).

Balanced classes, rho = K sqrt(n lW lH), Pi = I - 11^T/K, J = 11^T/K:

    W Hbar^T = (m - rho)_+ Pi + level J,   b = beta 1
    level = 0,                    K beta = m/(1 + lb)        where m lb/(1 + lb) <= rho: the simplex ETF
    level = m - rho - rho/lb,     K beta = rho/lb            else
    level = (m - rho)_+,          b = 0                      without a bias: an orthogonal frame
    f* = [(K-1) (m - margin)^2 + (level + K beta - m)^2]/(2K) + (rho/K) [(K-1) margin + level] + lb K beta^2/2

Imbalanced classes, no bias: H~ W^T has the singular values (m sqrt n_k - N s0)_+, s0 = sqrt(lW lH), on orthogonal
axes; a bias with lb = 0: the same with the square roots of the eigenvalues of m^2 (diag(n) - n n^T/N) in place of
m sqrt n_k. These hold for any d: the d largest count.

A weight of the own class other than 1 (Hui and Belkin 2021, arXiv 2006.07322): balanced classes, by the linear
equation of `balanced`.

Sources: Zhou et al. 2022 (arXiv 2203.01238) and Tirer and Bruna 2022 (arXiv 2202.08087) for the geometry;
docs/theory, sections 11.2 and 11.3, for scale, threshold and value.
"""

import torch

from ..errors import NoClosedForm
from ..losses import MeanSquare
from ..point import Point
from ..problem import Problem
from . import balanced, regression
from .balanced import Balanced, Slopes
from .cross_entropy import collapse_ratio, require_balanced


def minimizer_form(problem: Problem) -> Balanced:
    """Margin, level and bias of balanced classes, with one-hot targets. Raises NoClosedForm for imbalanced ones."""
    require_balanced(problem)
    loss = problem.loss
    assert isinstance(loss, MeanSquare)
    if loss.weight != 1:
        return balanced.solve(problem, _weighted(problem.num_classes, loss.weight, loss.target))
    K, rho, lb, m = problem.num_classes, collapse_ratio(problem), problem.lambda_b, loss.target
    margin = max(m - rho, 0.0)
    if not problem.bias:
        level, total, tension = margin, 0.0, min(1.0, m / rho)
    elif m * lb / (1 + lb) <= rho:
        level, total, tension = 0.0, m / (1 + lb), m * lb / (1 + lb) / rho
    else:
        level, total, tension = m - rho - rho / lb, rho / lb, 1.0
    off = ((K - 1) * (m - margin) ** 2 + (level + total - m) ** 2) / (2 * K)
    value = off + rho / K * ((K - 1) * margin + level) + lb * total**2 / (2 * K)
    other = (level + total - margin) / K
    return Balanced(margin, level, total / K, margin + other, other, tension, value)


def _weighted(K: int, w: float, m: float) -> Slopes:
    """1/2 [w (z_own - m)^2 + sum of z_other^2]."""
    return Slopes(
        own=lambda slope: m + slope / w,
        other=lambda slope: slope,
        all=lambda total: (w * m + total) / (w + K - 1),
        apart=lambda z: z - w * (z - m),
    )


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form: W (K, d), H (T, d) collapsed, b (K,); one of its O(d) orbit.

    Raises NoClosedForm for imbalanced classes with lb > 0 or a weight, for d below the rank of the balanced minimiser
    with lb > 0 or a weight, and as `regression` does for targets of one's own.
    """
    loss = problem.loss
    assert isinstance(loss, MeanSquare)
    if loss.targets is not None:
        return regression.global_minimizer(problem)
    decayed = problem.bias and problem.lambda_b > 0
    if loss.weight == 1 and not decayed and not (problem.is_balanced and problem.dim >= problem.num_classes):
        targets = loss.target * torch.eye(problem.num_classes, dtype=torch.float64, device="cpu")
        return regression.point_of(problem, regression.thresholded(problem, targets))
    if not problem.is_balanced:
        why = f"the own class's weight {loss.weight:g}" if loss.weight != 1 else f"lambda_b = {problem.lambda_b:g} > 0"
        raise NoClosedForm(f"no closed form for imbalanced classes with {why}; use ufm.minimize")
    return balanced.point_of(problem, minimizer_form(problem))
