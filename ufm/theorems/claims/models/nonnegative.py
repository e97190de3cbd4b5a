"""Features behind a ReLU, H >= 0: the minimiser, and what is left of the free model's theorem."""

import math
from dataclasses import replace

from ....losses import CrossEntropy
from ....models import Nonnegative
from ....models.model import RESIDUAL
from ....models.orthant import ROWS
from ....point import Point
from ....results import PointVerdict
from ...evidence import Undecided
from ...model_evidence import ModelEvidence
from ...theorem import EXACT, Finding, Hypothesis, Theorem, here, worst_of
from .common import CLOSED_FORM, CONJUGATE, CONVEX, SMALL, closed_form, exact_spectrum, weak_duality

DANG = "Dang et al. 2024 (arXiv 2401.02058)"
HAEFFELE = "Haeffele and Vidal 2015 (arXiv 1506.07540)"
FEW_TYPES = Hypothesis(f"at most {ROWS} types (copositivity is decided)", lambda m: m.free.num_types <= ROWS)
CROSS_ENTROPY = Hypothesis("cross-entropy", lambda m: isinstance(m.loss, CrossEntropy))
BENIGN = (PointVerdict.GLOBAL_MINIMIZER, PointVerdict.STRICT_SADDLE)
ONE_SPLIT = Hypothesis(
    "no bias, a decayed one, or K >= 3 (two classes share a margin with a free bias in many ways)",
    lambda m: not m.bias or m.lambda_b > 0 or m.free.num_classes >= 3,
)
NEAR = 1e-3  # of the threshold: where a class's features are too small to be told from 0

DUALITY = Theorem("nonnegative duality", "D(any point) <= f(every point)", here("12.1"), (CONJUGATE,), weak_duality)
MINIMIZER = Theorem(
    "nonnegative minimiser",
    "h_k = |h_k| e_k, w_k along 1 - 1/K: certified, in closed form",
    f"{DANG}; certificate: {here('12.1')}",
    (CLOSED_FORM,),
    closed_form,
)


def geometry(model: Nonnegative, evidence: ModelEvidence) -> Finding:
    """Different classes share no unit at any certified end, and the logits are those of the closed form."""
    form = evidence.closed_form
    wanted, deviations = form.H @ form.W.T, []
    for point in evidence.minimizers:
        H = model.free.class_means(point).H
        gram = H @ H.T
        apart = gram - gram.diagonal().diag()
        deviations += [apart.abs().max() / gram.diagonal().max().clamp_min(1e-300)]
        deviations += [(H @ point.W.T - wanted).abs().max() / (1 + wanted.abs().max())]
    return Finding(worst_of(deviations), 10 * EXACT, f"{evidence.looked_at}; inner products and logits")


GEOMETRY = Theorem(
    "nonnegative geometry",
    "features of different classes are orthogonal",
    f"{DANG}; {here('12.1')}",
    (CLOSED_FORM, ONE_SPLIT),
    geometry,
)


def vanishing(model: Nonnegative, evidence: ModelEvidence) -> Finding:
    """At every certified end the classes without features are those with n_k <= N^2 lW lH K/(K-1), and no other."""
    K, unit = model.free.num_classes, (model.free.num_samples * model.free.ridge) ** 2
    ratios = [n / (unit * K / (K - 1)) for n in model.class_counts]
    if any(abs(ratio - 1) < NEAR for ratio in ratios):
        raise Undecided("a class is at its threshold")
    wanted, deviations = [k for k, ratio in enumerate(ratios) if ratio <= 1], []
    for point in evidence.minimizers:
        lengths = model.free.class_means(point).H.norm(dim=1)
        gone = (lengths <= 1e-6 * max(float(lengths.max()), model.free.stretch)).nonzero().flatten().tolist()
        deviations.append(float(len(set(gone) ^ set(wanted))))
    return Finding(worst_of(deviations), 0.0, f"{evidence.looked_at}; classes that vanish: {wanted or 'none'}")


