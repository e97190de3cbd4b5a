"""The global minimiser of cross-entropy with smoothed labels, r = (1 - a) e_y + a/K, balanced classes.

    W W^T = alpha^2 Pi,   h_k = (beta/alpha) w_k,   b = 0          s = sqrt(n lW lH),   s_eff = s + a/K
    alpha beta = c = log((1 - (K-1) s_eff)/s_eff),    f* = log(1 + (K-1) e^-c) + s_eff (K-1) c

where K s < 1 - a; else W = H = 0 and f* = log K: the numbers of cross-entropy with s_eff in the logits, while the
decays and G~ = -sqrt(lW lH) Pi keep s.

Source: docs/theory.md, section 11.4; the geometry is that of Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.1.
"""

import math

from ..losses import LabelSmoothing
from ..point import Point
from ..problem import Problem
from .cross_entropy import Scale, collapse_ratio, frame_point, require_balanced, require_room


def minimizer_scale(problem: Problem) -> Scale:
    """The scale of the global minimiser. Raises NoClosedForm for imbalanced classes, and for d < K - 1."""
    require_balanced(problem)
    assert isinstance(problem.loss, LabelSmoothing)
    K, n, a = problem.num_classes, problem.per_class, problem.loss.smoothing
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


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form: W (K, d), H (K, d) collapsed, b = 0; one of its O(d) orbit."""
    return frame_point(problem, minimizer_scale(problem))
