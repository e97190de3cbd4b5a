"""A last layer in a few numbers."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ufm import Point

from .metrics import resolve_labels


@dataclass(frozen=True)
class LastLayer:
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


def last_layer(point: Point, labels: torch.Tensor | None = None) -> LastLayer:
    """The numbers of a point; labels (N,) as for `neural_collapse`."""
    labels = resolve_labels(point, labels)
    point = point.double()
    H = point.H if len(labels) == len(point.H) else point.H[labels]
    logits, (N, K) = H @ point.W.T + point.b, (len(labels), point.num_classes)
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return LastLayer(
        loss=float(functional.cross_entropy(logits, labels)),
        accuracy=float((logits.argmax(1) == labels).double().mean()),
        mean_margin=float((own - (logits.sum(1) - own) / (K - 1)).mean()),
        least_margin=float((own - others).min()),
        norm_w=float(point.W.norm()),
        norm_h=float((H - H.mean(0)).norm()) / N**0.5,
    )
