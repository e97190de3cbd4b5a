"""Deep linear models: what is left of neural collapse when the logits have more than two factors."""

import math
from dataclasses import replace

import torch

from ....analysis import spectrum
from ....losses import CrossEntropy, MeanSquare
from ....models import DeepLinear, Factors
from ....models.codes import grouped_logits, pairs, pairs_beat_simplex, simplex_margin
from ....models.factors import balanced_factors
from ....models.schatten import threshold
from ...evidence import Undecided
from ...model_evidence import ModelEvidence
from ...theorem import EXACT, Finding, Hypothesis, Theorem, here, worst_of
from .common import CLOSED_FORM, CONJUGATE, CONVEX, SMALL, closed_form, spectrum_deviation, weak_duality

DANG = "Dang et al. 2023 (arXiv 2301.00437)"
GARROD = "Garrod and Keating 2024 (arXiv 2410.23169)"
NEAR = 1e-3  # to the threshold, from both sides

TWO = Hypothesis("two factors", lambda m: m.depth == 2)
DEEP = Hypothesis("three factors or more", lambda m: m.depth >= 3)
SEVERAL = Hypothesis("some class with n_k >= 2", lambda m: max(m.class_counts) >= 2)
ONE_HOT = Hypothesis("the squared error of labels", lambda m: isinstance(m.loss, MeanSquare) and m.loss.one_hot)


def _has_pairs(model: DeepLinear) -> bool:
    balanced = isinstance(model.loss, CrossEntropy) and model.free.is_balanced
    return balanced and pairs_beat_simplex(model.free.num_classes, model.depth)


def _has_simplex(model: DeepLinear) -> bool:
    K, counts = model.free.num_classes, model.class_counts
    return model.dim >= K - 1 and simplex_margin(K, counts[0], model.depth, model.decay) is not None


PAIRS_COST_LESS = Hypothesis("balanced cross-entropy with K >= 4, L >= 4 or K >= 6, L >= 3", _has_pairs)
SIMPLEX = Hypothesis("d >= K - 1 and a decay so small that an ETF is critical", _has_simplex)

DUALITY = Theorem("deep duality", "one number <= f(every point)", here("12.4"), (CONJUGATE,), weak_duality)


