"""Running anybody's model: its inputs, its outputs, the Linear layers that it runs through, and what they see."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ufm import InputError
from ufm.errors import require


def run(model: nn.Module, batch: Any) -> tuple[Any, torch.Tensor | None]:
    """(what the model returns for a batch, the labels of the batch)."""
    if isinstance(batch, Mapping):
        inputs, labels = {name: value for name, value in batch.items() if name != "labels"}, batch.get("labels")
    else:
        require(isinstance(batch, list | tuple) and len(batch) == 2, "the loader must yield pairs (inputs, labels)")
        inputs, labels = batch
    place = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    if isinstance(inputs, Mapping):
        return model(**to_device(dict(inputs), place)), labels
    if isinstance(inputs, list | tuple):
        return model(*to_device(list(inputs), place)), labels
    return model(to_device(inputs, place)), labels


def to_device(value: Any, device: torch.device) -> Any:
    """The value with its tensors, and what else has a method `to`, on the device, also in dicts, lists and tuples."""
    if type(value) is dict:
        return {name: to_device(part, device) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(to_device(part, device) for part in value)
    return value.to(device) if hasattr(value, "to") else value


def find_head(model: nn.Module, batch: Any, head: str | nn.Linear | None) -> nn.Linear:
    """The Linear layer that `head` is or names; None: the last that a batch runs through. Else InputError."""
    if isinstance(head, nn.Linear):
        return head
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if head is not None:
        if head not in linears:
            raise InputError(f"no Linear layer named {head!r}; the model has {', '.join(linears) or 'none'}")
        return linears[head]
    with evaluating(model), capturing(linears.values()) as seen:
        output, _ = run(model, batch)
    if not seen:
        raise InputError("the model ran through no torch.nn.Linear layer; name its head with head=")
    layer = seen[-1][0]
    _require_output(next(name for name, module in linears.items() if module is layer), layer, output)
    return layer


def _require_output(name: str, layer: nn.Linear, output: Any) -> None:
    """Raise InputError if the model's outputs show that the layer does not make its logits."""
    shapes = [tuple(tensor.shape) for tensor in _tensors(output) if tensor.ndim >= 2]
    require(
        not shapes or any(layer.out_features in shape for shape in shapes),
        f"the last Linear layer that ran, {name!r}, has {layer.out_features} outputs, and the model's have shapes "
        f"{', '.join(map(str, shapes))}: its logits come from elsewhere; head= names the Linear layer that makes them",
    )


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """The tensors in what a model returned: a tensor, or mappings, sequences and dataclasses of them."""
    if isinstance(output, torch.Tensor):
        yield output
        return
    if is_dataclass(output) and not isinstance(output, Mapping):
        output = vars(output)
    if isinstance(output, Mapping):
        output = list(output.values())
    for part in output if isinstance(output, list | tuple) else ():
        yield from _tensors(part)


@contextmanager
def evaluating(model: nn.Module):
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
def capturing(layers: Iterable[nn.Linear]):
    """Yield a deque that holds (layer, its input) of the last of the layers that ran."""
    seen: deque[tuple[nn.Linear, torch.Tensor]] = deque(maxlen=1)
    hooks = [watch(layer, lambda module, features: seen.append((module, features))) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def watch(layer: nn.Linear, receive: Callable[[nn.Linear, torch.Tensor], None]) -> RemovableHandle:
    """Have receive(layer, a copy of its input) called each time the layer runs, until the handle is removed.

    A copy: what comes after the layer may write into its input, and a CUDA graph writes there when it runs again.
    """

    def hook(module: nn.Linear, inputs: tuple, named: dict) -> None:
        receive(module, (inputs[0] if inputs else named["input"]).detach().clone())

    return layer.register_forward_pre_hook(hook, with_kwargs=True)
