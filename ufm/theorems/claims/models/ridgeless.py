"""Decays that vanish: the largest margin, how minimisers come to it, and the flows that have no decay at all."""

import math
from itertools import pairwise
from typing import SupportsFloat

import numpy as np
import torch

from ....flows import (
    Approach,
    Moment,
    Station,
    approach,
    central_path,
    extrapolated,
    random_features,
    rate,
    singular_value,
    without_decay,
)
from ....models import Ridgeless
from ....point import Point
from ....solvers.minimize import random_point
from ...evidence import Undecided
from ...model_evidence import ModelEvidence
from ...theorem import EXACT, Finding, Hypothesis, Theorem, here, worst_of
from .common import CLOSED_FORM, closed_form, weak_duality

SELI = "Thrampoulidis et al. 2022 (arXiv 2208.05512)"
JI = "Ji et al. 2022 (arXiv 2110.02796)"
LYU = "Lyu and Li 2020 (arXiv 1906.05890)"
HAN = "Han et al. 2022 (arXiv 2106.02073)"
DECAYS = (1e-3, 1e-5, 1e-7, 1e-9, 1e-11)
ROUNDING = 1e-11  # 1 - cos and squared tangents at minimisers that are only found to a tolerance
REACH, FRAMES, NOISE = 200.0, 25, 0.3  # of the flow from near SELI: to f = e^-200, from noise of that part
EARLY = 12.5  # log(1/f) from which the flow's distances to its limit are compared with those at its end
HALF = 0.5  # they fall like (log 1/f)^(-1/2), by 1/4 from 12.5 to 200
LATE = 1e5  # time of the central path, in units of N K
IMBALANCED = Hypothesis(
    "K >= 3 classes that are not balanced (else the angle is 0)",
    lambda m: not m.free.is_balanced and len(m.class_counts) > 2,
)
BALANCED = Hypothesis("balanced classes", lambda m: m.free.is_balanced)
SMALL = Hypothesis("at most 500 variables (integrated)", lambda m: m.num_variables <= 500)

DUALITY = Theorem("ridgeless duality", "sum mu/|A~|_2 <= value of every point", here("12.5"), (), weak_duality)


