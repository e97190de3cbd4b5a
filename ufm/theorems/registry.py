"""The registry: what is claimed of the unconstrained feature model, by whom, when, and a check of each.

A check returns a Finding: the worst deviation that it saw, to be at most the tolerance. A check that has
nothing to look at, or whose material decides nothing, raises Undecided: no claim holds vacuously, and none fails for
want of a proof.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from ..analysis import analysis, spectrum
from ..certificates import GAP, certify, descent_direction, lower_bound
from ..closed_forms.cross_entropy import collapse_ratio, minimizer_scale
from ..errors import NoClosedForm
from ..losses import CrossEntropy
from ..problem import Problem
from ..solvers.critical import origin
from ..solvers.sharpen import DENSE
from ..spectra import orbit_dimension
from ..spectra.rates import measured_rate, predicted_rate
from .evidence import Evidence, Undecided

EXACT = 1e-8  # relative tolerance of identities checked at numerically critical points
DENSE_LIMIT = 2000  # the most variables for which the dense Hessian is formed by autograd
CONDITION = 1e5  # the largest at which a rate 1 - 1/condition is told from 1

ZHU_GLOBAL = "Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.1"
ZHU_SADDLE = "Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.2"
HERE = "this project; argument in ufm/theorems"


@dataclass(frozen=True)
class Hypothesis:
    """A predicate on problems; `needs` completes the sentence "not covered: needs ..."."""

    needs: str
    holds: Callable[[Problem], bool]


@dataclass(frozen=True)
class Finding:
    """The worst deviation a check saw, the most it may be, and what it looked at."""

    worst: float
    tolerance: float
    note: str


@dataclass(frozen=True)
class Theorem:
    """A claim: its name, statement, source, hypotheses, and a check on evidence."""

    name: str
    statement: str
    source: str
    hypotheses: tuple[Hypothesis, ...]
    check: Callable[[Problem, Evidence], Finding]

    def missing(self, problem: Problem) -> list[str]:
        """What the problem lacks for the claim to be about it."""
        return [h.needs for h in self.hypotheses if not h.holds(problem)]


def _origin_is_saddle(problem: Problem) -> bool:
    """Whether some descent leaves the origin: sigma_max > sqrt(lW lH) there (K s < 1 when balanced)."""
    return lower_bound(problem, origin(problem)).sigma_max > problem.ridge * (1 + 1e-6)


def _is_moderate(problem: Problem) -> bool:
    """Of a problem with a closed form; one without lacks another hypothesis."""
    try:
        return spectrum(problem).condition <= CONDITION
    except NoClosedForm:
        return True


BALANCED = Hypothesis("balanced classes", lambda p: p.is_balanced)
CROSS_ENTROPY = Hypothesis("cross-entropy", lambda p: isinstance(p.loss, CrossEntropy))
WIDE = Hypothesis("d >= K - 1", lambda p: p.dim >= p.num_classes - 1)
WEAK_DECAY = Hypothesis("decay below the collapse threshold (K sqrt(n lW lH) < 1 if balanced)", _origin_is_saddle)
BIAS = Hypothesis("a bias", lambda p: p.bias)
SEVERAL = Hypothesis("some class with n_k >= 2", lambda p: max(p.class_counts) >= 2)
MANY_CLASSES = Hypothesis("K >= 3 (no rank lies between 0 and K - 1 for K = 2)", lambda p: p.num_classes >= 3)
SMALL = Hypothesis(f"at most {DENSE_LIMIT} variables (dense Hessian)", lambda p: p.num_variables <= DENSE_LIMIT)
BEYOND_K = Hypothesis("d > K", lambda p: p.dim > p.num_classes)
MODERATE = Hypothesis(f"a condition number of at most {CONDITION:,.0f} (gradient descent)", _is_moderate)
REDUCED = Hypothesis(
    f"2 K (K - 1) + K <= {DENSE:,} (reduced Hessian)", lambda p: p.num_classes * (2 * p.num_classes - 1) <= DENSE
)
OPEN = ("not critical", "degenerate")  # verdicts of certificates that decide nothing
ETF = (CROSS_ENTROPY, BALANCED, WIDE, WEAK_DECAY)


def worst_of(deviations: Iterable[float]) -> float:
    """The largest deviation; infinite when one is NaN. Undecided when there is none at all."""
    found = [float(deviation) for deviation in deviations]
    if not found:
        raise Undecided("there was nothing to look at")
    return max(found) if not any(math.isnan(d) for d in found) else math.inf


def _converged(evidence: Evidence) -> str:
    return f"{len(evidence.ends)} of {len(evidence.solutions)} free descents converged"


def _near_threshold(problem: Problem) -> float:
    """The relative tolerance of the minimiser's geometry: its scale is as ill-determined as 1 - K s is small."""
    return EXACT / (1 - collapse_ratio(problem))


