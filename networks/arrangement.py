"""How a network is computed where it runs: the same function, its sums in the order that suits the device."""

import torch
from torch import nn

from .models.small_maps import small_maps
from .recipe import RunRecipe


def arranged(model: nn.Module, recipe: RunRecipe, device: torch.device) -> nn.Module:
    """The model itself, as the recipe has it computed on the device, where it is already."""
    model = small_maps(model) if _rearranged(recipe, device) else model
    return model.to(memory_format=layout(recipe, device))


def layout(recipe: RunRecipe, device: torch.device) -> torch.memory_format:
    """The memory format of images and convolutions."""
    last = recipe.channels_last or _rearranged(recipe, device)
    return torch.channels_last if last else torch.contiguous_format


def _rearranged(recipe: RunRecipe, device: torch.device) -> bool:
    return recipe.rearrange and device.type == "cpu"
