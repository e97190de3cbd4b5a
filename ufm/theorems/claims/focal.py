"""Focal loss without a bias: collapse at every critical point, and the landscape, for K that are not too large."""

import math

from ...losses import CrossEntropy, Focal
from ...problem import Problem
from ..evidence import Evidence, converged
from ..hypotheses import SEVERAL, WEAK_DECAY, WIDE
from ..theorem import EXACT, Finding, Hypothesis, Theorem, here, worst_of
from .landscape import benign
from .structure import spread_within

FOCAL = Hypothesis("focal loss", lambda p: isinstance(p.loss, Focal))
NO_BIAS = Hypothesis("no bias", lambda p: not p.bias)
INSIDE = Hypothesis(
    "K <= exp(u1), up to which focal loss is convex at critical points",
    lambda p: isinstance(p.loss, Focal) and math.log(p.num_classes) <= p.loss.convex_end,
)
ENVELOPED = Hypothesis(
    "K <= exp(u2), up to which focal loss is its convex envelope at critical points",
    lambda p: isinstance(p.loss, Focal) and math.log(p.num_classes) <= p.loss.envelope_end,
)


def focal_collapse(problem: Problem, evidence: Evidence) -> Finding:
    """h_{k,i} = h_k at the end of every free descent, as for a convex loss."""
    return Finding(worst_of(spread_within(problem, evidence)), EXACT, converged(evidence))


FOCAL_COLLAPSE = Theorem(
    "focal collapse",
    "h_{k,i} = h_k at every critical point",
    here("10.5"),
    (FOCAL, NO_BIAS, INSIDE, SEVERAL, WEAK_DECAY),
    focal_collapse,
)


def focal_landscape(problem: Problem, evidence: Evidence) -> Finding:
    """Every critical point at hand is certified global or a strict saddle; and -log p_y <= log K at each of them.

    The deviation is the largest excess of -log p_y over log K, in units of log K, as far as it is positive.
    """
    excess = []
    for point in map(problem.class_means, evidence.critical_points):
        f, x = problem.landscape_at(point)
        excess.append(float(CrossEntropy().values(f.logits(x), f.labels).max()) / math.log(problem.num_classes) - 1)
    found = benign(evidence)
    worst = worst_of([found.worst, max(0.0, worst_of(excess))])
    return Finding(worst, found.tolerance, f"{found.note}; -log p_y at most {1 + max(excess):.3f} log K")


FOCAL_LANDSCAPE = Theorem(
    "focal landscape",
    "every critical point is global or a strict saddle",
    f"{here('10.5')}; Zhou et al. 2022 (arXiv 2210.02192) have the minimisers",
    (FOCAL, NO_BIAS, ENVELOPED, WIDE, WEAK_DECAY),
    focal_landscape,
)