def within_class_collapse(problem: Problem, evidence: Evidence) -> Finding:
    """For fixed (W, b) each feature minimises the same strictly convex function, so h_{k,i} = h_k."""
    deviations = []
    for solution in evidence.ends:
        mean = problem.class_means(solution.point)
        spread = (solution.point.H - problem.expand(mean).H).norm(dim=1).max()
        deviations.append(spread / evidence.feature_unit)
    return Finding(worst_of(deviations), EXACT, _converged(evidence))


def zero_row_sum(problem: Problem, evidence: Evidence) -> Finding:
    """Columns of G sum to zero, so 1^T W = 0 wherever the gradient in W vanishes."""
    deviations = [point.W.sum(0).norm() / evidence.classifier_unit for point in evidence.critical_points]
    return Finding(worst_of(deviations), EXACT, f"{len(deviations)} critical points")


def balance(problem: Problem, evidence: Evidence) -> Finding:
    """lW W^T W = lH H^T H (H a sample a row), over 2 f: multiply both stationarity equations by the other factor."""
    deviations = []
    for point in map(problem.expand, evidence.critical_points):
        residual = problem.lambda_w * point.W.T @ point.W - problem.lambda_h * point.H.T @ point.H
        deviations.append(residual.norm() / (2 * problem.objective(point)))
    return Finding(worst_of(deviations), EXACT, f"{len(deviations)} critical points")


def isotropic_residual(problem: Problem, evidence: Evidence) -> Finding:
    """G~ G~^T = lW lH on the range of W (columns of G~ a class).

    Relative to |G~|_2 sqrt(lW lH), as products are, and to the rounding of |G~|_2^2, about 1e-14, over the tolerance.
    """
    deviations = []
    for point in [*evidence.critical_points, evidence.minimizer]:
        rank, point = analysis(problem, point).rank, problem.class_means(point)
        G = problem.jet(point).G.T
        if rank:
            U = torch.linalg.svd(point.W)[0][:, :rank]
            size = torch.linalg.matrix_norm(G, 2)
            unit = size * (problem.ridge + 1e-8 * size)
            deviations.append((G @ (G.T @ U) - problem.ridge**2 * U).norm() / unit)
    return Finding(worst_of(deviations), 1e-6, f"{len(deviations)} critical points of rank >= 1")


def averaging_descends(problem: Problem, evidence: Evidence) -> Finding:
    """f is convex in H for fixed W, b (Jensen)."""
    rises = [
        problem.objective(mean) / problem.objective(point) - 1
        for point, mean in zip(evidence.random_points, evidence.averaged_points, strict=True)
    ]
    return Finding(worst_of(rises), 1e-12, f"{len(rises)} random points; largest relative change of f")


def weak_duality(problem: Problem, evidence: Evidence) -> Finding:
    """The dual value implied by any point at all is below f everywhere, so below the best f known."""
    best = min(float(problem.objective(point)) for point in evidence.critical_points)
    bounds = [lower_bound(problem, point).value for point in evidence.random_points]
    finite = [bound for bound in bounds if math.isfinite(bound)]
    note = f"{len(finite)} random points; largest bound / least f - 1"
    return Finding(worst_of(bound / best - 1 for bound in finite), 1e-12, note)


def global_optimality(problem: Problem, evidence: Evidence) -> Finding:
    """Each free descent ends within rounding of the lower bound that its own end proves."""
    gaps = (abs(lower_bound(problem, solution.point).value / solution.value - 1) for solution in evidence.ends)
    return Finding(worst_of(gaps), GAP, f"{_converged(evidence)}; gap / f")


def etf_geometry(problem: Problem, evidence: Evidence) -> Finding:
    """W W^T / |W W^T| = (I - 11^T/K)/sqrt(K - 1) at every minimiser found."""
    K = problem.num_classes
    target = (torch.eye(K, dtype=torch.float64, device="cpu") - 1 / K) / math.sqrt(K - 1)
    grams = [solution.point.W @ solution.point.W.T for solution in evidence.ends]
    return Finding(
        worst_of((g / g.norm() - target).norm() for g in grams), _near_threshold(problem), _converged(evidence)
    )


def self_duality(problem: Problem, evidence: Evidence) -> Finding:
    """h_{k,i} = sqrt(lW/(n lH)) w_k at every minimiser found."""
    ratio = math.sqrt(problem.lambda_w / (problem.per_class * problem.lambda_h))
    deviations = []
    for solution in evidence.ends:
        twins = ratio * solution.point.W[problem.labels]
        deviations.append((solution.point.H - twins).norm(dim=1).max() / evidence.feature_unit)
    return Finding(worst_of(deviations), _near_threshold(problem), _converged(evidence))


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


