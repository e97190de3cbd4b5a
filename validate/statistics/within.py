"""Deviations of features from their class means, as a d x d scatter or as batches to pass over once more."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ufm.errors import require

from .between import Between
from .blocks import LEAST, blocks
from .estimate import Estimate
from .largest import Largest


class Classifier(NamedTuple):
    """W (K, d) and b (K,), float64."""

    W: torch.Tensor
    b: torch.Tensor


class Seen(NamedTuple):
    """pulled   sum of |((M^T M)^+)^(1/2) (h - h_k)|^2: over each class (K,), or over all samples (1,)
    disagreement  the fraction of samples whose largest logit is not the class of the nearest mean; NaN if not seen,
              and if all means are equal
    disagreements (K,) their number in each class; None if not all were seen
    """

    pulled: torch.Tensor
    disagreement: float
    disagreements: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class Scatter:
    """The sum over all samples of (h - h_k)(h - h_k)^T, (d, d)."""

    matrix: torch.Tensor

    def restricted(self, classes: torch.Tensor) -> "Scatter":
        return self

    def look(self, between: Between, classifier: Classifier | None, num_samples: int, rows: int) -> Seen:
        """The trace with the pseudo-inverse, 0 where rounding makes it negative; single samples are not seen."""
        P = between.basis * between.scale
        return Seen((P * (self.matrix @ P)).sum().clamp_min(0)[None], torch.nan, None)


@dataclass(frozen=True, eq=False)
class Deviations:
    """Batches (features (m, d), labels (m,)) with the class means (K, d) to take from them.

    weights  (K,) how many samples a row of each class stands for; None: one
    classes  (K',) the classes that are measured, where some are absent; None: all
    """

    batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    means: torch.Tensor
    weights: torch.Tensor | None = None
    classes: torch.Tensor | None = None

    @classmethod
    def none(cls, means: torch.Tensor, counts: torch.Tensor) -> "Deviations":
        """Of a collapsed point: one row a class, its mean, which stands for as many samples as the counts say."""
        return cls([(means, torch.arange(len(means), device=means.device))], means, counts)

    def restricted(self, classes: torch.Tensor) -> "Deviations":
        if self.weights is not None:
            return Deviations.none(self.means[classes], self.weights[classes])
        return Deviations(self.batches, self.means, classes=classes)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """(features (m, d), deviations (m, d), labels (m,)) in float64, in small batches."""
        for features, labels in self.batches:
            for part in blocks(len(labels), max(self.means.shape)):
                H, y = features[part].to(self.means), labels[part].to(self.means.device).long()
                yield H, H - self.means[y], y

    def look(self, between: Between, classifier: Classifier | None, num_samples: int, rows: int) -> Seen:
        """One pass: exact where K <= rows; above, about `rows` random samples are compared with all centres."""
        K = len(between.coordinates)
        chance = 1.0 if rows >= K else rows / (num_samples if self.weights is None else K)
        judge = (
            None if classifier is None or not between.rank else _Judge(between, classifier, self.means.mean(0), chance)
        )
        pulled, came = self.means.new_zeros(K), 0
        for H, deviations, y in self:
            came += len(y)
            y = y if self.classes is None else torch.searchsorted(self.classes, y)
            image = deviations @ between.basis
            pulled.index_add_(0, y, (image * between.scale).square().sum(1))
            if judge is not None:
                judge.hear(H, image, y)
        require(
            came == (num_samples if self.weights is None else K),
            f"the second pass over the batches gave {came} samples and the first {num_samples}: they must be iterable "
            "more than once and give the same samples each time",
        )
        return Seen(pulled, torch.nan, None) if judge is None else Seen(pulled, *judge.verdict(self.weights))


class _Judge:
    """On which samples the network and the nearest class centre decide differently; each is heard with a chance.

    |h - h_k|^2 = |h|^2 - 2 <h, h_k> + |h_k|^2, about the global mean for accuracy, and <h, h_k> in the coordinates
    of the means' span, which are fewer than d. Decisions are float64's, by way of float32 where all are heard.
    """

    def __init__(self, between: Between, classifier: Classifier, centre: torch.Tensor, chance: float):
        self.chance = chance
        self.generator = torch.Generator(device="cpu").manual_seed(0)
        self.coordinates = between.coordinates
        parts = blocks(*self.coordinates.shape)
        halves = torch.cat([self.coordinates[part].square().sum(1) / -2 for part in parts])
        everyone = chance >= 1
        self.chosen = Largest(classifier.W, classifier.b, centre, screen=everyone)
        self.nearest = Largest(self.coordinates, halves, screen=everyone)
        self.wrong, self.heard, self.waiting = torch.zeros_like(halves), torch.zeros_like(halves), []

    def hear(self, H: torch.Tensor, image: torch.Tensor, y: torch.Tensor) -> None:
        """Features (m, d), inner products of their deviations with the basis (m, r), and labels (m,)."""
        if self.chance < 1:
            drawn = (torch.rand(len(y), generator=self.generator, device="cpu") < self.chance).to(y.device)
            H, image, y = H[drawn], image[drawn], y[drawn]
        self.waiting.append((H, image, y))
        if sum(len(y) for _, _, y in self.waiting) >= LEAST:
            self._decide()

    def _decide(self) -> None:
        H, image, y = (torch.cat(part) for part in zip(*self.waiting, strict=True))
        self.waiting = []
        differ = self.chosen(H) != self.nearest(image + self.coordinates[y])
        self.wrong.index_add_(0, y, differ.to(self.wrong))
        self.heard.index_add_(0, y, torch.ones_like(y).to(self.wrong))

    def verdict(self, weights: torch.Tensor | None) -> tuple[float, torch.Tensor | None]:
        """(the fraction of disagreements, their number in each class unless only some samples were heard)."""
        if self.waiting:
            self._decide()
        if self.chance < 1:
            heard = max(1.0, float(self.heard.sum()))
            wrong = float(self.wrong.sum())
            likely = (wrong + 1) / (heard + 2)  # Laplace's: none of a sample does not make none of all certain
            return Estimate(wrong / heard, (likely * (1 - likely) / heard) ** 0.5), None
        weights = self.wrong.new_ones(()) if weights is None else weights
        return float((self.wrong * weights).sum() / (self.heard * weights).sum()), self.wrong * weights
