"""The global minimiser and its numbers in closed form (balanced classes, cross-entropy)."""

import math
from dataclasses import dataclass

import torch

from ..errors import NoClosedForm
from ..losses import CrossEntropy
from ..point import Point
from ..problem import Problem
from .simplex import simplex_frame


@dataclass(frozen=True)
class Scale:
    """The numbers of the global minimiser W W^T = alpha^2 Pi, h_k = (beta/alpha) w_k, Pi = I - 11^T/K.

    margin     c = z_y - z_j for every wrong class j, with alpha beta = c
    alpha      |w_k| = alpha sqrt(1 - 1/K)        beta  |h_k| = beta sqrt(1 - 1/K)
    value      f*                                 p_correct, p_wrong  softmax probabilities
    """

    margin: float
    alpha: float
    beta: float
    value: float
    p_correct: float
    p_wrong: float


def collapse_ratio(problem: Problem) -> float:
    """K s with s = sqrt(n lW lH): at 1 or above, the global minimiser is the origin (balanced classes).

    Source: docs/theory, sections 4.3 and 5.3: the largest singular value of G~ at the origin is 1/(K sqrt n).
    """
    return problem.num_classes * math.sqrt(problem.per_class) * problem.ridge


def minimizer_scale(problem: Problem) -> Scale:
    """The scale of the global minimiser. Raises NoClosedForm where none is known, naming why.

    Stationarity along the ray W W^T = alpha^2 Pi gives, with s = sqrt(n lW lH),
        c = log((1 - (K-1) s)/s),  lW alpha^2 = n lH beta^2,  f* = log(1 + (K-1) e^-c) + s (K-1) c.
    Sources: Zhu et al. 2021, Theorem 3.1, for the geometry; docs/theory, section 5.1, for the scale. `ufm.verify`
    checks it against free minimisation and the duality gap.
    """
    if not isinstance(problem.loss, CrossEntropy):
        raise NoClosedForm(f"no closed form for the loss {problem.loss.name!r}; use ufm.minimize")
    return smoothed_scale(problem, 0.0)


def smoothed_scale(problem: Problem, smoothing: float) -> Scale:
    """The scale for labels smoothed by a, where s + a/K takes the place of s (docs/theory, section 11.4)."""
    require_balanced(problem)
    K, n, a = problem.num_classes, problem.per_class, smoothing
    if collapse_ratio(problem) >= 1 - a:
        return Scale(margin=0.0, alpha=0.0, beta=0.0, value=math.log(K), p_correct=1 / K, p_wrong=1 / K)
    require_room(problem)
    wrong = math.sqrt(n) * problem.ridge + a / K
    right = 1 - (K - 1) * wrong
    margin = math.log(right / wrong)
    balance = math.sqrt(n * problem.lambda_h / problem.lambda_w)
    return Scale(
        margin=margin,
        alpha=math.sqrt(margin * balance),
        beta=math.sqrt(margin / balance),
        value=math.log1p((K - 1) * math.exp(-margin)) + wrong * (K - 1) * margin,
        p_correct=right,
        p_wrong=wrong,
    )


def require_balanced(problem: Problem) -> None:
    """Raise NoClosedForm for imbalanced classes."""
    if not problem.is_balanced:
        raise NoClosedForm(
            f"no closed form for imbalanced classes (n_k from {min(problem.class_counts)} to "
            f"{max(problem.class_counts)}); use ufm.minimize"
        )


def require_room(problem: Problem) -> None:
    """Raise NoClosedForm for d < K - 1."""
    K, d = problem.num_classes, problem.dim
    if d < K - 1:
        raise NoClosedForm(f"no closed form for d = {d} < K - 1 = {K - 1}: no simplex ETF fits; use ufm.minimize")


def frame_point(problem: Problem, scale: Scale) -> Point:
    """W = alpha Q, H = beta Q, b = 0 with Q (K, d) the simplex frame, or the origin where the margin is 0."""
    K, d = problem.num_classes, problem.dim
    frame = simplex_frame(K, d) if scale.margin > 0 else torch.zeros(K, d, dtype=torch.float64, device="cpu")
    return Point(scale.alpha * frame, scale.beta * frame, frame.new_zeros(K))


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form: a collapsed float64 Point on the CPU, W (K, d), H (K, d), b = 0.

    One representative of its O(d) orbit. It is the simplex ETF when K sqrt(n lW lH) < 1, else the
    origin. Raises NoClosedForm (an InputError) where none is known, naming why: imbalanced classes,
    d < K - 1, or another loss.
    """
    return frame_point(problem, minimizer_scale(problem))
