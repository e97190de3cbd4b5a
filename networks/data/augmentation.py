"""Augmentation of training images by name: draws made once an epoch, applied a batch at a time on the device."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

PADDING = 4  # pixels on each side, as is usual for CIFAR-10


@dataclass(frozen=True)
class Augmentation:
    """draw (count, generator) -> int64 (count, m) on the CPU, the same on every device; apply (images, draws)."""

    draw: Callable[[int, torch.Generator], torch.Tensor]
    apply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def no_draws(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.empty(count, 0, dtype=torch.long)


def unchanged(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    return images


def flip_draws(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 1): 1 for a flip."""
    return torch.randint(2, (count, 1), generator=generator)


def flip(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) of any dtype, those that are drawn flipped left to right."""
    return torch.where((draws == 1)[:, :, None, None], images.flip(-1), images)


def crop_flip_draws(count: int, generator: torch.Generator) -> torch.Tensor:
    """(count, 3): the corner's row and column in 0 .. 2 PADDING, and 1 for a flip."""
    corners = torch.randint(2 * PADDING + 1, (count, 2), generator=generator)
    return torch.cat([corners, flip_draws(count, generator)], dim=1)


def crop_flip(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) of any dtype, padded by zeros, cropped at each one's corner and flipped left to right."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (PADDING,) * 4)
    along = torch.arange(width, device=images.device)
    rows = draws[:, :1] + torch.arange(height, device=images.device)
    columns = draws[:, 1:2] + torch.where(draws[:, 2:] == 1, width - 1 - along, along)
    which = torch.arange(count, device=images.device)
    chosen = padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return chosen.permute(0, 3, 1, 2).contiguous()


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(no_draws, unchanged),
    "flip": Augmentation(flip_draws, flip),
    "crop-flip": Augmentation(crop_flip_draws, crop_flip),
}
