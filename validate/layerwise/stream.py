"""The features of all chosen layers, batch by batch, out of one forward pass a batch."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ufm import InputError
from ufm.errors import given, require

from ..models.heads import Head
from ..models.tracing import device_of, evaluating, parts, run, tensors
from .blocks import blocks_of
from .layout import declared, features_last
from .names import Watched, choose
from .pooling import Pool, Samples, pooled


class Stream:
    """Iterating gives a list of `Samples` a batch, one for each of `layers`, in the order in which these run.

    names, head, pool   as for `validate.layers`
    keep                bytes: while a pass makes no more, its samples are kept, and the next pass needs no model
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        names: Iterable[str] | None,
        *,
        head: str | Head | None,
        pool: Pool | None,
        keep: int,
    ):
        self.model, self.loader, self.head, self.pool, self.keep = model, loader, head, pool, keep
        self.layers = None if names is None else choose(model, names)
        self._ordered = False
        self.poolings: list[str] = []
        self._telling = [Watched(name, m) for name, m in model.named_modules() if declared(m) is not None]
        self._before: bool | None = None  # whether the last of these that ran has its features last
        self._whole: list[list[Samples]] | None = None

    @property
    def names(self) -> list[str]:
        """The names of the layers."""
        return [layer.name for layer in self.layers or ()]

    def __iter__(self) -> Iterator[list[Samples]]:
        if self._whole is not None:
            yield from self._whole
            return
        kept: list[list[Samples]] = []
        for batch in self.loader:
            found = self._seen(batch)
            self.keep -= sum(one.features.nbytes + one.labels.nbytes for one in found)
            if self.keep >= 0:
                kept.append(found)
            else:
                kept.clear()
            yield found
        self._whole = kept if self.keep >= 0 else None

    def _seen(self, batch: Any) -> list[Samples]:
        """The samples of a batch; at the first one, the layers are put in the order in which they ran."""
        labels = given(parts(batch)[1], 'a batch of keyword arguments needs an entry "labels"')
        if self.layers is None:
            self.layers = blocks_of(self.model, batch, self.head)
        received: dict[Watched, Samples] = {}

        def receive(layer: Watched, said: Any) -> None:
            received.pop(layer, None)  # the last time that a module runs counts
            received[layer] = self._samples(layer, said, labels)

        self._before = None
        with evaluating(self.model), _watching(self.layers, receive), _watching(self._telling, self._tell):
            run(self.model, batch)
        idle = [layer.name for layer in self.layers if layer not in received]
        require(not idle, f"the model did not run through {', '.join(idle)}; leave that out of names")
        if not self._ordered:
            self.layers, self._ordered = list(received), True
            self.poolings = [samples.pooling for samples in received.values()]
        return [received[layer] for layer in self.layers]

    def _tell(self, layer: Watched, said: Any) -> None:
        self._before = declared(layer.module)

    def _samples(self, layer: Watched, said: Any, labels: torch.Tensor) -> Samples:
        tensor = next((one for one in tensors(said) if one.is_floating_point()), None)
        try:
            tensor = given(tensor, "there is no floating-point tensor")
            found = pooled(tensor, labels, features_last(tensor, layer.module, self._before), self.pool)
        except InputError as error:
            raise InputError(f"{layer.name}: {error}") from error
        place = device_of(self.model)  # a model may lie on several
        return found._replace(features=found.features.to(place), labels=found.labels.to(place))


@contextmanager
def _watching(layers: Iterable[Watched], receive: Callable[[Watched, Any], None]) -> Iterator[None]:
    """Have receive(layer, what its module says or sees) called whenever it runs."""
    hooks = [_hook(layer, receive) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(layer: Watched, receive: Callable[[Watched, Any], None]) -> Any:
    def seen(module: nn.Module, inputs: tuple, named: dict) -> None:
        receive(layer, [*inputs, *named.values()])

    def said(module: nn.Module, inputs: tuple, output: Any) -> None:
        receive(layer, output)

    if layer.sees:
        return layer.module.register_forward_pre_hook(seen, with_kwargs=True)
    return layer.module.register_forward_hook(said)
