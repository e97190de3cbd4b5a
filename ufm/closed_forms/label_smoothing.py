"""The global minimiser of cross-entropy with smoothed labels, r = (1 - a) e_y + a/K, balanced classes.

    W W^T = alpha^2 Pi,   h_k = (beta/alpha) w_k,   b = 0          s = sqrt(n lW lH),   s_eff = s + a/K
    alpha beta = c = log((1 - (K-1) s_eff)/s_eff),    f* = log(1 + (K-1) e^-c) + s_eff (K-1) c

where K s < 1 - a; else W = H = 0 and f* = log K: the numbers of cross-entropy with s_eff in the logits, while the
decays and G~ = -sqrt(lW lH) Pi keep s.

Source: docs/theory, section 11.4; the geometry is that of Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.1.
"""

from ..losses import LabelSmoothing
from ..point import Point
from ..problem import Problem
from .cross_entropy import Scale, frame_point, smoothed_scale


def minimizer_scale(problem: Problem) -> Scale:
    """The scale of the global minimiser. Raises NoClosedForm for imbalanced classes, and for d < K - 1."""
    assert isinstance(problem.loss, LabelSmoothing)
    return smoothed_scale(problem, problem.loss.smoothing)


def global_minimizer(problem: Problem) -> Point:
    """The global minimiser in closed form: W (K, d), H (K, d) collapsed, b = 0; one of its O(d) orbit."""
    return frame_point(problem, minimizer_scale(problem))
