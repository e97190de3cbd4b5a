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
from ..statistics.largest import Largest, LargestOfMany
from ..statistics.pairs import Pairs, squares

LOOKS = 1024  # samples that are judged where there are many classes
CLEAR = 0.98  # a sample within this fraction of the squared half distance is clearly nearest to its own mean
NEAR = 1e-6  # unless means are nearer than this fraction of the largest squared length, where rounding may decide


class NearestCenter:
    """Listens to a pass over the samples, so that the pass that nc1 needs is the only one.

    statistics   K classes of d dimensions          W (K, d), b (K,) float64; W None: no classifier is judged
    rows         up to so many classes every sample is judged; of more, about so many samples, and at most LOOKS
    places       (K, r) the centred class means in the deviations' orthonormal coordinates; None: in the features' own

    Distances are taken about the global mean for accuracy. A sample that is nearer to its class's mean than half the
    way from there to any other needs no look at the others. Decisions are float64's, by way of float32.
    Source: Papyan, Han and Donoho, PNAS 2020 (arXiv 2008.08186), NC4 and figure 7.
    """

    def __init__(
        self,
        statistics: ClassStatistics,
        W: torch.Tensor | None,
        b: torch.Tensor | None,
        rows: int,
        places: torch.Tensor | None = None,
    ):
        K, means = len(statistics.counts), statistics.means
        self.weights = statistics.within.weights
        came = statistics.num_samples if self.weights is None else K
        self.everyone, self.chance = rows >= K, min(rows, LOOKS) / max(1, came)
        self.defined, self.came = bool(statistics.between.rank), 0
        self.wrong, self.right, self.judged = (means.new_zeros(K) for _ in range(3))
        self.chosen: Largest | LargestOfMany | None = None
        self.waiting: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        if not self.defined:
            return
        self.generator = torch.Generator(device="cpu").manual_seed(0)
        of_classes = Largest if self.everyone else LargestOfMany
        if W is not None and b is not None:
            self.chosen = of_classes(W, b, means.mean(0))
        self.places = statistics.centred if places is None else places
        self.nearest = of_classes(self.places, squares(self.places) / -2)
        self.safe = _safe_squares(statistics.pairs(rows)) if self.everyone else None

    def __call__(self, H: torch.Tensor, deviations: torch.Tensor, y: torch.Tensor) -> None:
        """Features (m, d), deviations from their class means (m, r) and classes (m,)."""
        if not self.defined:
            return
        self.came += len(y)
        if self.everyone and len(y) >= LEAST:
            for part in blocks(len(y), len(self.places)):
                self._judge(H[part], deviations[part], y[part])
            return
        if not self.everyone:
            drawn = (torch.rand(len(y), generator=self.generator, device="cpu") < self.chance).to(y.device)
            H, deviations, y = H[drawn], deviations[drawn], y[drawn]
        H = H[:, :0] if self.chosen is None else H
        self.waiting.append((H.clone(), deviations.clone(), y))
        if self.everyone and sum(len(y) for _, _, y in self.waiting) >= LEAST:
            self.finish()

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
        if not self.came or not self.everyone or self.chosen is None:
            return None
        self.finish()
        return self.wrong if self.weights is None else self.wrong * self.weights

    def _fraction(self, counted: torch.Tensor) -> float:
        """The fraction of the judged samples that are counted (K,), once all that wait are judged."""
        if not self.came:
            return math.nan
        self.finish()
        if not self.everyone:
            judged = max(1.0, float(self.judged.sum()))
            count = float(counted.sum())
            likely = (count + 1) / (judged + 2)  # Laplace's: none of a sample does not make none of all certain
            return Estimate(count / judged, (likely * (1 - likely) / judged) ** 0.5)
        weights = self.judged.new_ones(()) if self.weights is None else self.weights
        return float((counted * weights).sum() / (self.judged * weights).sum())

    def finish(self) -> None:
        """Judge the samples that wait: they are put together, for matrix products to be worth it."""
        if not self.waiting:
            return
        H, deviations, y = (torch.cat(part) for part in zip(*self.waiting, strict=True))
        self.waiting = []
        self._judge(H, deviations, y)

    def _judge(self, H: torch.Tensor, deviations: torch.Tensor, y: torch.Tensor) -> None:
        nearest, K = self._nearest(deviations, y), len(self.judged)
        self.right += torch.bincount(y[nearest == y], minlength=K)
        self.judged += torch.bincount(y, minlength=K)
        if self.chosen is not None:
            self.wrong += torch.bincount(y[~self.chosen.is_at(H, nearest)], minlength=K)

    def _nearest(self, deviations: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(m,) the class with the nearest mean."""
        if self.safe is None:
            return self.nearest(deviations + self.places[y])
        away = (~(squares(deviations) < self.safe[y])).nonzero().flatten()
        if not len(away):
            return y
        own = y[away]
        return y.index_copy(0, away, self.nearest(deviations[away] + self.places[own]))


def _safe_squares(means: Pairs) -> torch.Tensor:
    """(K,) squares of distances from each mean (K, r) within which no other is nearer, nor looks so by rounding."""
    safe = means.X.new_empty(means.num_classes)
    for part, distances in means.squared_distances():
        distances.diagonal(part.start).fill_(torch.inf)
        safe[part] = distances.amin(1) / 4
    near = safe < NEAR * squares(means.X).max()
    return (CLEAR * safe).masked_fill(near, 0)
