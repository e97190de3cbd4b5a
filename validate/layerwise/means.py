"""The first pass: class counts, means and spreads of every layer, over all batches and processes."""

from dataclasses import replace

import torch

from ufm import InputError
from ufm.errors import require

from ..statistics.blocks import blocks
from ..statistics.moments import Moments
from .pooling import Samples
from .ranks import agreed, most, of_all
from .stream import Stream

OF_CLASSES = ("counts", "means", "spreads")  # of the moments, what has an entry a class


def class_moments(stream: Stream, num_classes: int | None, device: torch.device) -> list[Moments]:
    """The moments of each layer, without scatter: memory O(K d) a layer.

    num_classes  K; None: one more than the largest label of any process
    """
    found = agreed(lambda: _passed(stream, num_classes), device)
    K = most(len(found[0].counts), device)
    return [_merged(grown(moments, K)) for moments in found]


def _passed(stream: Stream, num_classes: int | None) -> list[Moments]:
    found: list[Moments] = []
    for batch in stream:
        found = found or [
            Moments.zero(num_classes or 0, one.features.shape[1], scatter=False, device=one.features.device)
            for one in batch
        ]
        for i, samples in enumerate(batch):
            try:
                found[i] = updated(found[i], samples, grows=num_classes is None)
            except InputError as error:
                raise InputError(f"{stream.layers[i].name if stream.layers else i}: {error}") from error
    require(bool(found), "the loader yielded no batch; give at least one (in every process)")
    return found


def updated(moments: Moments, samples: Samples, *, grows: bool) -> Moments:
    """The moments with these samples in them; where they may grow, of as many classes as the labels need."""
    features, labels = samples.features, samples.labels
    if grows and len(labels) and not labels.is_floating_point():
        moments = grown(moments, int(labels.max()) + 1)
    for part in blocks(len(labels), features.shape[1]):
        moments.update(features[part], labels[part])
    return moments


def grown(moments: Moments, K: int) -> Moments:
    """The moments with room for K classes, if there was less."""
    more = K - len(moments.counts)
    if more <= 0:
        return moments
    parts = {name: getattr(moments, name) for name in OF_CLASSES}
    return replace(
        moments, **{name: torch.cat([part, part.new_zeros(more, *part.shape[1:])]) for name, part in parts.items()}
    )


def _merged(moments: Moments) -> Moments:
    """The moments of all processes together."""
    ranks = {name: of_all(part) for name, part in vars(moments).items() if part is not None}
    each = [dict(zip(ranks, parts, strict=True)) for parts in zip(*ranks.values(), strict=True)]
    first, *others = (replace(moments, **parts) for parts in each)
    for other in others:
        first.merge(other)
    return first
