"""Features and rows of W on spheres: the minimiser, and for which d there are no traps."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from ....losses import CrossEntropy
from ....models import Spheres
from ....point import Point
from ....results import PointVerdict
from ...evidence import Undecided
from ...model_evidence import ModelEvidence
from ...theorem import EXACT, OPEN, Finding, Hypothesis, Theorem, here, worst_of
from .common import CLOSED_FORM, CONJUGATE, SMALL, closed_form, spectrum_deviation, weak_duality

Losses = Callable[[torch.Tensor], torch.Tensor]
YARAS = "Yaras et al. 2022 (arXiv 2209.09211)"
WIDE = Hypothesis("cross-entropy and d >= K >= 2, d >= 3", lambda m: m.wide)
CROSS_ENTROPY = Hypothesis("cross-entropy", lambda m: isinstance(m.loss, CrossEntropy))

DUALITY = Theorem("spheres duality", "D(any point) <= f(every point)", here("12.3"), (CONJUGATE,), weak_duality)
MINIMIZER = Theorem(
    "spheres minimiser",
    "W = H a simplex frame: certified, in closed form",
    f"{YARAS}; certificate: {here('12.3')}",
    (CLOSED_FORM,),
    closed_form,
)


def geometry(model: Spheres, evidence: ModelEvidence) -> Finding:
    """At every certified end W is a simplex frame, and each feature is its class's row."""
    K, deviations = model.num_classes, []
    frame = (K * torch.eye(K, dtype=torch.float64, device="cpu") - 1) / (K - 1)
    for point in evidence.minimizers:
        H = model.collapsed(point).H
        deviations += [(point.W @ point.W.T - frame).abs().max(), (H - point.W).abs().max()]
    return Finding(worst_of(deviations), 10 * EXACT, f"{evidence.looked_at}; inner products of rows, and H - W")


GEOMETRY = Theorem("spheres geometry", "W a simplex frame, H = W", YARAS, (CLOSED_FORM,), geometry)


def collapse(model: Spheres, evidence: ModelEvidence) -> Finding:
    """At every certified end all mu > 0, and other unit vectors are as much worse features of a type as mu says.

    The others are drawn at random, and then what descents from them on the sphere go through.
    """
    deviations, generator = [], torch.Generator("cpu").manual_seed(evidence.seed)
    for point in evidence.minimizers:
        jet = model.jet(model.collapsed(point))
        H, mu, losses = (
            jet.directions[model.num_classes :],
            jet.multipliers[model.num_classes :, 0],
            _losses(model, point),
        )
        own = losses(H)
        starts = torch.randn(8, *H.shape, generator=generator, dtype=torch.float64, device="cpu")
        for other in (torch.nn.functional.normalize(start, dim=-1) for start in starts):
            for _ in range(20):
                floor = own + model.free.num_samples * mu * (1 - (other * H).sum(1))
                deviations.append(((floor - losses(other)) / own.abs()).max())
                other = _downhill(losses, other)
        deviations.append(-mu.min() / mu.max())
    return Finding(worst_of(deviations), EXACT, f"{evidence.looked_at}; l(h) >= l(h_i) + N mu_i (1 - <h, h_i>)")


def _losses(model: Spheres, point: Point) -> Losses:
    """H (T, d) to the losses of a row a type (T,), W held."""
    types = torch.arange(model.free.num_types, device=point.W.device)
    return lambda H: model.loss.values(model.scale * H @ point.W.T, types)


def _downhill(losses: Losses, H: torch.Tensor) -> torch.Tensor:
    """A step of length 1/2 against the gradient, and back onto the sphere."""
    with torch.enable_grad():
        moving = H.clone().requires_grad_()
        (slope,) = torch.autograd.grad(losses(moving).sum(), moving)
    return torch.nn.functional.normalize(H - 0.5 * torch.nn.functional.normalize(slope, dim=1), dim=1)


COLLAPSE = Theorem(
    "spheres within-class collapse",
    "mu_i > 0 at minimisers: features of a type are equal",
    here("12.3"),
    (CROSS_ENTROPY,),
    collapse,
)


def landscape(model: Spheres, evidence: ModelEvidence) -> Finding:
    """Ends of descents, and those in fewer dimensions as points of this model, are global or strict saddles."""
    low = [replace(model, dim=dim) for dim in range(2, min(model.num_classes, model.dim))]
    seeds = range(evidence.seed, evidence.seed + evidence.starts)
    below = [end for other in low for end in (other.minimize(seed) for seed in seeds) if end.converged]
    judged = [*evidence.judged, *(model.certify(end.point.padded(model.dim)) for end in below)]
    verdicts = [one.verdict for one in judged]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    note = f"{len(verdicts)} critical points: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    if all(verdict in OPEN for verdict in verdicts):
        raise Undecided(note)
    return Finding(float(counts.get(PointVerdict.LOCAL_MINIMIZER, 0)), 0.0, note)


