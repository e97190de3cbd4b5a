"""The global minimisers: a simplex ETF, self-dual, of the scale in closed form; the collapse threshold."""

import math

import torch

from ...closed_forms.cross_entropy import collapse_ratio, minimizer_scale
from ...problem import Problem
from ..evidence import Evidence, converged
from ..hypotheses import (
    BALANCED,
    BIAS,
    CROSS_ENTROPY,
    ETF,
    WIDE,
)
from ..theorem import EXACT, ZHU_GLOBAL, Finding, Theorem, here, worst_of


def etf_geometry(problem: Problem, evidence: Evidence) -> Finding:
    """W W^T / |W W^T| = (I - 11^T/K)/sqrt(K - 1) at every minimiser found."""
    K = problem.num_classes
    target = (torch.eye(K, dtype=torch.float64, device="cpu") - 1 / K) / math.sqrt(K - 1)
    grams = [solution.point.W @ solution.point.W.T for solution in evidence.ends]
    return Finding(
        worst_of((g / g.norm() - target).norm() for g in grams), _near_threshold(problem), converged(evidence)
    )


ETF_GEOMETRY = Theorem("ETF geometry", "W W^T ~ I - 11^T/K", ZHU_GLOBAL, ETF, etf_geometry)


def self_duality(problem: Problem, evidence: Evidence) -> Finding:
    """h_{k,i} = sqrt(lW/(n lH)) w_k at every minimiser found."""
    ratio = math.sqrt(problem.lambda_w / (problem.per_class * problem.lambda_h))
    deviations = []
    for solution in evidence.ends:
        twins = ratio * solution.point.W[problem.labels]
        deviations.append((solution.point.H - twins).norm(dim=1).max() / evidence.feature_unit)
    return Finding(worst_of(deviations), _near_threshold(problem), converged(evidence))


SELF_DUALITY = Theorem("self-duality", "h_k = sqrt(lW/(n lH)) w_k", ZHU_GLOBAL, ETF, self_duality)


def closed_form_scale(problem: Problem, evidence: Evidence) -> Finding:
    """The free minimisers have the margin, norms and value of the closed form, which is itself critical."""
    scale = minimizer_scale(problem)
    K = problem.num_classes
    centre = torch.eye(K, dtype=torch.float64, device="cpu") - 1 / K
    deviations = [problem.relative_gradient(evidence.closed_form)]
    for solution in evidence.ends:
        W, H = solution.point.W, problem.class_means(solution.point).H
        deviations += [
            abs(solution.value - scale.value) / scale.value,
            (W @ W.T - scale.alpha**2 * centre).norm() / scale.alpha**2,
            (H @ H.T - scale.beta**2 * centre).norm() / scale.beta**2,
            (W @ H.T - scale.margin * centre).norm() / scale.margin,
        ]
    return Finding(
        worst_of(deviations), _near_threshold(problem), f"margin c = {scale.margin:.6g}, f* = {scale.value:.10g}"
    )


CLOSED_FORM_SCALE = Theorem(
    "closed-form scale", "alpha, beta, margin and f* in closed form", here("5.1"), ETF, closed_form_scale
)


def zero_bias(problem: Problem, evidence: Evidence) -> Finding:
    """b = 0, or b a multiple of 1 when nothing decays it (lb = 0)."""
    deviations = []
    for b in (solution.point.b for solution in evidence.ends):
        # Only its decay holds the mean of b: a gradient of EXACT leaves it that much room.
        pull = problem.lambda_b * math.sqrt(problem.num_classes) / math.sqrt(4 * problem.ridge * evidence.level)
        deviations += [(b - b.mean()).abs().max(), abs(b.mean()) * min(1.0, pull)]
    return Finding(worst_of(deviations), EXACT, converged(evidence))


ZERO_BIAS = Theorem("zero bias", "b = 0 (a multiple of 1 if lb = 0)", ZHU_GLOBAL, (*ETF, BIAS), zero_bias)


def collapse_threshold(problem: Problem, evidence: Evidence) -> Finding:
    """Below K sqrt(n lW lH) = 1 the minimiser has the closed form's |W| > 0; above, it is the origin.

    Checked on the problem's siblings at 0.9 and 1.1 of the threshold, whatever side it is on itself.
    """
    unit = math.sqrt(2 * math.log(problem.num_classes))
    below, above = (evidence.threshold_solutions[ratio] for ratio in (0.9, 1.1))
    ratio, s = 0.9, 0.9 / problem.num_classes
    margin = math.log((1 - (problem.num_classes - 1) * s) / s)
    factor = math.sqrt(ratio / collapse_ratio(problem))
    expected = math.sqrt(problem.num_classes - 1) * _alpha(problem, margin)
    deviations = [
        abs(float(below.point.W.norm()) / expected - 1),
        float(above.point.W.norm()) * math.sqrt(problem.lambda_w) * factor / unit,
        float(above.point.H.norm()) * math.sqrt(problem.lambda_h) * factor / unit,
    ]
    note = f"here K sqrt(n lW lH) = {collapse_ratio(problem):.4g}; siblings at 0.9 and 1.1"
    return Finding(worst_of(deviations), 1e-6, note)


COLLAPSE_THRESHOLD = Theorem(
    "collapse threshold",
    "minimiser is not 0 iff K sqrt(n lW lH) < 1",
    here("5.3"),
    (CROSS_ENTROPY, BALANCED, WIDE),
    collapse_threshold,
)


def _near_threshold(problem: Problem) -> float:
    """The relative tolerance of the minimiser's geometry: its scale is as ill-determined as 1 - K s is small."""
    return EXACT / (1 - collapse_ratio(problem))


def _alpha(problem: Problem, margin: float) -> float:
    return math.sqrt(margin * math.sqrt(problem.per_class * problem.lambda_h / problem.lambda_w))
