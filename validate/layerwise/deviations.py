"""The second pass: what is summed over the samples of every layer, and of every two consecutive ones, once the class
means are known."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch

from ufm.errors import require

from ..metrics.nearest_center import NearestCenter
from ..statistics.classes import ClassStatistics
from ..statistics.moments import Moments
from ..statistics.projected import Projected
from ..statistics.sketch import Sketch
from ..statistics.within import Deviations
from .pooling import Samples
from .ranks import agreed, sum_over_ranks
from .stream import Stream


@dataclass(frozen=True, eq=False)
class Seen:
    """What a batch is in a layer: Z (m, r) in whitened directions of the class means, and sketches (copies, m, s) of
    the features, both about the mean of all samples."""

    Z: torch.Tensor
    sketches: torch.Tensor


def unseen(moments: Moments, traces: torch.Tensor) -> ClassStatistics:
    """The statistics of a first pass, for a second one that is still to fill in the traces."""
    exponent = int(moments.exponent)
    within = Projected([], moments.means, exponent=exponent, traces=traces)
    return ClassStatistics(moments.counts, moments.means, moments.spreads, within, exponent=exponent)


class Deviation:
    """The sums of one layer, float64: memory O(K d + r^2 + min(d, wide)^2), r = min(K - 1, d).

    statistics   of the classes that have samples; `finish` fills in the traces of `within`
    coordinates  (K, r) the centred means in the directions P = basis/|means along it|, of orthonormal columns
    within       (r, r) sum of P^T (h - h_k)(h - h_k)^T P
    products     (copies, s, s) of the sketches; (1, d, d) of the features themselves where d <= wide
    """

    def __init__(self, moments: Moments, rows: int, wide: int, seed: int):
        self.traces = moments.means.new_zeros(1)
        self.statistics, classes = unseen(moments, self.traces).present()
        self.means, self.classes = moments.means, None if len(classes) == len(moments.counts) else classes
        between = self.statistics.between
        kept = between.sizes > 0
        self.basis, self.scale, self.kept = between.basis, between.scale, kept
        self.coordinates = (between.coordinates * between.scale)[:, kept]
        self.nearest = NearestCenter(self.statistics, None, None, rows, between.coordinates)
        self.sketch = Sketch(self.means.shape[1], wide, seed, self.means.device)
        r, s = self.coordinates.shape[1], self.sketch.size
        self.within = self.means.new_zeros(r, r)
        self.products = self.means.new_zeros(self.sketch.copies, s, s)
        self.diagonal = self.means.new_zeros(self.means.shape[1])
        self.came = self.means.new_zeros(())

    def update(self, samples: Samples) -> Seen:
        batches = Deviations(
            [(samples.features, samples.labels)],
            self.means,
            classes=self.classes,
            exponent=self.statistics.exponent,
        )
        found = [self._block(*block) for block in batches]
        if not found:
            none = self.within.new_zeros
            return Seen(none(0, len(self.within)), none(self.sketch.copies, 0, self.sketch.size))
        Z, sketches = zip(*found, strict=True)
        return Seen(torch.cat(Z), torch.cat(sketches, 1))

    def _block(self, H: torch.Tensor, deviations: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.came += len(y)
        image = deviations @ self.basis
        self.nearest(H, image, y)
        within = (image * self.scale)[:, self.kept]
        self.within.addmm_(within.T, within)
        X = H - self.statistics.global_mean
        sketches = self.sketch(X)
        self.products.baddbmm_(sketches.mT, sketches)
        self.diagonal += X.square().sum(0)
        return within + self.coordinates[y], sketches

    def finish(self) -> None:
        """Add what other processes summed, and give the metrics what they read."""
        self.nearest.finish()
        decided = [self.nearest.right, self.nearest.judged]
        sum_over_ranks([self.within, self.products, self.diagonal, self.came, *decided])
        require(
            int(self.came) == self.statistics.num_samples,
            f"the second pass over the loader gave {int(self.came)} samples and the first "
            f"{self.statistics.num_samples}: it must be iterable more than once and give the same samples each time "
            "(or raise keep=, the bytes of features that are kept in between)",
        )
        self.traces.copy_(self.within.diagonal().sum())

    @property
    def total(self) -> torch.Tensor:
        """(r, r) sum of Z^T Z."""
        counts = self.statistics.counts.to(self.coordinates)
        return self.within + self.coordinates.T @ (self.coordinates * counts[:, None])

    @property
    def energy(self) -> torch.Tensor:
        """(copies,) |X^T X|_F^2."""
        return self.sketch.energy(self.products, self.diagonal)

    @property
    def squares(self) -> torch.Tensor | None:
        """(d,) eigenvalues of X^T X, ascending; None where d > wide."""
        return torch.linalg.eigvalsh(self.products[0]).clamp_min(0) if self.sketch.exact else None


class Pair:
    """The sums of two consecutive layers: Z^T Z' (r, r') and the products of their sketches.

    alike  whether both have had the same number of samples in every batch; else they are not of the same samples
    """

    def __init__(self, first: Deviation, second: Deviation):
        self.angles = first.within.new_zeros(len(first.within), len(second.within))
        copies = max(first.sketch.copies, second.sketch.copies)
        self.products = first.within.new_zeros(copies, first.sketch.size, second.sketch.size)
        self.apart = first.within.new_zeros(())

    def update(self, first: Seen, second: Seen) -> None:
        if len(first.Z) != len(second.Z):
            self.apart += 1
        else:
            self.angles.addmm_(first.Z.T, second.Z)
            self.products += first.sketches.mT @ second.sketches

    @property
    def alike(self) -> bool:
        return not int(self.apart)

    def finish(self) -> None:
        sum_over_ranks([self.angles, self.products, self.apart])


def second_pass(
    stream: Stream, moments: Iterable[Moments], rows: int, wide: int, device: torch.device
) -> tuple[list[Deviation], list[Pair]]:
    """The sums of every layer and of every two consecutive ones."""
    layers = [Deviation(one, rows, wide, seed) for seed, one in enumerate(moments)]
    pairs = [Pair(*two) for two in pairwise(layers)]

    def passed() -> None:
        for batch in stream:
            seen = [layer.update(samples) for layer, samples in zip(layers, batch, strict=True)]
            for pair, two in zip(pairs, pairwise(seen), strict=True):
                pair.update(*two)

    agreed(passed, device)
    for layer in layers:
        layer.finish()
    for pair in pairs:
        pair.finish()
    return layers, pairs