LANDSCAPE = Theorem(
    "spheres landscape",
    "critical: global or a strict saddle (d = K: nu not 0)",
    f"{YARAS} for d > K; {here('12.3')}",
    (WIDE,),
    landscape,
)


def null_direction(model: Spheres, evidence: ModelEvidence) -> Finding:
    """Along (u a, v a), a orthogonal to all rows, the second form of f is that of M: at random points by autograd."""
    wider, deviations = replace(model, dim=model.dim + 1), []
    generator = torch.Generator("cpu").manual_seed(evidence.seed)
    for point in evidence.random_points[: evidence.starts]:
        jet = model.jet(point)
        padded = point.padded(wider.dim)
        f = wider.on(padded)
        x = f.inner.pack(padded.W, padded.H, padded.b)
        step = torch.randn(len(jet.directions), generator=generator, dtype=torch.float64, device="cpu")
        move = torch.nn.functional.pad(step[:, None], (wider.dim - 1, 0)).flatten()
        t = torch.zeros((), dtype=torch.float64, requires_grad=True, device="cpu")
        first = torch.autograd.grad(f.value(x + t * move), t, create_graph=True)[0]
        (second,) = torch.autograd.grad(first, t)
        u, v = step[: model.num_classes], step[model.num_classes :]
        form = jet.multipliers[:, 0] @ step**2 + 2 * model.scale * v @ jet.inner.G @ u
        deviations.append((second - form).abs() / (jet.unit * (step @ step)))
    return Finding(worst_of(deviations), EXACT, f"{len(deviations)} random points with a direction more")


NULL_DIRECTION = Theorem(
    "spheres null direction",
    "curvature along (u a, v a) = (u, v) M (u, v)",
    here("12.3"),
    (),
    null_direction,
)


def sharpness(model: Spheres, evidence: ModelEvidence) -> Finding:
    """K = 3, d = K - 1 = 2, scale 10: local minimisers that are not global, each with a feature whose mu < 0."""
    ends = [TRAP.minimize(seed) for seed in range(12)]
    best = float(TRAP.objective(TRAP.closed_form()))
    above = [end for end in ends if end.converged and end.value > best * (1 + 1e-6)]
    local = [end for end in above if TRAP.certify(end.point).verdict == PointVerdict.LOCAL_MINIMIZER]
    least = [float(TRAP.jet(end.point).multipliers[TRAP.num_classes :].min()) for end in local]
    missed = [mu for mu in least if mu >= 0]
    values = ", ".join(sorted({f"{end.value:.6f}" for end in local})) or "none"
    note = f"K = 3, d = 2: {values} above {best:.3e}, {len(local)} of {len(ends)} descents"
    return Finding(float(len(missed)) if local else math.inf, 0.0, note)


TRAP = Spheres((2, 2, 2), 2, 10.0)
SHARPNESS = Theorem(
    "spheres sharpness",
    "d = K - 1 is not enough: traps, with mu_i < 0",
    here("12.3"),
    (CROSS_ENTROPY,),
    sharpness,
)


def exact_spectrum(model: Spheres, evidence: ModelEvidence) -> Finding:
    """The blocks' eigenvalues are those of the dense Riemannian Hessian, by autograd along x -> x/|x|, all features."""
    deviations = []
    for end in evidence.ends:
        point = model.free.expand(end.point)
        f = model.on(point)
        x = f.inner.pack(point.W, point.H, point.b)
        hessian = torch.autograd.functional.hessian(f.value, x, vectorize=True)
        _, _, V = torch.linalg.svd(f.rows(x)[:, None, :])
        basis = torch.block_diag(*V[:, 1:, :]).T
        dense = torch.linalg.eigvalsh(basis.T @ hessian @ basis)
        deviations.append(spectrum_deviation(model.spectrum(end.point), dense))
    return Finding(worst_of(deviations), 1e-9, f"{model.num_variables} variables at {len(evidence.ends)} ends")


SPECTRUM = Theorem("spheres spectrum", "block eigenvalues = dense eigenvalues", here("12.3"), (SMALL,), exact_spectrum)

THEOREMS = (DUALITY, MINIMIZER, GEOMETRY, COLLAPSE, LANDSCAPE, NULL_DIRECTION, SHARPNESS, SPECTRUM)
