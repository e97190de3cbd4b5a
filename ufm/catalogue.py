"""The critical points found so far, each once: no two are equal up to rotation and permutations of the classes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from .family import Family
from .levenberg import polished
from .problem import Problem
from .symmetry import same_point

SAME_LEVEL = 1e-8  # levels further apart than this, relative to 1 + |f|, belong to different points


@dataclass(frozen=True, eq=False)
class Entry:
    """A critical point x (size,) in the family of its rank, polished; its level, logits (K, K), and where it is from."""

    family: Family
    x: torch.Tensor
    level: float
    logits: np.ndarray
    found_by: str


class Catalogue:
    """Entries, and `add` which refuses what is there already.

    Points at different levels differ; points at one level are compared by their logits, up to permutations of the
    classes that keep the counts. With lambda_b = 0 logits are compared up to the shift that nothing penalises.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.entries: list[Entry] = []

    def add(self, family: Family, x: torch.Tensor, found_by: str) -> Entry | None:
        """The new entry of a critical point x (size,) of the family, or None when it is known."""
        family, x = family.in_row_space(x)
        if self._known(*self._seen(family, x)):
            return None
        x = polished(family, x)
        level, logits = self._seen(family, x)
        if self._known(level, logits):
            return None
        entry = Entry(family, x, level, logits, found_by)
        self.entries.append(entry)
        return entry

    def add_all(self, family: Family, xs: Iterable[torch.Tensor], found_by: str) -> list[int]:
        """Which of the points, by their place, were new."""
        return [i for i, x in enumerate(xs) if self.add(family, x, found_by)]

    def _seen(self, family: Family, x: torch.Tensor) -> tuple[float, np.ndarray]:
        logits = family.logits(x[None])[0]
        if self.problem.bias and self.problem.lambda_b == 0:
            logits = logits - logits.mean(1, keepdim=True)
        return float(family.values(x[None])), logits.numpy()

    def _known(self, level: float, logits: np.ndarray) -> bool:
        gap = SAME_LEVEL * (1 + abs(level))
        near = [entry for entry in self.entries if abs(entry.level - level) <= gap]
        return any(same_point(logits, entry.logits, self.problem.class_counts) for entry in near)
