"""When a group of equal classes merges at a global minimiser: universal minority collapse.

A group of m >= 2 classes of one kind, n_g samples each, merges to one point exactly if D0^2 n_g <= N^2 lW lH. D0 is the
difference of the slopes in the own and in another logit of the group where these two are equal. A group that is not
merged has the slope difference N sqrt(lW lH/n_g), for cross-entropy p_own - p_other = 1 - N sqrt(lW lH/n_g)
(docs/theory, section 10.9; Fang et al., arXiv 2101.12699; Hong and Ling, arXiv 2309.09725, for cross-entropy).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..losses import BinaryCrossEntropy, CrossEntropy, LabelSmoothing, LogitAdjusted, MeanSquare, Weighted
from ..losses.loss import Loss
from ..problem import Problem

TIED: dict[type[Any], Callable[[Any, int], float | None]] = {  # D0 of a class, by the loss
    CrossEntropy: lambda loss, k: 1.0,
    LabelSmoothing: lambda loss, k: 1 - loss.smoothing,
    LogitAdjusted: lambda loss, k: float(loss.scales.array[k]),
    MeanSquare: lambda loss, k: loss.target if loss.targets is None and loss.weight == 1 else None,
    BinaryCrossEntropy: lambda loss, k: 1.0 if loss.targets is None else None,
    Weighted: lambda loss, k: _weighed(loss, k),
}


def _weighed(loss: Weighted, k: int) -> float | None:
    inner = tied_slopes(loss.loss, k)
    return None if inner is None else float(loss.weights.array[k]) * inner


@dataclass(frozen=True)
class Group:
    """Classes of one kind: their numbers, n_g, and D0."""

    classes: tuple[int, ...]
    count: int
    tied: float


def tied_slopes(loss: Loss, k: int) -> float | None:
    """D0 of the classes of the kind of class k; None where it is not known, or not the same at all logits."""
    known = TIED.get(type(loss))
    return None if known is None else known(loss, k)


def groups(problem: Problem) -> list[Group]:
    """The groups of two classes or more of one kind whose D0 is known."""
    found: dict[int, list[int]] = {}
    for k, kind in enumerate(problem.kinds if problem.num_types == problem.num_classes else ()):
        found.setdefault(kind, []).append(k)
    several = [tuple(classes) for classes in found.values() if len(classes) > 1]
    slopes = [(classes, tied_slopes(problem.loss, classes[0])) for classes in several]
    return [Group(classes, problem.class_counts[classes[0]], tied) for classes, tied in slopes if tied is not None]


def merging(problem: Problem, group: Group) -> float:
    """N sqrt(lW lH)/(D0 sqrt(n_g)): at 1 or above, the group is merged at every global minimiser."""
    return problem.num_samples * problem.ridge / (group.tied * group.count**0.5)
