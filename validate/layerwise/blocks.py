"""The layers of a model where none are named: its blocks, and what its head sees."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..models.heads import Head
from ..models.probing import find_head
from ..models.tracing import evaluating, run
from .names import INPUT, Watched

LISTS = nn.Sequential | nn.ModuleList


def blocks_of(model: nn.Module, batch: Any, head: str | Head | None) -> list[Watched]:
    """The model's layers in the order in which they run on a batch, the last of them "HEAD:input".

    A layer is a block with weights (a residual block, an encoder layer, or a Linear or convolution that stands alone)
    together with what follows it without weights of two dimensions (normalisation, activation, pooling), and its
    features are the output of the last of these. The features of the last layer are what the head sees. Blocks are
    looked for in the model, in its lists of modules, and in modules that hold a list of blocks.
    """
    found = find_head(model, batch, head)
    units = _told_apart(list(_units(model, "", found)), found)
    layers: list[Watched] = []
    for unit in _in_order(model, batch, units, found):
        if _has_weights(unit.module):
            layers.append(unit)
        elif layers:
            layers[-1] = unit
    name = next(name for name, module in model.named_modules() if module is found)
    return [*layers[:-1], Watched(name + INPUT, found)]


def _units(module: nn.Module, path: str, head: nn.Module) -> Iterator[Watched]:
    """What a module consists of: its children, and in the place of one that holds blocks what that one consists of."""
    for name, child in module.named_children():
        if child is head:
            continue
        if _holds_blocks(child) or any(part is head for part in child.modules()):
            yield from _units(child, f"{path}{name}.", head)
        else:
            yield Watched(f"{path}{name}", child)


def _told_apart(units: list[Watched], head: nn.Module) -> list[Watched]:
    """The units, and where one alone has weights, what that one consists of."""
    while sum(_has_weights(unit.module) for unit in units) == 1:
        place, lone = next((i, unit) for i, unit in enumerate(units) if _has_weights(unit.module))
        inside = list(_units(lone.module, f"{lone.name}.", head))
        if not inside:
            break
        units = [*units[:place], *inside, *units[place + 1 :]]
    return units


def _holds_blocks(module: nn.Module) -> bool:
    """Whether it is a list of modules, or has within it one of two blocks or more."""
    if isinstance(module, LISTS):
        return True
    lists = (part for part in module.modules() if isinstance(part, LISTS))
    return any(sum(_is_block(child) for child in part.children()) > 1 for part in lists)


def _is_block(module: nn.Module) -> bool:
    return not isinstance(module, LISTS) and any(True for _ in module.children()) and _has_weights(module)


def _has_weights(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters())


def _in_order(model: nn.Module, batch: Any, units: list[Watched], head: nn.Module) -> list[Watched]:
    """The units that run before the head, by when each ended last."""
    ended: dict[nn.Module, None] = {}

    def end(module: nn.Module, *given: object) -> None:
        ended.pop(module, None)
        ended[module] = None

    hooks = [module.register_forward_hook(end) for module in [head, *(unit.module for unit in units)]]
    try:
        with evaluating(model):
            run(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    by_module, order = {unit.module: unit for unit in units}, list(ended)
    return [by_module[module] for module in order[: order.index(head)]]
