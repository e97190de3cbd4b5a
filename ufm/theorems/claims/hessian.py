"""The Hessian: its spectrum, its null space, and the rate of gradient descent."""

import math

import torch

from ...analysis import analysis
from ...problem import Problem
from ...spectra import orbit_dimension
from ...spectra.rates import measured_rate, predicted_rate
from ..evidence import Evidence, Undecided
from ..hypotheses import (
    BALANCED,
    CROSS_ENTROPY,
    ETF,
    MODERATE,
    REDUCED,
    SMALL,
    WIDE,
)
from ..theorem import Finding, Theorem, here, worst_of


def exact_spectrum(problem: Problem, evidence: Evidence) -> Finding:
    """The block spectrum equals the eigenvalues of the dense Hessian by autograd, with multiplicities.

    Relative to the largest one, and to the rounding of the logits z over the tolerance: an error of eps |z| in a logit
    is one of eps |z| in the loss's curvature, relative, and the two routes round differently.
    """
    tolerance, deviations = 1e-11, []
    for point, levels in evidence.spectra.values():
        dense = evidence.dense_eigenvalues(point)
        rounding = 4 * torch.finfo(torch.float64).eps * float(point.logits.abs().max())
        unit = dense.abs().max() * (1 + rounding / tolerance)
        same = levels.size == len(dense)
        deviations.append((levels.expanded() - dense).abs().max() / unit if same else math.inf)
    note = f"{problem.num_variables} variables at {', '.join(evidence.spectra)}"
    return Finding(worst_of(deviations), tolerance, note)


EXACT_SPECTRUM = Theorem(
    "exact spectrum", "block eigenvalues = dense eigenvalues", here("6.1"), (SMALL,), exact_spectrum
)


def nondegenerate(problem: Problem, evidence: Evidence) -> Finding:
    """At the minimiser the Hessian is positive semidefinite and its null space is the orbit's tangent.

    The nullity is counted in the three blocks of the spectrum, which know nothing of the orbit.
    """
    point, levels = evidence.spectra["minimiser, blocks"]
    if min(problem.lambda_w, problem.lambda_h, problem.lambda_b or math.inf) <= levels.tolerance:
        raise Undecided("a decay is below the rounding of the spectrum, and counts as 0 there")
    expected = orbit_dimension(problem, analysis(problem, point).rank)
    found = levels.inertia
    note = f"nullity {found.nullity}, orbit dimension {expected}, condition number {found.condition:.4g}"
    return Finding(float(abs(found.nullity - expected) + found.index), 0.0, note)


NONDEGENERATE = Theorem(
    "nondegeneracy", "nullity of the Hessian = orbit dimension", here("6.3"), (*ETF, REDUCED), nondegenerate
)


def descent_rate(problem: Problem, evidence: Evidence) -> Finding:
    """Gradient descent shrinks the gradient by 1 - 1/condition a step, with step 1/l_max, in the limit.

    The limit is where the slowest mode is alone: descent along it has that rate, and from a random point it is nowhere
    slower. The deviation is relative, of the logarithms: of how many steps a digit takes.
    """
    predicted = predicted_rate(evidence.spectra["minimiser"][1])
    slowest, random = (measured_rate(evidence.descent[start]) for start in ("slowest", "random"))
    relative = [math.log(rate) / math.log(predicted) for rate in (slowest, random)]
    steps = len(evidence.descent["slowest"]) - 1
    note = f"predicted {predicted:.6f} a step, measured {slowest:.6f} along the slowest mode over {steps:,} steps"
    return Finding(worst_of([abs(relative[0] - 1), 1 - relative[1]]), 1e-2, f"{note}, {random:.6f} elsewhere")


DESCENT_RATE = Theorem(
    "descent rate",
    "gradient descent converges at 1 - 1/condition",
    f"Polyak 1964; {here('6.4')}",
    (CROSS_ENTROPY, BALANCED, WIDE, SMALL, MODERATE),
    descent_rate,
)
