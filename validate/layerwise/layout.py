"""On which side of a shape the features are: (m, positions, d), (m, height, width, c), or (m, c, height, width)."""

import torch
from torch import nn

LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.MultiheadAttention)
FIRST = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.GroupNorm, nn.InstanceNorm2d),
    *(nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)


def declared(module: nn.Module) -> bool | None:
    """Whether what a module says has its features last, by its type alone; None where that does not tell.

    The type itself counts: a LayerNorm of somebody's own may have moved the channels.
    """
    return True if type(module) in LAST else False if type(module) in FIRST else None


def features_last(said: torch.Tensor, module: nn.Module, before: bool | None) -> bool:
    """Whether the features of what a module says of a batch, (m, ...) of three dimensions or more, come last.

    before  the same of the last module that ran and whose type tells, None where there was none

    In this order: the type of the module tells; where the sides of a map but one, first or last, are equal, as in
    square images, that one is the features; of a block the types within tell, of maps a convolution, of sequences a
    Linear layer or LayerNorm first; what has none of them (an activation, dropout) leaves things as they were before.
    """
    sides, own = said.shape[1:], declared(module)
    if own is not None:
        return own
    if len(sides) > 2:
        last, first = (len({*equal}) == 1 and odd not in equal for equal, odd in (_ends(sides), _ends(sides[::-1])))
        if last != first:
            return last
    inside = {declared(part) for part in module.modules()} - {None}
    if inside:
        return True in inside if len(sides) == 2 else False not in inside
    return before if before is not None else len(sides) == 2


def _ends(sides: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """(all sides but the last, the last)."""
    return tuple(sides[:-1]), sides[-1]
