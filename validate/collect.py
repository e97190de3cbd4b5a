"""validate.collect: the last layer and the features it sees, out of any torch classifier."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ufm import InputError, Point
from ufm.errors import require

IGNORED = -100  # the label of positions that count for nothing, as in torch.nn.CrossEntropyLoss


def collect(model: nn.Module, loader: Iterable[Any], head: str | nn.Linear | None = None) -> tuple[Point, torch.Tensor]:
    """(Point of the model's last Linear layer over the data, labels (N,)).

    loader yields batches, and is passed over once, in its order: pairs (inputs, labels), where inputs is a tensor, a
    tuple of arguments or a mapping of keyword arguments, or mappings of keyword arguments with an entry "labels".
    They are moved to the device of the model. head names the Linear layer (or is it); None takes the last one that
    the first batch runs through. Whatever the model returns is not looked at.

    Where the head sees (..., d), every position is a sample: labels have shape (...), and -100 leaves one out. W, H, b
    keep the dtype and device of the model. The model runs in eval mode, without gradients, and is left as it was, its
    hooks removed even on error. Raises InputError when no Linear layer is found, no data came, or labels do not fit.
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
            self._found = _find_head(self.model, first, self.asked)
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
            self._found = self._found or _find_head(self.model, batch, self.asked)
            with _evaluating(self.model), _capturing([self._found]) as seen:
                labels = _run(self.model, batch)
            require(bool(seen), "the model did not run through the head; name another with head=")
            yield samples(seen[-1][1], labels)


def samples(features: torch.Tensor, labels: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """(features (m, d), labels (m,)) of a batch, one row a position, without those that are ignored."""
    require(labels is not None, 'a batch of keyword arguments needs an entry "labels"')
    labels = torch.as_tensor(labels, device=features.device)
    require(
        labels.shape == features.shape[:-1],
        f"the head saw features of shape {tuple(features.shape)}, which need labels of shape "
        f"{tuple(features.shape[:-1])}; got {tuple(labels.shape)} (head= names another layer)",
    )
    features, labels = features.flatten(0, -2), labels.flatten()
    kept = labels != IGNORED
    features, labels = (features, labels) if bool(kept.all()) else (features[kept], labels[kept])
    return features, labels


def _run(model: nn.Module, batch: Any) -> torch.Tensor | None:
    """Run the model on a batch, and return its labels."""
    if isinstance(batch, Mapping):
        inputs, labels = {name: value for name, value in batch.items() if name != "labels"}, batch.get("labels")
    else:
        require(isinstance(batch, list | tuple) and len(batch) == 2, "the loader must yield pairs (inputs, labels)")
        inputs, labels = batch
    place = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    if isinstance(inputs, Mapping):
        model(**{name: _to(value, place) for name, value in inputs.items()})
    elif isinstance(inputs, list | tuple):
        model(*(_to(value, place) for value in inputs))
    else:
        model(_to(inputs, place))
    return labels


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _find_head(model: nn.Module, batch: Any, head: str | nn.Linear | None) -> nn.Linear:
    if isinstance(head, nn.Linear):
        return head
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if head is not None:
        if head not in linears:
            raise InputError(f"no Linear layer named {head!r}; the model has {', '.join(linears) or 'none'}")
        return linears[head]
    with _evaluating(model), _capturing(linears.values()) as seen:
        _run(model, batch)
    if not seen:
        raise InputError("the model ran through no torch.nn.Linear layer; name its head with head=")
    return seen[-1][0]


@contextmanager
def _evaluating(model: nn.Module):
    """Eval mode and no gradients; every module's own mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _capturing(layers: Iterable[nn.Linear]):
    """Yield a list that receives (layer, its input) each time one of the layers runs."""
    seen: list[tuple[nn.Linear, torch.Tensor]] = []
    hooks = [watch(layer, lambda module, features: seen.append((module, features))) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def watch(layer: nn.Linear, receive: Callable[[nn.Linear, torch.Tensor], None]) -> RemovableHandle:
    """Have receive(layer, its input, detached) called each time the layer runs, until the handle is removed."""

    def hook(module: nn.Linear, inputs: tuple, named: dict) -> None:
        receive(module, (inputs[0] if inputs else named["input"]).detach())

    return layer.register_forward_pre_hook(hook, with_kwargs=True)
