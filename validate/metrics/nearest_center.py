"""Decisions by the nearest class mean: the fraction of samples that the classifier decides differently, and the
fraction whose nearest mean is that of their own class,

    nearest_center_disagreement   P( argmax_k (W h + b)_k != argmin_k |h - h_k| )
    nearest_center_accuracy       P( argmin_k |h - h_k| = y ),        |h - h_k|^2 = |h|^2 - 2 <h, h_k> + |h_k|^2.

Of held-out samples the means are the training set's. Of equally near means the first counts.
"""

import math

import torch

from ..statistics.blocks import LEAST, blocks
from ..statistics.classes import ClassStatistics
from ..statistics.estimate import Estimate
from ..statistics.largest import Largest


class NearestCenter:
    """Listens to a pass over the samples, so that the pass that nc1 needs is the only one.

    statistics   K classes of d dimensions          W (K, d), b (K,) float64; W None: no classifier is judged
    rows         up to so many classes every sample is judged; of more, about so many samples, drawn at random

    Distances are taken about the global mean for accuracy, and <h, h_k> in the coordinates of the means' span, which
    are fewer than d. Decisions are float64's, by way of float32 where all samples are judged.
    Source: Papyan, Han and Donoho, PNAS 2020 (arXiv 2008.08186), NC4 and figure 7.
    """

    def __init__(self, statistics: ClassStatistics, W: torch.Tensor | None, b: torch.Tensor | None, rows: int):
        between, K = statistics.between, len(statistics.counts)
        self.coordinates, self.weights = between.coordinates, statistics.within.weights
        self.chance = 1.0 if rows >= K else rows / max(1, statistics.num_samples if self.weights is None else K)
        self.defined, self.came = bool(between.rank), 0
        self.wrong, self.right, self.judged = (self.coordinates.new_zeros(K) for _ in range(3))
        self.chosen: Largest | None = None
        if not self.defined:
            return
        self.generator = torch.Generator(device="cpu").manual_seed(0)
        parts = blocks(*self.coordinates.shape)
        halves = torch.cat([self.coordinates[part].square().sum(1) / -2 for part in parts])
        everyone = self.chance >= 1
        if W is not None and b is not None:
            self.chosen = Largest(W, b, statistics.means.mean(0), screen=everyone)
        self.nearest = Largest(self.coordinates, halves, screen=everyone)
        self.waiting: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def __call__(self, H: torch.Tensor, image: torch.Tensor, y: torch.Tensor) -> None:
        """Features (m, d), coordinates of their deviations in `Between.basis` (m, r), and classes (m,)."""
        if not self.defined:
            return
        self.came += len(y)
        if self.chance < 1:
            drawn = (torch.rand(len(y), generator=self.generator, device="cpu") < self.chance).to(y.device)
            H, image, y = H[drawn], image[drawn], y[drawn]
        self.waiting.append((H, image, y))
        if sum(len(y) for _, _, y in self.waiting) >= LEAST:
            self._decide()

    @property
    def disagreement(self) -> float:
        """The fraction decided differently; NaN without a classifier, where no sample came or all means are equal.

        It is an `Estimate` where samples were drawn.
        """
        return math.nan if self.chosen is None else self._fraction(self.wrong)

    @property
    def accuracy(self) -> float:
        """The fraction nearest to the mean of their own class; NaN where no sample came or all means are equal."""
        return self._fraction(self.right)

    @property
    def by_class(self) -> torch.Tensor | None:
        """(K,) how many samples of each class are decided differently; None where not every sample was judged."""
        if not self.came or self.chance < 1 or self.chosen is None:
            return None
        self._decide()
        return self.wrong if self.weights is None else self.wrong * self.weights

    def _fraction(self, counted: torch.Tensor) -> float:
        """The fraction of the judged samples that are counted (K,), once all that wait are judged."""
        if not self.came:
            return math.nan
        self._decide()
        if self.chance < 1:
            judged = max(1.0, float(self.judged.sum()))
            count = float(counted.sum())
            likely = (count + 1) / (judged + 2)  # Laplace's: none of a sample does not make none of all certain
            return Estimate(count / judged, (likely * (1 - likely) / judged) ** 0.5)
        weights = self.judged.new_ones(()) if self.weights is None else self.weights
        return float((counted * weights).sum() / (self.judged * weights).sum())

    def _decide(self) -> None:
        """Judge the samples that wait: small batches are put together, for matrix products to be worth it."""
        if not self.waiting:
            return
        H, image, y = (torch.cat(part) for part in zip(*self.waiting, strict=True))
        self.waiting = []
        nearest = self.nearest(image + self.coordinates[y])
        if self.chosen is not None:
            self.wrong.index_add_(0, y, (self.chosen(H) != nearest).to(self.wrong))
        self.right.index_add_(0, y, (nearest == y).to(self.right))
        self.judged.index_add_(0, y, torch.ones_like(y).to(self.judged))