def sign_certificate(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """The dual variable has spectral norm 1, rows of sum 0, and off the labels the negative entries of the integral.

    The integral over s > 0 is one of a smooth function of log s on the whole line, where the trapezoidal rule is exact.
    """
    dual = evidence.once("dual", lambda: model.dual)
    counts = torch.tensor(model.class_counts, dtype=torch.float64, device="cpu")
    off = ~torch.eye(len(counts), dtype=torch.bool, device="cpu")
    s = torch.exp(torch.linspace(-90, 90, 501, dtype=torch.float64, device="cpu"))
    pairs = 1 / (counts[:, None] + s)
    weights = s.sqrt() / pairs.sum(0) * (0.36 / math.pi)
    integral = -counts.sqrt()[:, None] * (pairs * weights @ pairs.T)
    largest = float(dual[off].max())
    deviations: list[SupportsFloat] = [
        abs(float(torch.linalg.matrix_norm(dual, 2)) - 1),
        dual.sum(1).abs().max(),
        ((dual - integral)[off] / integral[off]).abs().max(),
        0.0 if largest < 0 else math.inf,
    ]
    return Finding(worst_of(deviations), EXACT, f"largest entry off the labels {largest:.3g}")


SIGNS = Theorem(
    "ridgeless sign certificate",
    "U V^T < 0 off the labels, for all class counts",
    f"{SELI}; {here('12.5')}",
    (CLOSED_FORM,),
    sign_certificate,
)
FORM = Theorem("SELI", "the largest margin, in closed form", SELI, (CLOSED_FORM,), closed_form)


def geometry(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """At every certified end all margins are 1: the logits are I - 11^T/K, whatever the class counts."""
    K, deviations = len(model.class_counts), []
    for point in evidence.minimizers:
        means = model.free.class_means(point)
        wanted = torch.eye(K, dtype=torch.float64, device=means.H.device) - 1 / K
        deviations.append((means.H @ means.W.T - wanted).abs().max())
    return Finding(worst_of(deviations), 10 * EXACT, evidence.looked_at)


GEOMETRY = Theorem("SELI geometry", "W h_k = e_k - 1/K, for all class counts", SELI, (CLOSED_FORM,), geometry)


def _approach(model: Ridgeless, evidence: ModelEvidence) -> list[Approach]:
    found = [one for one in evidence.once("approach", lambda: approach(model, DECAYS, evidence.seed)) if one.converged]
    if len(found) < 3:
        raise Undecided(f"{len(found)} of {len(DECAYS)} descents at small decays converged")
    return found


def vanishing_decay(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """From decay to smaller decay 1 - cos of the logits' angle to the closed form's falls, or it is rounding."""
    distances = [one.distance for one in _approach(model, evidence)]
    rises = [after / before - 1 if after > ROUNDING else -1.0 for before, after in pairwise(distances)]
    note = f"1 - cos: {', '.join(f'{distance:.2g}' for distance in distances)}"
    return Finding(worst_of([*rises, 0.0 if distances[-1] < 0.01 else math.inf]), 0.0, note)


VANISHING_DECAY = Theorem(
    "vanishing decay",
    "cross-entropy's minimisers turn to the largest margin",
    f"{SELI}; {here('12.5')}",
    (CLOSED_FORM,),
    vanishing_decay,
)


def logarithmic_rate(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """tangent * level, extrapolated in 1/level from the smallest decays, is the constant of theory."""
    found, constant = _approach(model, evidence), rate(model)
    limit = extrapolated(found[-4:])
    note = f"limit {limit:.6f}, theory {constant:.6f}; at decay {found[-1].decay:g} {found[-1].tangent:.3g}"
    return Finding(abs(limit / constant - 1), 1e-2, note)


RATE = Theorem(
    "logarithmic rate",
    "angle ~ |B off Z~|/(|Z~| log(1/lambda))",
    here("12.5"),
    (CLOSED_FORM, IMBALANCED),
    logarithmic_rate,
)


def conserved(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """W^T W - H^T H and 1^T W stay what they were, over |x|^2 and |x|, from a random start to f = e^-50."""
    start = random_point(model.problem(1.0), evidence.seed)
    flow = evidence.once("flow", lambda: without_decay(model, start, 50.0, 12))
    ends = f"from |x| = {flow[0].norm:.3g} to {flow[-1].norm:.3g}, log f = {flow[-1].log_loss:.4g}"
    return Finding(worst_of(moment.drift for moment in flow), EXACT, ends)


CONSERVED = Theorem(
    "flow keeps its balance", "W^T W - H^T H and 1^T W stay, without decay", here("12.5"), (SMALL,), conserved
)


ALIKE = Hypothesis(
    "decays within a factor of 1,000 (the flow keeps W^T W - H H^T, which hides a limit of equal norms for long)",
    lambda m: 1e-3 <= m.ratio <= 1e3,
)


def attracts(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """From near SELI, all N features free: the KKT residual and the angle at f = e^-200, over those at e^-12.5."""
    found = evidence.once("attracted", lambda: without_decay(model, _near(model, evidence), REACH, FRAMES))
    late = [moment for moment in found if moment.log_loss <= -EARLY]
    (r0, d0), (r1, d1) = _distances(late[0]), _distances(late[-1])
    note = f"residual {r0:.2g} to {r1:.2g}, 1 - cos {d0:.2g} to {d1:.2g}"
    return Finding(worst_of([r1 / r0, math.sqrt(d1 / d0)]), HALF, note)


def _near(model: Ridgeless, evidence: ModelEvidence) -> Point:
    """The closed form with noise of a part of its size in W and in every feature."""
    form, noise = model.free.expand(evidence.closed_form), random_point(model.problem(1.0), evidence.seed)
    W, H = (a + NOISE * float(a.norm() / b.norm()) * b for a, b in ((form.W, noise.W), (form.H, noise.H)))
    return Point(W, H, form.b)


def _distances(moment: Moment) -> tuple[float, float]:
    """(the KKT residual, 1 - cos) of a late moment, at which every margin is positive."""
    if moment.residual is None or moment.cosine is None:
        raise Undecided("the flow does not separate the classes")
    return moment.residual, 1 - moment.cosine


ATTRACTS = Theorem(
    "SELI attracts the flow",
    "the KKT residual and the angle to SELI go to 0",
    f"limits: {JI}, {LYU}; powers of log t: {here('12.5')}",
    (CLOSED_FORM, SMALL, ALIKE),
    attracts,
)


def _samples(model: Ridgeless) -> int:
    """How many samples a class the path has: the model's, or more where d directions need them."""
    return max(model.free.per_class, 2 + math.ceil(model.dim / len(model.class_counts)))


def _path(model: Ridgeless, evidence: ModelEvidence) -> list[Station]:
    """The central path of K classes of enough samples each in d dimensions, from random features."""
    K, n, d = len(model.class_counts), _samples(model), model.dim
    times = [0.0, *np.geomspace(0.01, LATE, 15) * K * K * n]
    return evidence.once("path", lambda: central_path(random_features(K, n, d, evidence.seed, 0.5), K, times))


def central(model: Ridgeless, evidence: ModelEvidence) -> Finding:
    """Every singular value of the integrated path solves c1 log w + c2 w^2 + c3 w^4 = a + t; singular vectors stay."""
    K, n = len(model.class_counts), _samples(model)
    path = _path(model, evidence)
    begin, deviations = path[0].values.tolist(), [station.turn for station in path]
    for station in path:
        wanted = [singular_value(K, K * n, w, station.time) for w in begin]
        deviations += [abs(w / v - 1) for w, v in zip(wanted, station.values.tolist(), strict=True)]
    last = path[-1].values
    note = f"{len(path)} times; largest over least value {begin[0] / begin[-1]:.3g} to {float(last[0] / last[-1]):.8g}"
    return Finding(worst_of(deviations), EXACT, note)


CENTRAL = Theorem(
    "central path",
    "N K log w + N w^2 + N w^4/(4 K) = a + t",
    f"{HAN}; constants: {here('12.5')}",
    (CLOSED_FORM, BALANCED, SMALL),
    central,
)

THEOREMS = (DUALITY, SIGNS, FORM, GEOMETRY, VANISHING_DECAY, RATE, CONSERVED, ATTRACTS, CENTRAL)
