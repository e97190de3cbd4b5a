"""validate.collect: the last layer and the features it sees, out of any torch classifier."""

from collections.abc import Iterable
from contextlib import contextmanager

import torch
from torch import nn

from ufm import InputError, Point


def collect(
    model: nn.Module,
    loader: Iterable[tuple[torch.Tensor, torch.Tensor]],
    head: str | nn.Linear | None = None,
) -> tuple[Point, torch.Tensor]:
    """(Point of the model's last Linear layer over the data, labels (N,)).

    loader yields (inputs, labels) batches; it is passed over once, in its order. head names the Linear
    layer (or is it); None takes the last one that the first batch runs through. W, H, b keep the dtype
    and device of the model. The model runs in eval mode, without gradients, and is left as it was, its
    hooks removed even on error. Raises InputError when no Linear layer is found or no data came.
    """
    features, labels, layer = [], [], None
    with _evaluating(model):
        for inputs, targets in loader:
            layer = layer or _find_head(model, inputs, head)
            with _capturing([layer]) as seen:
                model(inputs)
            features.append(seen[-1][1])
            labels.append(targets)
    if not features:
        raise InputError("the loader yielded no batch; give at least one")
    bias = layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias
    point = Point(layer.weight.detach().clone(), torch.cat(features), bias.detach().clone())
    return point, torch.cat(labels)


def _find_head(model: nn.Module, inputs: torch.Tensor, head: str | nn.Linear | None) -> nn.Linear:
    if isinstance(head, nn.Linear):
        return head
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if head is not None:
        if head not in linears:
            raise InputError(f"no Linear layer named {head!r}; the model has {', '.join(linears) or 'none'}")
        return linears[head]
    with _capturing(linears.values()) as seen:
        model(inputs)
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
    hooks = [
        layer.register_forward_pre_hook(lambda module, args: seen.append((module, args[0].detach())))
        for layer in layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