def zero_bias(problem: Problem, evidence: Evidence) -> Finding:
    """b = 0, or b a multiple of 1 when nothing decays it (lb = 0)."""
    deviations = []
    for b in (solution.point.b for solution in evidence.ends):
        # Only its decay holds the mean of b: a gradient of EXACT leaves it that much room.
        pull = problem.lambda_b * math.sqrt(problem.num_classes) / math.sqrt(4 * problem.ridge * evidence.level)
        deviations += [(b - b.mean()).abs().max(), abs(b.mean()) * min(1.0, pull)]
    return Finding(worst_of(deviations), EXACT, _converged(evidence))


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


def _alpha(problem: Problem, margin: float) -> float:
    return math.sqrt(margin * math.sqrt(problem.per_class * problem.lambda_h / problem.lambda_w))


def zero_saddle(problem: Problem, evidence: Evidence) -> Finding:
    """W = H = 0 is critical; the direction from the top singular pair of G~ descends where sigma > sqrt(lW lH)."""
    return _strictness(problem, evidence, [0])


def saddles_of_every_rank(problem: Problem, evidence: Evidence) -> Finding:
    """The solution of the problem with d = r < K - 1 is critical for every larger d, and a strict saddle there.

    Of more than eight ranks eight are looked at; the note names them.
    """
    return _strictness(problem, evidence, evidence.ranks)


def _strictness(problem: Problem, evidence: Evidence, ranks: Iterable[int]) -> Finding:
    """Each point is critical, of its rank, and the explicit direction has the negative curvature claimed.

    The curvature (lW + lH)/2 - sqrt(((lW - lH)/2)^2 + sigma^2) is compared with the second form of f.
    """
    deviations, curvatures = [], []
    for rank in ranks:
        certificate, point = evidence.certificates.get(rank), ({0: evidence.origin} | evidence.saddles).get(rank)
        if certificate is None or certificate.verdict in OPEN:
            raise Undecided(f"no critical point of rank {rank} was found that could be judged")
        strict = certificate.verdict == "strict saddle" and certificate.rank == rank
        explicit = descent_direction(problem, point) if strict else None
        if explicit is None:
            return Finding(math.inf, 1e-8, f"the point of rank {rank} is a {certificate.verdict}")
        direction, predicted = explicit
        measured = problem.curvature(point, direction)
        curvatures.append(measured)
        deviations.append(abs(measured - predicted) / abs(predicted) if predicted < 0 and measured < 0 else math.inf)
    note = f"rank {', '.join(map(str, ranks))}; curvature at most {max(curvatures, default=math.nan):.3g}"
    return Finding(worst_of(deviations), 1e-8, note)


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


def nondegenerate(problem: Problem, evidence: Evidence) -> Finding:
    """At the minimiser the Hessian is positive semidefinite and its null space is the orbit's tangent.

    The nullity is counted in the three blocks of the spectrum, which know nothing of the orbit.
    """
    point, levels = evidence.spectra["minimiser, blocks"]
    expected = orbit_dimension(problem, analysis(problem, point).rank)
    note = f"nullity {levels.nullity}, orbit dimension {expected}, condition number {levels.condition:.4g}"
    return Finding(float(abs(levels.nullity - expected) + levels.index), 0.0, note)


def landscape_beyond_k(problem: Problem, evidence: Evidence) -> Finding:
    """Every critical point at hand is proved global, or shown to be a strict saddle; and there are saddles."""
    return _benign(evidence)


