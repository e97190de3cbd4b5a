"""Weak duality, and that every descent reaches its bound."""

import math

from ...certificates import GAP, lower_bound
from ...problem import Problem
from ..evidence import Evidence, converged
from ..hypotheses import (
    CONJUGATE,
    CONVEX,
    WIDE,
)
from ..theorem import ZHU_SADDLE, Finding, Theorem, here, worst_of


def weak_duality(problem: Problem, evidence: Evidence) -> Finding:
    """The dual value implied by any point at all is below f everywhere, so below the best f known."""
    best = min(float(problem.objective(point)) for point in evidence.critical_points)
    bounds = [lower_bound(problem, point).value for point in evidence.random_points]
    finite = [bound for bound in bounds if math.isfinite(bound)]
    note = f"{len(finite)} random points; largest bound / least f - 1"
    return Finding(worst_of(evidence.of_f(bound - best, best) for bound in finite), 1e-12, note)


WEAK_DUALITY = Theorem("weak duality", "D(any point) <= f(every point)", here("3.2"), (CONJUGATE,), weak_duality)


def global_optimality(problem: Problem, evidence: Evidence) -> Finding:
    """Each free descent ends within rounding of the lower bound that its own end gives."""
    bounds = ((lower_bound(problem, solution.point).value, solution.value) for solution in evidence.ends)
    gaps = (evidence.of_f(abs(value - bound), value) for bound, value in bounds)
    return Finding(worst_of(gaps), GAP, f"{converged(evidence)}; gap / f")


GLOBAL_OPTIMALITY = Theorem(
    "global optimality",
    "every descent ends at a global minimiser",
    f"{ZHU_SADDLE} (d > K); {here('4.2')} (d >= K - 1, any class counts)",
    (CONVEX, CONJUGATE, WIDE),
    global_optimality,
)
