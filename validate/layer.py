"""A last layer in a few numbers, and the centring that makes them comparable with the theory's."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ufm import Point

from .metrics import class_statistics, resolve_labels


@dataclass(frozen=True)
class LastLayer:
    """What a last layer does on labelled features, float64.

    loss          mean cross-entropy                  accuracy      fraction of samples classified right
    mean_margin   mean of own logit - mean of the others
    least_margin  least of own logit - largest other: positive when every sample is right
    norm_w        |W|_F       norm_h  |H|_F / sqrt(N)       norm_b  |b|
    """

    loss: float
    accuracy: float
    mean_margin: float
    least_margin: float
    norm_w: float
    norm_h: float
    norm_b: float


def centred(point: Point, labels: torch.Tensor | None = None, bias: bool = True) -> Point:
    """The float64 point with features H - h_G and W h_G moved into the bias: the same logits.

    h_G is the mean of all samples. Every minimiser of the unconstrained feature model is centred, and
    features behind a ReLU are not. bias=False: the head has no bias to take W h_G up, so the point stays
    as it is.
    """
    labels = resolve_labels(point, labels)
    point = point.double()
    if not bias:
        return point
    mean = class_statistics(point, labels).global_mean
    return replace(point, H=point.H - mean, b=point.b + point.W @ mean)


def last_layer(point: Point, labels: torch.Tensor | None = None) -> LastLayer:
    """The numbers of a point; labels (N,) as for `neural_collapse`."""
    labels = resolve_labels(point, labels)
    point = point.double()
    if len(labels) != len(point.H):
        point = replace(point, H=point.H[labels], labels=labels)
    logits, (N, K) = point.logits, (len(labels), point.num_classes)
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return LastLayer(
        loss=float(functional.cross_entropy(logits, labels)),
        accuracy=float((logits.argmax(1) == labels).double().mean()),
        mean_margin=float((own - (logits.sum(1) - own) / (K - 1)).mean()),
        least_margin=float((own - others).min()),
        norm_w=float(point.W.norm()),
        norm_h=float(point.H.norm()) / N**0.5,
        norm_b=float(point.b.norm()),
    )
