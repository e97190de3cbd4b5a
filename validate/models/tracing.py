"""Running anybody's model: its inputs, its outputs, the layers that it runs through, and what they see."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ufm.errors import require

from .heads import Head, positions_first


def torch_module(model: Any) -> nn.Module:
    """The model. Raises InputError where it is none."""
    require(isinstance(model, nn.Module), f"the model must be a torch.nn.Module, got {type(model).__name__}")
    return model


def run(model: nn.Module, batch: Any) -> tuple[Any, torch.Tensor | None]:
    """(what the model returns for a batch, the labels of the batch)."""
    (inputs, labels), place = parts(batch), device_of(model)
    if isinstance(inputs, Mapping):
        return model(**to_device(dict(inputs), place)), labels
    if isinstance(inputs, list | tuple):
        return model(*to_device(list(inputs), place)), labels
    return model(to_device(inputs, place)), labels


def parts(batch: Any) -> tuple[Any, torch.Tensor | None]:
    """(the inputs of a batch, its labels)."""
    if isinstance(batch, Mapping):
        inputs, labels = {name: value for name, value in batch.items() if name != "labels"}, batch.get("labels")
    else:
        require(isinstance(batch, list | tuple) and len(batch) == 2, "the loader must yield pairs (inputs, labels)")
        inputs, labels = batch
    labels = labels if labels is None or isinstance(labels, torch.Tensor) else torch.as_tensor(labels)
    require(
        labels is None or labels.ndim > 0,
        "the loader yields samples, and must yield batches of them, as torch.utils.data.DataLoader makes of a data set",
    )
    return inputs, labels


def batches_of(loader: Any) -> Any:
    """The loader. Raises InputError where it is nothing to iterate over."""
    iterable = hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")
    require(iterable, f"the loader must yield batches (inputs, labels), got {type(loader).__name__}")
    return loader


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are."""
    return next((tensor.device for tensor in model.parameters()), torch.device("cpu"))


def to_device(value: Any, device: torch.device) -> Any:
    """The value with its tensors, and what else has a method `to`, on the device, also in dicts, lists and tuples."""
    if type(value) is dict:
        return {name: to_device(part, device) for name, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(to_device(part, device) for part in value)
    return value.to(device) if hasattr(value, "to") else value


def tensors(output: Any) -> Iterator[torch.Tensor]:
    """The tensors in what a model returned: a tensor, or mappings, sequences and dataclasses of them."""
    if isinstance(output, torch.Tensor):
        yield output
        return
    if is_dataclass(output) and not isinstance(output, Mapping):
        output = vars(output)
    if isinstance(output, Mapping):
        output = list(output.values())
    for part in output if isinstance(output, list | tuple) else ():
        yield from tensors(part)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, no gradients, and nothing compiled, which would not see hooks; every module's own mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    compiler = "torch._dynamo" in sys.modules  # else nothing is compiled, and importing it takes long
    model.eval()
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager") if compiler else nullcontext():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def capturing(layers: Iterable[Head]) -> Iterator[deque[tuple[Head, torch.Tensor]]]:
    """Yield a deque that holds (layer, what it saw) of the last of the layers that ran."""
    seen: deque[tuple[Head, torch.Tensor]] = deque(maxlen=1)
    hooks = [watch(layer, lambda module, features: seen.append((module, features))) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def saying(layer: Head) -> Iterator[deque[torch.Tensor]]:
    """Yield a deque that holds what the layer said last, as it said it."""
    said: deque[torch.Tensor] = deque(maxlen=1)
    hook = layer.register_forward_hook(lambda module, inputs, output: said.append(output))
    try:
        yield said
    finally:
        hook.remove()


def watch(layer: Head, receive: Callable[[Head, torch.Tensor], None]) -> RemovableHandle:
    """Have receive(layer, what it sees) called each time the layer runs, until the handle is removed.

    What it sees, (samples, *positions, d), is a copy of its input with the channels of a convolution last.

    Copied: what comes after the layer may write into its input, and a CUDA graph writes there when it runs again.
    """

    def hook(module: Head, inputs: tuple, named: dict) -> None:
        receive(module, positions_first(module, (inputs[0] if inputs else named["input"]).detach()).clone())

    return layer.register_forward_pre_hook(hook, with_kwargs=True)
