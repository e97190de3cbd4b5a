"""Held-out features about the centres of a training set: h_k, h_G and Sigma_B are the training set's, and deviations

    h - h_k    of a held-out feature h of class k from the training mean h_k

have a scatter about h_k. With n'_k held-out samples of mean h'_k and scatter S'_k about it, it is the sum

    S'_k + n'_k (h'_k - h_k)(h'_k - h_k)^T

of positive terms, so one pass over the held-out samples is enough where it is wanted.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from ufm import Point
from ufm.errors import InputError, require

from .classes import Batches, ClassStatistics, batch_statistics, point_statistics
from .moments import Moments
from .scale import power

# A point and its labels (None: those of the point), batches (features, labels), or what a pass over them left.
Reference: TypeAlias = tuple[Point, torch.Tensor | None] | Batches | ClassStatistics | Moments


@dataclass(frozen=True, eq=False)
class Centres:
    """Class means (K, d) float64 in units of 2^exponent, and of how many samples each is, counts (K,) int64."""

    counts: torch.Tensor
    means: torch.Tensor
    exponent: int

    @classmethod
    def of(cls, reference: "Reference | Centres", num_classes: int) -> "Centres":
        """The centres of a reference. Raises InputError where it is none."""
        if isinstance(reference, Centres):
            return reference
        found = _statistics(reference, num_classes)
        return cls(found.counts.clone(), found.means.clone(), int(found.exponent))


def about(statistics: ClassStatistics, reference: Reference | Centres) -> ClassStatistics:
    """The statistics of held-out features about the class means of a reference, in the larger of the two units.

    Raises InputError where K and d do not agree.
    """
    K, d = statistics.means.shape
    centres = Centres.of(reference, K)
    require(
        centres.means.shape == (K, d),
        f"the reference has class means of shape {tuple(centres.means.shape)}, and the features measured "
        f"{K} classes and {d} dimensions: pass features of the same layer",
    )
    exponent = max(statistics.exponent, centres.exponent)
    held_out = statistics.in_units_of(exponent)
    means = centres.means.to(statistics.means) * power(centres.exponent - exponent)
    shifts = (held_out.means - means).masked_fill((held_out.counts == 0)[:, None], 0)
    return replace(
        held_out,
        means=means,
        spreads=held_out.spreads + held_out.counts * shifts.square().sum(1),
        within=held_out.within.about(means, shifts, held_out.counts),
        behind=centres.counts.to(means.device),
    )


def _statistics(reference: Reference, num_classes: int) -> ClassStatistics | Moments:
    if isinstance(reference, ClassStatistics | Moments):
        return reference
    if isinstance(reference, Point):
        return point_statistics(reference)
    if isinstance(reference, tuple) and len(reference) == 2 and isinstance(reference[0], Point):
        return point_statistics(*reference)
    tensors = isinstance(reference, torch.Tensor) or (
        isinstance(reference, tuple | list) and any(isinstance(part, torch.Tensor) for part in reference)
    )
    require(
        hasattr(reference, "__iter__") and not tensors,
        "reference must be (point, labels), batches [(features, labels), ...], or the statistics of a pass over them; "
        f"got {type(reference).__name__}{' of tensors' * tensors}",
    )
    try:
        return batch_statistics(reference, num_classes)
    except InputError as error:
        raise InputError(
            f"of the reference: {error}", "if it is a model's loader, pass validate.collect(model, loader)"
        ) from error
