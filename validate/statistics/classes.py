"""Class statistics of labelled features, from a Point, from batches passed over twice, or from one streaming pass."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ufm import InputError, Point
from ufm.errors import given, require

from .between import Between
from .blocks import blocks
from .gram import symmetric
from .inputs import labelled
from .moments import Moments
from .pairs import Pairs
from .scale import exponent_of, power, scaled
from .within import Deviations, Scatter

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


CENTRES = ("samples", "classes")


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """All that the metrics know of labelled features, float64.

    counts (K,) int64, means (K, d), spreads (K,) = sum of |h - h_k|^2 over the class, and
    within    the deviations h - h_k: their (d, d) `Scatter`, or `Deviations` to pass over once more
    behind    (K,) int64, of how many samples each h_k is the mean, where it is that of other samples than those counted
              (of a training set, and these are held out); None: of those counted
    centre    "samples": the global mean h_G is that of all samples behind the class means; "classes": the mean of the
              class means, whatever the class sizes are
    exponent  features and means are in units of 2^exponent: 0 unless their size is beyond `scale.RANGE`
    """

    counts: torch.Tensor
    means: torch.Tensor
    spreads: torch.Tensor
    within: Scatter | Deviations
    behind: torch.Tensor | None = None
    centre: str = "samples"
    exponent: int = 0

    @property
    def num_samples(self) -> int:
        """N"""
        return int(self.counts.sum())

    @property
    def counts_of_means(self) -> torch.Tensor:
        """(K,) int64: of how many samples each class mean is."""
        return self.counts if self.behind is None else self.behind

    @property
    def weights(self) -> torch.Tensor:
        """(K,) float64: the weight of each class mean in the global mean, up to a factor."""
        counts = self.counts_of_means.to(self.means)
        return counts if self.centre == "samples" else torch.ones_like(counts)

    @cached_property
    def global_mean(self) -> torch.Tensor:
        """(d,) the mean h_G."""
        weights = self.weights
        return weights @ self.means / weights.sum()

    @cached_property
    def centred(self) -> torch.Tensor:
        """(K, d) the class means less the global mean; 0 where they differ by rounding."""
        centred = self.means - self.global_mean
        rounding = centred.norm(dim=1).square() <= self.noise
        if bool(rounding.any()):
            centred[rounding] = 0
        return centred

    @cached_property
    def _pairs(self) -> dict[int, Pairs]:
        return {}

    def pairs(self, rows: int) -> Pairs:
        """The pairs of centred class means, `rows` of them at most; the same object when it is asked for again."""
        if rows not in self._pairs:
            self._pairs[rows] = Pairs(self.centred, rows, known_gram=lambda: self.between.gram)
        return self._pairs[rows]

    @cached_property
    def between(self) -> Between:
        """How the class means spread about the global mean."""
        return Between.of(self.centred, self.weights, self.noise)

    @cached_property
    def variances(self) -> torch.Tensor:
        """(K,) tr Sigma_k, the mean of |h - h_k|^2 over the class; NaN of a class without samples."""
        return self.spreads / self.counts

    @property
    def seen(self) -> torch.Tensor:
        """(K',) the classes that have samples."""
        return self.counts.nonzero().flatten()

    @property
    def sees_within(self) -> bool:
        """Whether anything is known of how features vary within a class.

        It is where some class has two samples or more, or has one and its mean is that of others.
        """
        return bool((self.counts > (1 if self.behind is None else 0)).any())

    @cached_property
    def noise(self) -> float:
        """The square of the distance from a class mean that counts as rounding: 8 eps of the longest mean."""
        eps = torch.finfo(self.means.dtype).eps
        return (8 * eps) ** 2 * float(self.means.norm(dim=1).max()) ** 2

    @classmethod
    def of_moments(cls, moments: Moments) -> "ClassStatistics":
        """The statistics that one pass left; InputError where it kept no scatter."""
        scatter = given(moments.scatter, "the moments have no scatter; keep it in the pass")
        return cls(
            moments.counts, moments.means, moments.spreads, Scatter(symmetric(scatter)), exponent=int(moments.exponent)
        )

    def in_units_of(self, exponent: int) -> "ClassStatistics":
        """The same in units of 2^exponent."""
        step = exponent - self.exponent
        if not step:
            return self
        means, spreads = scaled(self.means, step), self.spreads * power(-2 * step)
        return replace(self, means=means, spreads=spreads, within=self.within.in_units(step), exponent=exponent)

    def only(self, classes: torch.Tensor) -> "ClassStatistics":
        """The statistics of some classes (K',), ascending, as if there were no others."""
        if len(classes) == len(self.counts):
            return self
        counts, means, spreads = (part[classes] for part in (self.counts, self.means, self.spreads))
        behind = None if self.behind is None else self.behind[classes]
        within, others = self.within.restricted(classes), self.spreads.clone()
        others[classes] = 0
        if isinstance(within, Scatter) and bool(others.any()):
            within = within.unknown
        return replace(self, counts=counts, means=means, spreads=spreads, within=within, behind=behind)

    def present(self) -> tuple["ClassStatistics", torch.Tensor]:
        """(the statistics of the classes that have a mean, their numbers (K',)); K' = 0 raises InputError."""
        classes = self.counts_of_means.nonzero().flatten()
        if not len(classes):
            raise InputError("no samples: there is nothing to measure")
        return self.only(classes), classes

    def require_present(self, classes: torch.Tensor | None = None) -> None:
        """Raise InputError, naming a class, when one (of `classes`; None: of all) has no samples."""
        counts = self.counts_of_means
        asked = torch.arange(len(counts), device=counts.device) if classes is None else classes
        empty = asked[counts[asked] == 0].tolist()
        if empty:
            raise InputError(
                f"no sample of class {empty[0]} ({len(empty)} of {len(asked)} classes are empty): metrics need "
                'all; absent="drop" measures the classes that are there'
            )


def resolve_labels(point: Point, labels: torch.Tensor | None = None) -> torch.Tensor:
    """The (N,) int64 labels that go with a point; InputError when they do not fit it."""
    K, d = point.W.shape
    require(K >= 2 and d >= 1, f"metrics need K >= 2 classes and d >= 1 dimensions, got W of shape ({K}, {d})")
    labels = point.labels if labels is None else torch.as_tensor(labels, device=point.H.device)
    if labels is None:
        if point.H.shape[0] != point.num_classes:
            rows = f"H has {point.H.shape[0]} rows, one a sample"
            raise InputError(f"{rows}: pass the labels, or keep them in the point, ufm.Point(W, H, b, labels)")
        labels = torch.arange(point.num_classes, device=point.H.device)
    labels = labels.to(point.H.device)
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise InputError(f"labels must be a vector of integers, got {labels.dtype} of shape {tuple(labels.shape)}")
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= point.num_classes:
        raise InputError(f"labels must lie in 0 .. {point.num_classes - 1} to fit W with K = {point.num_classes} rows")
    if len(labels) != point.H.shape[0] and point.H.shape[0] != point.num_classes:
        raise InputError(f"{len(labels)} labels for {point.H.shape[0]} rows of H; pass one for each row")
    return labels.long()


def class_means_only(point: Point, labels: torch.Tensor | None = None) -> bool:
    """Whether no class of a point has two samples, so that its metrics within classes are not defined."""
    return int(torch.bincount(resolve_labels(point, labels)).max()) < 2


def batch_statistics(batches: Batches, num_classes: int, *, device: torch.device | str = "cpu") -> ClassStatistics:
    """The statistics of batches (features (m, d), labels (m,)), which the metrics pass over a second time.

    Memory O(K d), without any d x d: `batches` must give the same samples each time it is iterated over (a list, a
    DataLoader without shuffling, `validate.Features`). Raises InputError when it gave none.
    """
    moments = None
    for features, labels in map(labelled, batches):
        moments = moments or Moments.zero(num_classes, features.shape[1], scatter=False, device=device)
        moments.update(features.to(device), labels.to(device))
    if moments is None:
        raise InputError("no batch of features came; give at least one")
    exponent = int(moments.exponent)
    within = Deviations(batches, moments.means, exponent=exponent)
    return ClassStatistics(moments.counts, moments.means, moments.spreads, within, exponent=exponent)


def class_statistics(point: Point, labels: torch.Tensor | None = None) -> ClassStatistics:
    """The class statistics of a point. InputError names a class without samples."""
    statistics = point_statistics(point, labels)
    statistics.require_present()
    return statistics


def point_statistics(point: Point, labels: torch.Tensor | None = None) -> ClassStatistics:
    """The class statistics of a point, classes without samples included."""
    labels, K = resolve_labels(point, labels), point.num_classes
    if len(labels) != len(point.H):  # a collapsed point that stands for all these samples
        exponent = exponent_of(point.H)
        counts, means = torch.bincount(labels, minlength=K), scaled(point.H.double(), exponent)
        none = Deviations.none(means, counts)
        return ClassStatistics(counts, means, means.new_zeros(K), none, exponent=exponent)
    pieces = [(point.H[part], labels[part]) for part in blocks(len(labels), point.dim)]
    return batch_statistics(pieces, K, device=point.H.device)
