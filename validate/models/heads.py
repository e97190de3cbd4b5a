"""The layers that can be a classifier's head: each computes W h + b at every position that it sees.

They are torch.nn.Linear, whose positions come before the features, and convolutions with a kernel of one position,
whose positions come after the channels.
"""

from collections.abc import Callable
from typing import TypeGuard

import torch
from torch import nn

Head = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def is_pointwise(module: nn.Module) -> bool:
    """Whether a layer is a convolution with a kernel of one position, which it applies to every position as it is."""
    return (
        isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        and {*module.kernel_size, *module.stride, module.groups} == {1}
        and (isinstance(module.padding, str) or not any(module.padding))
    )


# In the order in which a model's head is looked for among them.
KINDS: dict[str, Callable[[nn.Module], bool]] = {"Linear layer": is_linear, "convolution of kernel 1": is_pointwise}


def can_be_head(module: nn.Module) -> TypeGuard[Head]:
    """Whether a layer computes W h + b at each position."""
    return any(is_kind(module) for is_kind in KINDS.values())


def heads_of(model: nn.Module) -> dict[str, dict[str, Head]]:
    """For each kind of layer, those of the model by name."""
    modules = dict(model.named_modules())
    return {kind: {name: m for name, m in modules.items() if is_kind(m)} for kind, is_kind in KINDS.items()}


def classifier(layer: Head) -> tuple[torch.Tensor, torch.Tensor]:
    """(copies of W (K, d) and b (K,) of a layer, zeros for a missing bias)."""
    W = layer.weight.detach().flatten(1).clone()
    return W, W.new_zeros(len(W)) if layer.bias is None else layer.bias.detach().clone()


class Headed:
    """What has a `head`, and so W (K, d) and b (K,): copies, zeros for a missing bias."""

    @property
    def head(self) -> Head:
        raise NotImplementedError

    @property
    def W(self) -> torch.Tensor:
        return classifier(self.head)[0]

    @property
    def b(self) -> torch.Tensor:
        return classifier(self.head)[1]


def positions_first(layer: Head, values: torch.Tensor) -> torch.Tensor:
    """What a layer sees or says, (samples, *positions, d or K), as a view."""
    return values if is_linear(layer) else values.movedim(1, -1)
