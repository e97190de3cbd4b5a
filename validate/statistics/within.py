"""How features spread about their class means, h - h_k: a d x d scatter, or batches to pass over once more.

S_k is the sum over the samples of class k of (h - h_k)(h - h_k)^T and S that over all samples. Whitened by the
between-class scatter M^T M (M the centred class means, `Between`) they have the traces tr(S_k (M^T M)^+), of which nc1
is the sum over N.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from ufm.errors import require

from .between import Between
from .blocks import blocks
from .buffers import borrowed
from .gram import times_lower
from .scale import power, scaled


class Batch(NamedTuple):
    """features (m, d), deviations (m, d) = h - h_k, and classes (m,) int64 among those that are measured."""

    features: torch.Tensor
    deviations: torch.Tensor
    classes: torch.Tensor


# Called with features (m, d), their deviations (m, d) and classes (m,), in memory that the next batch overwrites.
Listener = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


@dataclass(frozen=True, eq=False)
class Scatter:
    """S, (d, d), of all classes."""

    matrix: torch.Tensor

    weights = None  # see Deviations

    def restricted(self, classes: torch.Tensor) -> "Scatter":
        """The same, which is that of these classes if the others have no spread."""
        return self

    @property
    def unknown(self) -> "Scatter":
        """NaN, where it is not known which part of it is of the classes that are measured."""
        return Scatter(torch.full_like(self.matrix, torch.nan))

    def about(self, centres: torch.Tensor, shifts: torch.Tensor, counts: torch.Tensor) -> "Scatter":
        """S about other centres, which lie `shifts` (K, d) from the means of the classes, of so many samples (K,)."""
        rows = shifts * counts.to(shifts).sqrt()[:, None]
        return Scatter(torch.addmm(self.matrix, rows.T, rows))

    def in_units(self, step: int) -> "Scatter":
        """The same of features in units 2^step times as large."""
        return Scatter(self.matrix * power(-2 * step))

    def whitened(self, between: Between, num_samples: int, listener: Listener | None = None) -> torch.Tensor:
        """(1,) tr(S (M^T M)^+), 0 where rounding makes it negative; there are no samples for a listener."""
        P = between.basis * between.scale
        return (P * (self.matrix @ P)).sum().clamp_min(0)[None]


@dataclass(frozen=True, eq=False)
class Deviations:
    """Batches (features (m, d), labels (m,)) with the class means (K, d) to take from them.

    weights   (K',) how many samples a row of each class stands for; None: one
    classes   (K',) the classes that are measured, where some are left out; None: all
    exponent  the means are in units of 2^exponent, in which the features of the batches are wanted too
    """

    batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
    means: torch.Tensor
    weights: torch.Tensor | None = None
    classes: torch.Tensor | None = None
    exponent: int = 0

    @classmethod
    def none(cls, means: torch.Tensor, counts: torch.Tensor) -> "Deviations":
        """The deviations of a collapsed point, all 0: a row is a class mean and stands for all samples of the class."""
        return cls([(means, torch.arange(len(means), device=means.device))], means, counts)

    def restricted(self, classes: torch.Tensor) -> "Deviations":
        """Those of some classes alone."""
        weights = None if self.weights is None else self.weights[classes]
        return replace(self, weights=weights, classes=classes if self.classes is None else self.classes[classes])

    def about(self, centres: torch.Tensor, shifts: torch.Tensor, counts: torch.Tensor) -> "Deviations":
        """Deviations from other centres (K, d)."""
        return replace(self, means=centres)

    def in_units(self, step: int) -> "Deviations":
        """The same of features in units 2^step times as large."""
        return replace(self, means=scaled(self.means, step), exponent=self.exponent + step)

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches in float64, cut small, without the classes that are left out.

        A batch is in the memory of the one before: what is to be kept of it has to be copied.
        """
        dim = self.means.shape[1]
        with borrowed() as buffers:
            for features, labels in self.batches:
                for part in blocks(len(labels), dim):
                    y = labels[part].to(self.means.device).long()
                    H, deviations = (buffers.get(name, len(y), dim, self.means) for name in ("features", "deviations"))
                    H.copy_(features[part].detach())
                    if self.exponent:
                        H *= power(-self.exponent)
                    torch.index_select(self.means, 0, y, out=deviations)
                    yield self._measured(Batch(H, torch.sub(H, deviations, out=deviations), y))

    def _measured(self, batch: Batch) -> Batch:
        """The rows of the classes that are measured, with the places of these among them."""
        if self.classes is None:
            return batch
        places = self.classes.new_full((len(self.means),), -1)
        places[self.classes] = torch.arange(len(self.classes), device=places.device)
        classes = places[batch.classes]
        rows = classes >= 0
        if bool(rows.all()):
            return batch._replace(classes=classes)
        return Batch(batch.features[rows], batch.deviations[rows], classes[rows])

    def whitened(self, between: Between, num_samples: int, listener: Listener | None = None) -> torch.Tensor:
        """(K,) tr(S_k (M^T M)^+), in one pass that a listener can follow.

        num_samples  how many samples the first pass gave; InputError where this one gives another number
        """
        came, factor = 0, between.factor
        K = len(self.means) if self.classes is None else len(self.classes)
        traces = self.means.new_zeros(K)
        with borrowed() as buffers:
            for H, deviations, y in self:
                came += len(y)
                image = times_lower(deviations, factor, out=buffers.get("image", len(y), factor.shape[1], factor))
                traces.index_add_(0, y, image.norm(dim=1).square_())
                if listener is not None:
                    listener(H, deviations, y)
        require(
            came == (num_samples if self.weights is None else K),
            f"the second pass over the batches gave {came} samples and the first {num_samples}: they must be iterable "
            "more than once and give the same samples each time",
        )
        return traces if self.weights is None else traces * self.weights