def balance(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """W_(l+1)^T W_(l+1) = W_l W_l^T and W_1^T W_1 = H~^T H~ at every end, relative to the square of their unit."""
    deviations = []
    for end in evidence.ends:
        scaled = _weighted(model, end.point)
        left = [W.T @ W for W in end.point.layers]
        right = [scaled.T @ scaled, *(W @ W.T for W in end.point.layers)]
        deviations += [(a - b).norm() / _unit(model, end.value) ** 2 for a, b in zip(left, right, strict=False)]
    return Finding(worst_of(deviations), EXACT, f"{evidence.looked_at}; {model.depth - 1} inner spaces")


def _weighted(model: DeepLinear, point: Factors) -> torch.Tensor:
    """H~ of a collapsed point: the rows sqrt(n_t) h_t."""
    return model.free.landscape(collapsed=True).roots * point.H


def _unit(model: DeepLinear, value: float) -> float:
    """The largest norm that a factor can have where f is that low and all have one norm: sqrt(2 f/(L decay))."""
    return math.sqrt(2 * value / (model.depth * model.decay))


BALANCE = Theorem("deep balance", "W_(l+1)^T W_(l+1) = W_l W_l^T", f"{DANG}; {here('12.4')}", (), balance)


def collapse(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """Features of one type, apart from each other at the start and free to the end, meet: relative to their unit."""
    seeds = range(evidence.seed, evidence.seed + evidence.starts)
    found = [end for end in (model.minimize(seed, reduce=False) for seed in seeds) if end.converged]
    if not found:
        raise Undecided("no descent over all features converged")
    deviations = []
    for end in found:
        means = model.collapsed(end.point).H[model.free.labels]
        deviations.append((end.point.H - means).norm() / _unit(model, end.value))
    return Finding(worst_of(deviations), 1e-6, f"{len(found)} of {len(seeds)} descents over all N features converged")


COLLAPSE = Theorem(
    "deep collapse", "h_i = h_j within a type", f"{DANG}; {here('12.4')}", (CONVEX, SEVERAL, SMALL), collapse
)
FORM = Theorem(
    "deep closed form",
    "squared error: singular values decouple; L = 2, K = 2: the ETF",
    f"{DANG}; {here('12.4')}",
    (CLOSED_FORM,),
    closed_form,
)


def jump(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """Above the largest class's threshold no descent is below f(0); just below it, x is (L-2)/(L-1) of sqrt(n).

    Descents start from every rank.
    """
    L, N, size = model.depth, model.free.num_samples, math.sqrt(max(model.class_counts))
    at, starts = threshold(size, N, L), min(model.dim, model.free.num_classes)
    above, under = (replace(model, decay=factor * at) for factor in (1 + NEAR, 1 - NEAR))
    origin = float(above.objective(above.origin()))
    lowest = min(above.minimize(seed).value for seed in range(starts))
    best = min((under.minimize(seed) for seed in range(starts)), key=lambda end: end.value)
    fell = float(under.objective(under.origin())) - best.value
    kept = float(torch.linalg.matrix_norm(_weighted(under, best.point) @ best.point.classifier.T, 2)) / size
    deviations = [max(0.0, 1 - lowest / origin), abs(kept - (L - 2) / (L - 1)), 0.0 if fell > 0 else math.inf]
    note = f"{starts} descents at each of decay = {at:.6g} +- 0.1%; size {kept:.5f} below, 0 above"
    return Finding(worst_of(deviations), 10 * NEAR, note)


JUMP = Theorem(
    "first-order jump",
    "at K lambda n^(1/L) = c(L), x/sqrt(n) jumps from (L-2)/(L-1) to 0",
    here("12.4"),
    (ONE_HOT, DEEP),
    jump,
)


def simplex_is_beaten(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """At the margin of the best ETF, groups of two classes (and one of three) have a lower f; f there over f less 1."""
    K, n = model.free.num_classes, model.class_counts[0]
    etf = model.etf()
    margin = simplex_margin(K, n, model.depth, model.decay)
    assert etf is not None
    assert margin is not None
    better = balanced_factors(
        grouped_logits(pairs(K), margin), model.free.landscape(collapsed=True).roots, model.dim, model.depth
    )
    there, value = float(model.objective(better)), float(model.objective(etf))
    critical = 0.0 if model.residual(etf) <= EXACT else math.inf
    note = f"f = {value:.8g} at the ETF, {there:.8g} at groups {pairs(K)}, {min(value, evidence.level):.8g} at best"
    return Finding(worst_of([there / value - 1 + critical]), -1e-6, note)


BEATEN = Theorem(
    "simplex not optimal",
    "no simplex ETF is a global minimiser",
    f"{GARROD}; {here('12.4')}",
    (PAIRS_COST_LESS, SIMPLEX),
    simplex_is_beaten,
)


def origin_is_minimal(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """The Hessian at 0, by autograd over all variables, is decay times the identity."""
    f, origin = model.chain(), model.origin()
    dense = torch.autograd.functional.hessian(f.value, f.pack(origin), vectorize=True)
    identity = torch.eye(f.size, dtype=dense.dtype, device=dense.device)
    deviations = [(dense / model.decay - identity).abs().max(), model.residual(origin)]
    return Finding(worst_of(deviations), EXACT, f"{f.size} collapsed variables")


ORIGIN = Theorem(
    "deep origin", "0 is a strict local minimiser, at every width", here("12.4"), (DEEP, SMALL), origin_is_minimal
)


def dense_levels(model: DeepLinear, point: Factors) -> torch.Tensor:
    """The eigenvalues of the Hessian over all N features by autograd."""
    f = model.chain(collapsed=False)
    x = f.pack(replace(point, H=point.H[model.free.labels]))
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(f.value, x, vectorize=True))


def exact_spectrum(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """The blocks' eigenvalues are those of the dense Hessian by autograd."""
    deviations = [
        spectrum_deviation(model.spectrum(end.point), dense_levels(model, end.point)) for end in evidence.ends
    ]
    return Finding(worst_of(deviations), EXACT, f"{model.num_variables} variables at {len(evidence.ends)} ends")


SPECTRUM = Theorem("deep spectrum", "block eigenvalues = dense eigenvalues", here("12.4"), (SMALL,), exact_spectrum)


def width(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """One dimension more adds no negative eigenvalue of the dense Hessian at an end: its negative part stays."""
    wide, deviations = replace(model, dim=model.dim + 1), []
    for end in evidence.ends:
        narrow, more = (dense_levels(m, p) for m, p in ((model, end.point), (wide, end.point.padded(wide.dim))))
        parts = [levels.clamp_max(0).square().sum().sqrt() / levels.abs().max() for levels in (narrow, more)]
        deviations.append(abs(parts[1] - parts[0]))
    return Finding(worst_of(deviations), EXACT, f"d = {model.dim} and {wide.dim} at {len(evidence.ends)} ends")


WIDTH = Theorem("width is no help", "L >= 3: an index does not depend on d", here("12.4"), (DEEP, SMALL), width)


def two_factors(model: DeepLinear, evidence: ModelEvidence) -> Finding:
    """f and the spectrum at the ends are those of the problem with both decays equal and no bias."""
    deviations = []
    for end in evidence.ends:
        problem, point = model.free, end.point.point
        ours, theirs = model.spectrum(end.point).expanded(), spectrum(problem, point).expanded()
        deviations.append(abs(float(problem.objective(point)) - end.value) / end.value)
        deviations.append(float((ours - theirs).abs().max() / theirs.abs().max()))
    return Finding(worst_of(deviations), EXACT, f"{len(evidence.ends)} ends")


TWO_FACTORS = Theorem("two factors", "f and its Hessian are ufm.Problem's", here("12.4"), (TWO,), two_factors)

THEOREMS = (DUALITY, BALANCE, COLLAPSE, FORM, JUMP, BEATEN, ORIGIN, WIDTH, SPECTRUM, TWO_FACTORS)
