"""A classifier that is given: one minimiser, certified, with margins that do not see the class counts."""

import math

import torch

from ....models import FixedClassifier
from ....solvers.bias import without_shift
from ...model_evidence import ModelEvidence
from ...theorem import EXACT, Finding, Theorem, here, worst_of
from .common import CLOSED_FORM, CONJUGATE, CONVEX, SMALL, closed_form, exact_spectrum, weak_duality

YANG = "Yang et al. 2022 (arXiv 2203.09081)"
DUALITY = Theorem(
    "fixed-classifier duality", "D(any point) <= f(every point)", here("12.2"), (CONJUGATE,), weak_duality
)


def one_minimizer(model: FixedClassifier, evidence: ModelEvidence) -> Finding:
    """All descents end in the same features and bias, and each is certified global by its gap."""
    first, *others = [model.free.class_means(end.point) for end in evidence.ends]
    unit = (first.W @ first.H.T).abs().max() + 1
    length = max(float(first.H.norm()), math.sqrt(2 * model.free.drop / (model.lambda_h * model.free.num_samples)))
    deviations = [abs(judged.duality_gap / judged.value) for judged in evidence.judged]
    for other in others:
        moved = without_shift(model.free, first.b - other.b) if model.bias else first.b - other.b
        deviations += [float((first.H - other.H).norm()) / length, float(moved.abs().max() / unit)]
    return Finding(worst_of(deviations), 10 * EXACT, f"{evidence.looked_at}; H, b and gap / f")


ONE_MINIMIZER = Theorem(
    "fixed-classifier minimiser",
    "f is convex: one minimiser, certified by duality",
    f"{YANG}; {here('12.2')}",
    (CONVEX, CONJUGATE),
    one_minimizer,
)
FORM = Theorem(
    "fixed frame, closed form",
    "h_k along w_k (e_k behind a ReLU), one margin",
    f"{YANG}; {here('12.2')}",
    (CLOSED_FORM,),
    closed_form,
)


def margins(model: FixedClassifier, evidence: ModelEvidence) -> Finding:
    """At every end all classes have one margin over each other class, whatever their n_k."""
    deviations = []
    for end in evidence.ends:
        point = model.free.class_means(end.point)
        logits = without_shift(model.free, point.H @ point.W.T + point.b)
        apart = logits.diagonal()[:, None] - logits
        apart = apart[~torch.eye(len(apart), dtype=torch.bool, device=apart.device)]
        deviations.append((apart.max() - apart.min()) / (1 + apart.abs().max()))
    counts = model.class_counts
    return Finding(
        worst_of(deviations), 10 * EXACT, f"{len(evidence.ends)} ends; n_k from {min(counts)} to {max(counts)}"
    )


MARGINS = Theorem(
    "fixed frame, margins",
    "margins do not depend on n_k",
    f"{YANG}; {here('12.2')}",
    (CLOSED_FORM,),
    margins,
)


SPECTRUM = Theorem(
    "fixed-classifier spectrum", "block eigenvalues = dense eigenvalues", here("12.2"), (SMALL,), exact_spectrum
)

THEOREMS = (DUALITY, ONE_MINIMIZER, FORM, MARGINS, SPECTRUM)
