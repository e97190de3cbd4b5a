"""validate.collect: the last layer and the features it sees, out of any torch classifier."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from ufm import Point
from ufm.errors import require

from .tracing import capturing, evaluating, find_head, run

IGNORED = -100  # the label of positions that count for nothing, as in torch.nn.CrossEntropyLoss


def collect(model: nn.Module, loader: Iterable[Any], head: str | nn.Linear | None = None) -> tuple[Point, torch.Tensor]:
    """(Point of the model's last Linear layer over the data, labels (N,)).

    loader yields batches, and is passed over once, in its order: pairs (inputs, labels), where inputs is a tensor, a
    tuple of arguments or a mapping of keyword arguments, or mappings of keyword arguments with an entry "labels".
    They are moved to the device of the model. head names the Linear layer (or is it); None takes the last one that
    the first batch runs through, and refuses it if no output of the model has as many entries along any dimension. Of
    several heads, or several runs of one, the last is taken. What the model makes of its logits does not matter.

    Where the head sees (..., d), every position is a sample: labels have shape (...), and -100 leaves one out. W, H, b
    keep the dtype and device of the model. The model runs in eval mode, without gradients, and is left as it was, its
    hooks removed even on error. Raises InputError when no such layer is found, no data came, or labels do not fit.
    """
    stream = Features(model, loader, head)
    parts = list(stream)
    require(sum(len(labels) for _, labels in parts) > 0, "the loader yielded no batch with samples; give at least one")
    features, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return Point(stream.W, features, stream.b), labels


class Features:
    """The batches (features (m, d), labels (m,)) of a model over a loader, made anew in each pass: nothing is kept.

    Arguments and errors as for `collect`. W (K, d) and b (K,) are copies of the head's, zeros for a missing bias.

    >>> batches = Features(model, loader)                                       # doctest: +SKIP
    >>> validate.batch_neural_collapse(batches, batches.W, batches.b)           # doctest: +SKIP
    """

    def __init__(self, model: nn.Module, loader: Iterable[Any], head: str | nn.Linear | None = None):
        self.model, self.loader, self.asked, self._found = model, loader, head, None

    @property
    def head(self) -> nn.Linear:
        """The Linear layer, found with the first batch unless it was given."""
        if self._found is None:
            first = next(iter(self.loader), None) if not isinstance(self.asked, nn.Linear) else None
            require(first is not None or self.asked is not None, "the loader yielded no batch; give at least one")
            self._found = find_head(self.model, first, self.asked)
        return self._found

    @property
    def W(self) -> torch.Tensor:
        return self.head.weight.detach().clone()

    @property
    def b(self) -> torch.Tensor:
        head = self.head
        return head.weight.new_zeros(head.out_features) if head.bias is None else head.bias.detach().clone()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in self.loader:
            self._found = self._found or find_head(self.model, batch, self.asked)
            with evaluating(self.model), capturing([self._found]) as seen:
                _, labels = run(self.model, batch)
            require(bool(seen), "the model did not run through the head; name another with head=")
            yield samples(seen[-1][1], labels)


def samples(
    features: torch.Tensor, labels: torch.Tensor | None, most: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(features (m, d), labels (m,)) of the first `most` entries of a batch (all of them), one row a position.

    Positions that are ignored are left out. Raises InputError where labels are missing or of another shape.
    """
    require(labels is not None, 'a batch of keyword arguments needs an entry "labels"')
    labels = torch.as_tensor(labels, device=features.device)
    require(
        labels.shape == features.shape[:-1],
        f"the head saw features of shape {tuple(features.shape)}, which need labels of shape "
        f"{tuple(features.shape[:-1])}, class numbers; got {tuple(labels.shape)} (head= names another layer; of "
        "one-hot labels, pass argmax(-1))",
    )
    features, labels = features[:most].flatten(0, -2), labels[:most].flatten()
    kept = labels != IGNORED
    features, labels = (features, labels) if bool(kept.all()) else (features[kept], labels[kept])
    return features, labels
