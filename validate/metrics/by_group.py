"""Collapse of groups of classes, a row a group: the averages of `per_class` over many-, medium- and few-shot classes,

(1/|G|) sum over k in G of nc1_k, |w_k|, ...,      and the mean of cos(x_j, x_k) over j != k in G,

which tends to 1 for the classifiers of minorities that collapse to one.
"""

import math
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import torch

from ufm import Point
from ufm.errors import require

from ..statistics.blocks import blocks
from ..statistics.classes import class_statistics, resolve_labels
from ..statistics.inputs import measurable
from ..statistics.pair_moments import directions
from .neural_collapse import ROWS
from .per_class import per_class

SHOTS = (20, 100)  # samples of a class: fewer than the first are few, more than the second many
KEPT = ("nc1", "nc1_quotient", "nearest_center_disagreement", "norm_w", "norm_mean", "alignment")


def by_group(
    point: Point,
    labels: torch.Tensor | None = None,
    *,
    groups: Mapping[str, Iterable[int]] | None = None,
    shots: tuple[int, int] = SHOTS,
    rows: int = ROWS,
) -> list[dict[str, float | str]]:
    """One row for each group of classes: `pandas.DataFrame(by_group(point, labels))` is a table.

    groups  names with the numbers of their classes, which may overlap; None: "many" (more than shots[1] samples a
            class), "medium" and "few" (fewer than shots[0]), those of them that have classes

    group, classes, samples
    accuracy      of the group's samples by the largest logit, averaged over its classes (the balanced accuracy)
    nc1, nc1_quotient, nearest_center_disagreement, norm_w, norm_mean, alignment
                  the averages over the group's classes of those of `per_class`; each class counts the same, and a class
                  of one sample is left out of the first two. NaN where no class of the group has a value
    cosine_w, cosine_means   mean over the pairs of the group's classes of the cosine of rows of W, of the centred
                  class means; NaN for a group of one class, and where a row is 0

    Raises InputError for a class without samples, and for groups that are empty or name classes that do not exist.
    Source: Liu et al. 2019 (arXiv 1904.05160) for the many-, medium- and few-shot classes and their bounds; Fang et
    al., PNAS 2021 (arXiv 2101.12699) for the cosine of minority classifiers.
    """
    point = measurable(point)
    table = per_class(point, labels, rows=rows)
    labels, statistics = resolve_labels(point, labels), class_statistics(point, labels)
    counts = statistics.counts
    units = {"cosine_w": directions(point.W.double()), "cosine_means": directions(statistics.centred)}
    right = _right(point, labels) / counts
    found: list[dict[str, float | str]] = []
    for name, members in (_by_shots(counts, shots) if groups is None else _given(groups, point.num_classes)).items():
        chosen = torch.tensor(members, device=counts.device)
        found.append(
            {
                "group": name,
                "classes": len(members),
                "samples": int(counts[chosen].sum()),
                "accuracy": float(right[chosen].mean()),
                **{column: _mean([table[k][column] for k in members]) for column in KEPT},
                **{column: _cosine(unit[chosen]) for column, unit in units.items()},
            }
        )
    return found


def _by_shots(counts: torch.Tensor, shots: tuple[int, int]) -> dict[str, list[int]]:
    few, many = shots
    require(0 <= few <= many, f"shots must be two numbers of samples, the smaller first, got {shots}")
    which = {"many": counts > many, "medium": (counts >= few) & (counts <= many), "few": counts < few}
    return {name: classes.nonzero().flatten().tolist() for name, classes in which.items() if bool(classes.any())}


def _given(groups: Mapping[str, Iterable[int]], K: int) -> dict[str, list[int]]:
    """Each group's classes, sorted, each once."""
    require(isinstance(groups, Mapping), f'groups must be like {{"head": [0, 1], "tail": [2]}}, got {groups!r}')
    found = {name: _classes(members) for name, members in groups.items()}
    for name, members in found.items():
        fits = bool(members) and members[0] >= 0 and members[-1] < K
        got = members or groups[name] if len(members) <= 8 else f"{members[0]} .. {members[-1]}"
        require(fits, f"the group {name!r} must name classes of 0 .. {K - 1}, got {got}")
    return found


def _classes(members: Any) -> list[int]:
    """The numbers in what names classes, sorted, each once; none where it is something else."""
    numbers = list(members) if isinstance(members, Iterable) else []
    whole = all(isinstance(k, Integral | torch.Tensor) for k in numbers)
    return sorted({int(k) for k in numbers}) if whole else []


def _right(point: Point, labels: torch.Tensor) -> torch.Tensor:
    """(K,) how many samples of each class have their largest logit there."""
    point, total = point.double(), torch.zeros(point.num_classes, dtype=torch.float64, device=labels.device)
    whole = len(labels) == len(point.H)
    H, y = point.H, labels if whole else torch.arange(len(point.H), device=labels.device)
    weights = torch.ones_like(y) if whole else torch.bincount(labels, minlength=len(y))
    for part in blocks(len(y), max(point.num_classes, point.dim)):
        hit = torch.addmm(point.b, H[part], point.W.T).argmax(1) == y[part]
        total.index_add_(0, y[part], (hit * weights[part]).double())
    return total


def _mean(values: list[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else math.nan


def _cosine(unit: torch.Tensor) -> float:
    """The mean cosine over the pairs of unit rows (m, d), through |sum_k x_k|^2."""
    m = len(unit)
    return float((unit.sum(0).square().sum() - m) / (m * (m - 1))) if m > 1 else math.nan
