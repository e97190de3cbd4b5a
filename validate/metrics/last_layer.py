"""What a last layer does on labelled features: mean loss, accuracy, margins of z = W h + b, and norms:

z_y - mean_{k != y} z_k,   min (z_y - max_{k != y} z_k),   |W|_F,   |H - h_G|_F / sqrt(N).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ufm import Point
from ufm.results import Result, Shown

from ..statistics.blocks import blocks
from ..statistics.classes import resolve_labels
from ..statistics.inputs import measurable
from ..statistics.scale import exponent_of, power, scaled
from .formulas import FORMULAS


@dataclass(frozen=True)
class LastLayer(Shown, Result):
    """What a last layer does on labelled features, float64.

    loss          mean cross-entropy                  accuracy      fraction of samples classified right
    mean_margin   mean of own logit - mean of the others
    least_margin  least of own logit - largest other: positive when every sample is right
    norm_w        |W|_F                               norm_h        |H - h_G|_F / sqrt(N)

    All of them stay as they are when the features are shifted and the bias takes the shift up.
    """

    loss: float
    accuracy: float
    mean_margin: float
    least_margin: float
    norm_w: float
    norm_h: float

    formulas = FORMULAS


def last_layer(point: Point, labels: torch.Tensor | None = None) -> LastLayer:
    """The numbers of a point; labels (N,) as for `neural_collapse`."""
    point = measurable(point).double()
    labels = resolve_labels(point, labels)
    weights = torch.ones_like(labels)
    if len(labels) != len(point.H):
        weights, labels = torch.bincount(labels, minlength=len(point.H)), torch.arange(len(point.H)).to(labels)
    H, N = point.H, int(weights.sum())
    parts = [
        _of_batch(point, H[part], labels[part], weights[part].to(H))
        for part in blocks(len(labels), max(point.num_classes, point.dim))
    ]
    loss, right, margins, least = zip(*parts, strict=True)
    mean = weights.to(H) @ H / N
    size_w, size_h = exponent_of(point.W), exponent_of(H)
    return LastLayer(
        loss=sum(loss) / N,
        accuracy=sum(right) / N,
        mean_margin=sum(margins) / N,
        least_margin=min(least),
        norm_w=float(scaled(point.W, size_w).norm()) * power(size_w),
        norm_h=float((weights.to(H) @ scaled(H - mean, size_h).square()).sum() / N) ** 0.5 * power(size_h),
    )


def _of_batch(
    point: Point, H: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> tuple[float, float, float, float]:
    """(sum of losses, number right, sum of margins, least margin), each row as often as its weight says."""
    logits, K = torch.addmm(point.b, H, point.W.T), point.num_classes
    loss = float(functional.cross_entropy(logits, labels, reduction="none") @ weights)
    right = float((logits.argmax(1) == labels).to(weights) @ weights)
    own = logits.gather(1, labels[:, None]).squeeze(1)
    margins = float((own - (logits.sum(1) - own) / (K - 1)) @ weights)
    others = logits.scatter_(1, labels[:, None], -torch.inf).amax(1)
    seen = torch.where(weights > 0, own - others, torch.inf)
    return loss, right, margins, float(seen.min())
