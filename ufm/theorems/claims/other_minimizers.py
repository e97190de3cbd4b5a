"""The global minimisers of other losses: in closed form, and as averages of tags for several labels."""

import math
from collections.abc import Callable
from typing import SupportsFloat

import torch

from ...closed_forms.minimizer import global_minimizer
from ...errors import NoClosedForm
from ...losses import BinaryCrossEntropy, LabelSmoothing, MeanSquare, SoftCrossEntropy
from ...problem import Problem
from ...solvers.bias import without_shift
from ..evidence import Evidence, Undecided, converged
from ..hypotheses import WEAK_DECAY, WIDE
from ..theorem import EXACT, Finding, Hypothesis, Theorem, here, worst_of


def _has_form(problem: Problem) -> bool:
    try:
        global_minimizer(problem)
    except NoClosedForm:
        return False
    return True


CLOSED_FORM = Hypothesis("a minimiser in closed form", _has_form)


def closed_form(problem: Problem, evidence: Evidence) -> Finding:
    """The closed form is critical, and the free descents end at its value, with its logits.

    Logits are compared in units of their size or of 1, f relative to f; they are the same at all global minimisers, up
    to a shift that the loss ignores.
    """
    form = evidence.closed_form
    value, logits = float(problem.objective(form)), _centred(problem, form.H @ form.W.T + form.b)
    deviations: list[SupportsFloat] = [problem.relative_gradient(form)]
    for solution in evidence.ends:
        point = problem.class_means(solution.point)
        found = _centred(problem, point.H @ point.W.T + point.b)
        deviations += [
            evidence.of_f(abs(solution.value - value), value),
            (found - logits).abs().max() / (1 + logits.abs().max()),
        ]
    return Finding(worst_of(deviations), 10 * EXACT, f"{converged(evidence)}; f* = {value:.10g}")


def _centred(problem: Problem, logits: torch.Tensor) -> torch.Tensor:
    return without_shift(problem, logits)


def _of(name: str, statement: str, source: str, needs: str, holds: Callable[[Problem], bool]) -> Theorem:
    return Theorem(name, statement, source, (Hypothesis(needs, holds), CLOSED_FORM, WEAK_DECAY), closed_form)


def _regression(problem: Problem) -> bool:
    return isinstance(problem.loss, MeanSquare) and problem.loss.targets is not None


MEAN_SQUARE_MINIMIZER = _of(
    "mean-square minimiser",
    "W H^T, b and f* in closed form",
    f"{here('11.2', '11.3')}; geometry: Zhou et al. 2022 (arXiv 2203.01238)",
    "mean square on labels",
    lambda p: isinstance(p.loss, MeanSquare) and p.loss.targets is None,
)
REGRESSION_MINIMIZER = _of(
    "regression minimiser",
    "W W^T by the root of the targets' covariance",
    f"{here('11.3')}; Andriopoulos et al. 2024 (arXiv 2409.04180)",
    "mean square on targets",
    _regression,
)
SMOOTHED_MINIMIZER = _of(
    "smoothed minimiser",
    "a simplex ETF, of cross-entropy's scale with s + a/K",
    f"{here('11.4')}; geometry: Zhou et al. 2022 (arXiv 2210.02192)",
    "label smoothing",
    lambda p: isinstance(p.loss, LabelSmoothing),
)
BINARY_MINIMIZER = _of(
    "binary minimiser",
    "W H^T = c Pi + e J, b and f* in closed form",
    here("11.5"),
    "binary cross-entropy on labels",
    lambda p: isinstance(p.loss, BinaryCrossEntropy) and p.loss.targets is None,
)


def _picks_all(problem: Problem) -> bool:
    """Whether types are sets of classes, every single class among them, in numbers that depend on their sizes alone."""
    loss = problem.loss
    if not isinstance(loss, SoftCrossEntropy) or set(loss.targets.array.flatten()) != {0.0, 1.0}:
        return False
    sets = [tuple(row.nonzero()[0]) for row in loss.targets.array]
    by_size: dict[int, list[tuple[int, int]]] = {}
    for t, found in enumerate(sets):
        by_size.setdefault(len(found), []).append((t, problem.class_counts[t]))
    K = problem.num_classes
    whole = all(len(rows) == math.comb(K, m) and len({n for _, n in rows}) == 1 for m, rows in by_size.items())
    return whole and len(set(sets)) == len(sets) and 1 in by_size and max(by_size) >= 2


PICKS_ALL = Hypothesis("all labels picked: every set of some sizes, 1 among them, equally often", _picks_all)


def tagwise_average(problem: Problem, evidence: Evidence) -> Finding:
    """h_S is a multiple of the sum of h_k over k in S, the same for all sets of one size; W is a simplex ETF.

    Deviations are relative to the natural length of a feature, and to |W W^T|.
    """
    assert isinstance(problem.loss, SoftCrossEntropy)
    targets = torch.from_numpy(problem.loss.targets.array.copy())
    sizes, K = targets.sum(1), problem.num_classes
    centre = torch.eye(K, dtype=torch.float64, device="cpu") - 1 / K
    deviations = []
    for solution in evidence.ends:
        point = problem.class_means(solution.point)
        H = point.H.cpu()
        single = torch.zeros(K, H.shape[1], dtype=torch.float64, device="cpu")
        single[targets[sizes == 1].argmax(1)] = H[sizes == 1]
        for m in sorted({int(size) for size in sizes.tolist()} - {1}):
            sums, found = targets[sizes == m] @ single, H[sizes == m]
            factor = (found * sums).sum() / sums.square().sum()
            if not bool(factor.isfinite()):
                raise Undecided(f"features of sets of {m} classes are all 0")
            deviations.append((found - factor * sums).norm(dim=1).max() / evidence.feature_unit)
        gram = point.W @ point.W.T
        deviations.append((gram / gram.norm() - centre / centre.norm()).norm())
    return Finding(worst_of(deviations), 10 * EXACT, converged(evidence))


TAGWISE_AVERAGE = Theorem(
    "tag-wise average",
    "h_S ~ sum of h_k over S; W W^T ~ I - 11^T/K",
    "Li et al. 2024 (arXiv 2310.15903)",
    (PICKS_ALL, WIDE, WEAK_DECAY),
    tagwise_average,
)
