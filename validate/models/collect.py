"""validate.collect: the last layer and the features it sees, out of any torch classifier."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from ufm import Point
from ufm.errors import require

from .heads import Head, Headed
from .probing import averages_positions, find_head, require_makes_outputs
from .tracing import batches_of, capturing, evaluating, run, saying, torch_module

IGNORED = -100  # the label of positions that count for nothing, as in torch.nn.CrossEntropyLoss


def collect(model: nn.Module, loader: Iterable[Any], head: str | Head | None = None) -> tuple[Point, torch.Tensor]:
    """(Point of the model's last layer over the data, labels (N,)).

    loader yields batches, and is passed over once, in its order: pairs (inputs, labels), where inputs is a tensor, a
    tuple of arguments or a mapping of keyword arguments, or mappings of keyword arguments with an entry "labels".
    They are moved to the device of the model. head names the layer (or is it): a Linear layer or a convolution of
    kernel 1. None takes the last Linear layer that the first batch runs through, else the last such convolution, and
    refuses one that does not make the model's outputs: it is made to exchange its own, and they have to follow (see
    `validate.models.probing`; it costs two more runs of that batch). One that is named is refused where it is seen to
    be a hidden layer. Of several heads, or several runs of one, the last is taken. What the model makes of its logits,
    class by class or of all classes alike, does not matter.

    Where the head sees (samples, *positions, d), every position is a sample: labels have shape (samples, *positions),
    and -100 leaves one out. Where there is one label a sample, and the model averages the head's outputs over its
    positions, H has the averages of what the head sees: W h + b is then the average output. (SqueezeNet has a ReLU
    before the average: its own answers have it, the point's logits do not.)

    W, H, b keep the dtype and device of the model. The model runs in eval mode, without gradients, and is left as it
    was, its hooks removed even on error. Raises InputError when no such layer is found, no data came, or labels do not
    fit. A head of another kind is measured by hand: `validate.neural_collapse(ufm.Point(W, H, b), labels)`, or
    `validate.batch_neural_collapse(batches, W, b)`.

    >>> import torch, validate
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    >>> loader = [(torch.randn(30, 8), torch.arange(30) % 3)]
    >>> point, labels = validate.collect(model, loader)
    >>> point.W.shape, point.H.shape, labels.shape
    (torch.Size([3, 16]), torch.Size([30, 16]), torch.Size([30]))
    """
    stream = Features(model, loader, head)
    parts = list(stream)
    require(sum(len(labels) for _, labels in parts) > 0, "the loader yielded no batch with samples; give at least one")
    features, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return Point(stream.W, features, stream.b), labels


class Features(Headed):
    """The batches (features (m, d), labels (m,)) of a model over a loader, made anew in each pass: nothing is kept.

    Arguments and errors as for `collect`. W (K, d) and b (K,) are copies of the head's, zeros for a missing bias.

    >>> batches = Features(model, loader)                                       # doctest: +SKIP
    >>> validate.batch_neural_collapse(batches, batches.W, batches.b)           # doctest: +SKIP
    """

    def __init__(self, model: nn.Module, loader: Iterable[Any], head: str | Head | None = None):
        self.model, self.loader, self.asked = torch_module(model), batches_of(loader), head
        self._found: Head | None = None
        self._averages: bool | None = None  # the outputs of its head over positions; None: not asked yet
        self._looked_at = head is None  # whether the head is known to be no hidden layer

    @property
    def head(self) -> Head:
        """The layer, found with the first batch unless it was given."""
        if self._found is None:
            first = next(iter(self.loader), None) if self.asked is None else None
            require(first is not None or self.asked is not None, "the loader yielded no batch; give at least one")
            self._found = find_head(self.model, first, self.asked)
        return self._found

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in self.loader:
            self._found = self._found or find_head(self.model, batch, self.asked)
            with evaluating(self.model), capturing([self._found]) as seen, saying(self._found) as said:
                output, labels = run(self.model, batch)
            require(bool(seen), "the model did not run through the head; name another with head=")
            if not self._looked_at:
                require_makes_outputs(self.model, batch, self._found, output, said[-1])
                self._looked_at = True
            yield samples(self._averaged(seen[-1][1], labels, batch), labels)

    def _averaged(self, features: torch.Tensor, labels: torch.Tensor | None, batch: Any) -> torch.Tensor:
        """The features (m, *positions, d), or their averages (m, d) if the model averages and the labels are (m,)."""
        if labels is None or features.ndim == 2 or labels.shape != features.shape[:1]:
            return features
        if self._averages is None:
            self._averages = averages_positions(self.model, batch, self.head, features.shape[1:-1])
        return averaged(features) if self._averages else features


def averaged(features: torch.Tensor) -> torch.Tensor:
    """The averages (m, d) of features (m, *positions, d)."""
    return features.flatten(1, -2).mean(1)


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
        "one-hot labels, pass argmax(-1); one label a sample is enough where the model averages over positions)",
    )
    features, labels = features[:most].flatten(0, -2), labels[:most].flatten()
    kept = labels != IGNORED
    features, labels = (features, labels) if bool(kept.all()) else (features[kept], labels[kept])
    return features, labels