def landscape_from_k_minus_1(problem: Problem, evidence: Evidence) -> Finding:
    """d >= K - 1 is enough, for any class counts; looked at for d = K - 1, d = K, and the problem's own d.

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
        findings.append(_benign(sibling))
        full = [c for c in sibling.judged if c.rank == problem.num_classes - 1]
        steps += [abs(c.sigma_max / c.ridge - 1) for c in full]
    notes = [f"d = {d}: {f.note}" for d, f in zip(evidence.siblings, findings, strict=True)]
    notes += [] if steps else ["no point has rank K - 1"]
    return Finding(worst_of([*(f.worst for f in findings), *steps]), 1e-6, "; ".join(notes))


def _benign(evidence: Evidence) -> Finding:
    """0 when every critical point at hand is a global minimiser, or a strict saddle with its direction."""
    verdicts = [c.verdict for c in evidence.judged]
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in sorted(set(verdicts)))
    shown = [c.verdict != "strict saddle" or (c.curvature is not None and c.curvature < 0) for c in evidence.judged]
    if "local minimizer" in verdicts or not all(shown):
        return Finding(math.inf, 1e-6, counts)
    if set(verdicts) != {"global minimizer", "strict saddle"}:
        raise Undecided(f"needs a minimiser and a saddle, and nothing else; at hand: {counts or 'no critical point'}")
    return Finding(0.0, 1e-6, counts)


def sharpness(problem: Problem, evidence: Evidence) -> Finding:
    """A local minimiser with a better point elsewhere, for K = 6 classes in the plane.

    Its Hessian is positive semidefinite with the orbit's tangent as null space, so no direction descends.
    """
    flat, local, better = evidence.trap
    certificate = certify(flat, local)
    rise = float(flat.objective(local) - flat.objective(better))
    trapped = certificate.verdict == "local minimizer" and certificate.lambda_min >= -1e-12
    note = (
        f"K = {flat.num_classes}, d = {flat.dim}: f = {certificate.value:.6g}, index {certificate.index}, nullity "
        f"{certificate.nullity} = orbit dimension, but {rise:.3g} above another point"
    )
    return Finding(-rise if trapped else math.inf, -1e-6, note if trapped else f"found a {certificate.verdict}")


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


THEOREMS = (
    Theorem(
        "within-class collapse",
        "h_{k,i} = h_k at every critical point",
        f"{ZHU_GLOBAL} (minimisers); {HERE} (all critical points)",
        (SEVERAL, WEAK_DECAY),
        within_class_collapse,
    ),
    Theorem("zero row sum", "1^T W = 0, so rank W <= K - 1", HERE, (WEAK_DECAY,), zero_row_sum),
    Theorem(
        "balance",
        "lW W^T W = lH H^T H (a sample a row) at every critical point",
        ZHU_GLOBAL + ", proof",
        (WEAK_DECAY,),
        balance,
    ),
    Theorem("isotropic residual", "G~ G~^T = lW lH on range W", HERE, (WEAK_DECAY,), isotropic_residual),
    Theorem("averaging descends", "class means never raise f", HERE, (SEVERAL,), averaging_descends),
    Theorem("weak duality", "D(any point) <= f(every point)", HERE, (), weak_duality),
    Theorem(
        "global optimality",
        "every descent ends at a global minimiser",
        f"{ZHU_SADDLE} (d > K); {HERE} (d >= K - 1, any class counts)",
        (WIDE,),
        global_optimality,
    ),
    Theorem("ETF geometry", "W W^T ~ I - 11^T/K", ZHU_GLOBAL, ETF, etf_geometry),
    Theorem("self-duality", "h_k = sqrt(lW/(n lH)) w_k", ZHU_GLOBAL, ETF, self_duality),
    Theorem("closed-form scale", "alpha, beta, margin and f* in closed form", HERE, ETF, closed_form_scale),
    Theorem("zero bias", "b = 0 (a multiple of 1 if lb = 0)", ZHU_GLOBAL, (*ETF, BIAS), zero_bias),
    Theorem(
        "collapse threshold",
        "minimiser is not 0 iff K sqrt(n lW lH) < 1",
        HERE,
        (CROSS_ENTROPY, BALANCED, WIDE),
        collapse_threshold,
    ),
    Theorem(
        "zero saddle",
        "the origin is a strict saddle",
        f"{ZHU_SADDLE}; {HERE} (direction)",
        (WEAK_DECAY,),
        zero_saddle,
    ),
    Theorem(
        "saddles of every rank",
        "strict saddles of each rank 1 .. K - 2",
        f"{ZHU_SADDLE}; {HERE} (direction)",
        (CROSS_ENTROPY, BALANCED, WIDE, WEAK_DECAY, MANY_CLASSES),
        saddles_of_every_rank,
    ),
    Theorem(
        "landscape, d > K",
        "every critical point is global or a strict saddle",
        ZHU_SADDLE,
        (CROSS_ENTROPY, BALANCED, BEYOND_K, WEAK_DECAY),
        landscape_beyond_k,
    ),
    Theorem(
        "landscape, d >= K - 1",
        "every critical point is global or a strict saddle",
        HERE,
        (CROSS_ENTROPY, WEAK_DECAY),
        landscape_from_k_minus_1,
    ),
    Theorem("sharpness", "with d < K - 1 some local minimisers are not global", HERE, (), sharpness),
    Theorem("exact spectrum", "block eigenvalues = dense eigenvalues", HERE, (SMALL,), exact_spectrum),
    Theorem("nondegeneracy", "nullity of the Hessian = orbit dimension", HERE, (*ETF, REDUCED), nondegenerate),
    Theorem(
        "descent rate",
        "gradient descent converges at 1 - 1/condition",
        f"Polyak 1964; {HERE}",
        (CROSS_ENTROPY, BALANCED, WIDE, SMALL, MODERATE),
        descent_rate,
    ),
)