VANISHING = Theorem(
    "nonnegative vanishing",
    "class k vanishes iff n_k <= N^2 lW lH K/(K-1)",
    f"{DANG}; {here('12.1')}",
    (CLOSED_FORM,),
    vanishing,
)


def dead_units(model: Nonnegative, evidence: ModelEvidence) -> Finding:
    """With a dead unit a critical point is global or falls: seen at ends, parallel units merged, one added, and at 0.

    Each is judged anew; where the Hessian alone shows no fall, f is seen to fall along the dead unit's steepest pair.
    """
    wider, seeds = replace(model, dim=model.dim + 1), range(evidence.seed, evidence.seed + evidence.starts)
    points = [model.merged(model.minimize(seed, escape=False).point).padded(wider.dim) for seed in seeds]
    points.append(wider.random_point(evidence.seed, 0.0))
    critical = [point for point in points if wider.residual(point) <= RESIDUAL]
    verdicts = [wider.certify(point).verdict for point in critical]
    undecided = [verdict for verdict in verdicts if verdict not in BENIGN]
    bounded = [
        point
        for point, verdict in zip(critical, verdicts, strict=True)
        if verdict == PointVerdict.STRICT_SADDLE and not wider.spectrum(point).index
    ]
    stuck = [point for point in bounded if not _falls(wider, point)]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in BENIGN]
    note = f"{len(critical)} points with a dead unit: {', '.join(counts)}"
    return Finding(worst_of([math.inf if not critical else float(len(undecided) + len(stuck))]), 0.0, note)


def _falls(model: Nonnegative, point: Point) -> bool:
    lower = model.escape(point)
    return lower is not None and float(model.objective(lower)) < float(model.objective(point))


DEAD_UNITS = Theorem(
    "nonnegative landscape",
    "a second-order point with a dead unit is global",
    f"{here('12.1')}; {HAEFFELE}",
    (CONVEX, CONJUGATE, FEW_TYPES),
    dead_units,
)


def behind_a_relu(model: Nonnegative, evidence: ModelEvidence) -> Finding:
    """Local minimisers that are not global, for d = K - 1, d = K and d = 3 K: the free model has none.

    K = 4, d = 3: every unit is in use, and no two are parallel. K = 3, d = 3 and K = 4, d = 12, classes imbalanced:
    units are parallel, and may be split into more, so that there is a trap at every larger d as well.
    """
    notes, deviations = [], []
    for trapped in TRAPS:
        ends = [trapped.minimize(seed, escape=False) for seed in range(12)]
        best = min(end.value for end in ends)
        if trapped.dim >= trapped.free.num_classes:
            best = float(trapped.objective(trapped.closed_form()))
        above = [end for end in ends if end.converged and end.value > best * (1 + 1e-6)]
        local = [end for end in above if trapped.certify(end.point).verdict == PointVerdict.LOCAL_MINIMIZER]
        deviations.append(0.0 if local else math.inf)
        values = sorted({round(end.value, 6) for end in local})
        notes.append(f"K = {trapped.free.num_classes}, d = {trapped.dim}: {_listed(values)} above {best:.6f}")
    return Finding(worst_of(deviations), 0.0, "; ".join(notes))


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.6f}" for value in values) or "none"


TRAPS = (
    Nonnegative((2, 2, 2, 2), 3, 5e-3, 5e-3),
    Nonnegative((2, 2, 2), 3, 5e-3, 5e-3),
    Nonnegative((20, 20, 1, 1), 12, 2e-2, 2e-2),
)
FREE_THEOREM = Theorem(
    "free theorem behind a ReLU",
    "fails: local minimisers that are not global, at every d",
    here("12.1"),
    (CROSS_ENTROPY,),
    behind_a_relu,
)


SPECTRUM = Theorem(
    "nonnegative spectrum",
    "block eigenvalues = dense eigenvalues inside the bounds",
    here("12.1"),
    (SMALL,),
    exact_spectrum,
)

THEOREMS = (DUALITY, MINIMIZER, GEOMETRY, VANISHING, DEAD_UNITS, FREE_THEOREM, SPECTRUM)
