"""The landscape: no critical point but global minimisers and strict saddles, and where that ends."""

import math

from ...certificates import certify
from ...losses import BinaryCrossEntropy
from ...problem import Problem
from ...results import PointVerdict
from ..evidence import Evidence, Undecided
from ..hypotheses import (
    BALANCED,
    BEYOND_K,
    CONJUGATE,
    CONVEX,
    CROSS_ENTROPY,
    WEAK_DECAY,
)
from ..theorem import ZHU_SADDLE, Finding, Hypothesis, Theorem, here, worst_of


def landscape_beyond_k(problem: Problem, evidence: Evidence) -> Finding:
    """Every critical point at hand is certified global, or shown to be a strict saddle; and there are saddles."""
    return benign(evidence)


LANDSCAPE_BEYOND_K = Theorem(
    "landscape, d > K",
    "every critical point is global or a strict saddle",
    ZHU_SADDLE,
    (CROSS_ENTROPY, BALANCED, BEYOND_K, WEAK_DECAY),
    landscape_beyond_k,
)


def landscape_from_k_minus_1(problem: Problem, evidence: Evidence) -> Finding:
    """d >= K - 1 is enough, for any class counts; looked at for d = K - 1, d = K, and the problem's own d.

    (That is for a shift-invariant loss. For another one d >= K is, where the argument for r = K - 1 is one for r = K.)

    At a critical point 1^T W = 0, so r = rank W <= K - 1.
    If r = K - 1: the range of W is the complement of (1, ..., 1). There G~ G~^T = lW lH I, and
    1^T G~ = 0, so every singular value of G~ is sqrt(lW lH) or 0: convex duality makes the point global.
    If r < K - 1 <= d: W has a null vector v in R^d, so either sigma_max(G~) <= sqrt(lW lH) and the point is
    global, or (u v^T, -v t^T) with the top singular pair (u, t) has negative curvature.
    The step for r = K - 1 is checked too, where a point has that rank: sigma_max = sqrt(lW lH) there. None has where
    minority classes merge.
    """
    findings, steps = [], []
    for sibling in evidence.siblings.values():
        findings.append(benign(sibling))
        full = [c for c in sibling.judged if c.rank == problem.largest_rank]
        steps += [abs(c.sigma_max / c.ridge - 1) for c in full]
    notes = [f"d = {d}: {f.note}" for d, f in zip(evidence.siblings, findings, strict=True)]
    notes += [] if steps else [f"no point has rank {_largest(problem)}"]
    return Finding(worst_of([*(f.worst for f in findings), *steps]), 1e-6, "; ".join(notes))


LANDSCAPE_FROM_K_MINUS_1 = Theorem(
    "landscape, d >= K - 1",
    "every critical point is global or a strict saddle",
    f"{here('4.2', '10.1')}; Shen and Gu 2024 (arXiv 2407.10702) for d = K",
    (CONVEX, CONJUGATE, WEAK_DECAY),
    landscape_from_k_minus_1,
)


def sharpness(problem: Problem, evidence: Evidence) -> Finding:
    """A local minimiser of cross-entropy with a better point elsewhere, for K = 6 classes in the plane.

    Its Hessian is positive semidefinite with the orbit's tangent as null space, so no direction descends.
    """
    flat, local, better = evidence.trap
    certificate = certify(flat, local)
    rise = float(flat.objective(local) - flat.objective(better))
    least = math.nan if certificate.lambda_min is None else certificate.lambda_min
    trapped = certificate.verdict == PointVerdict.LOCAL_MINIMIZER and least >= -1e-12
    note = (
        f"K = {flat.num_classes}, d = {flat.dim}: f = {certificate.value:.6g}, index {certificate.index}, nullity "
        f"{certificate.nullity} = orbit dimension, but {rise:.3g} above another point"
    )
    return Finding(-rise if trapped else math.inf, -1e-6, note if trapped else f"found a {certificate.verdict}")


SHARPNESS = Theorem(
    "sharpness", "with d < K - 1 some local minimisers are not global", here("4.5"), (CROSS_ENTROPY,), sharpness
)


def binary_sharpness(problem: Problem, evidence: Evidence) -> Finding:
    """Local minimisers of rank d = K - 1 = 4 that are not global, where a shift-invariant loss has none."""
    flat, local, better = evidence.binary_trap
    certificate = certify(flat, local)
    rise = float(flat.objective(local) - flat.objective(better))
    trapped = certificate.verdict == PointVerdict.LOCAL_MINIMIZER and certificate.rank == flat.dim
    note = (
        f"K = {flat.num_classes}, d = {flat.dim}: f = {certificate.value:.10g}, index {certificate.index}, nullity "
        f"{certificate.nullity} = orbit dimension, but {rise:.3g} above another point"
    )
    return Finding(-rise if trapped else math.inf, -1e-6, note if trapped else f"found a {certificate.verdict}")


BINARY_SHARPNESS = Theorem(
    "binary sharpness",
    "with d = K - 1 some local minimisers are not global",
    here("10.8"),
    (Hypothesis("binary cross-entropy", lambda p: isinstance(p.loss, BinaryCrossEntropy)),),
    binary_sharpness,
)


def _largest(problem: Problem) -> str:
    r = problem.largest_rank
    return "K - 1" if r == problem.num_classes - 1 else str(r)


def benign(evidence: Evidence) -> Finding:
    """0 when every critical point at hand is a global minimiser, or a strict saddle with its direction."""
    verdicts = [c.verdict for c in evidence.judged]
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in sorted(set(verdicts)))
    shown = [
        c.verdict != PointVerdict.STRICT_SADDLE or (c.curvature is not None and c.curvature < 0)
        for c in evidence.judged
    ]
    if PointVerdict.LOCAL_MINIMIZER in verdicts or not all(shown):
        return Finding(math.inf, 1e-6, counts)
    if set(verdicts) != {PointVerdict.GLOBAL_MINIMIZER, PointVerdict.STRICT_SADDLE}:
        raise Undecided(f"needs a minimiser and a saddle, and nothing else; at hand: {counts or 'no critical point'}")
    return Finding(0.0, 1e-6, counts)
