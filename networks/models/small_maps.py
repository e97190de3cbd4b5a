"""Convolutions of maps that are hardly larger than a pixel, taken as the matrix products that they are.

At 32 x 32 the last stage of torchvision's ResNet18 convolves single pixels: one tap of its 3 x 3 kernels sees the map,
eight see zeros, and a convolution multiplies by those too. Output position p of a convolution with taps K_t
(channels out x channels in), stride s, dilation D, and `before` zeros ahead of the map is

    y_p = sum_q K_t(p, q) x_q + bias,    t(p, q) = (q + before - s p) / D along each axis; no term where that is no tap

so all y together are one product with the matrix of blocks K_t(p, q): the same function, and the same gradients (0 for
a tap of no p and q). For each p it multiplies by as many blocks as positions are seen, the convolution by all taps.
"""

from itertools import product

import torch
from torch import nn
from torch.nn import functional

LARGEST = 16  # positions of a map that is looked at: what pays is far smaller
FEWEST = 32  # samples from which on the blocks of several output positions are worth putting together

Taps = list[list[int | None]]  # [p][q]: the tap through which output position p sees input position q


class Convolution(nn.Conv2d):
    """torch.nn.Conv2d, which takes small maps on a CPU as products where that pays, and leaves the rest to torch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = images.device.type == "cpu" and images.ndim == 4 and self.groups == 1
        if not maps or images.shape[2] * images.shape[3] > LARGEST:
            return super().forward(images)
        rows, columns = (_axis_taps(self, axis, images.shape[2 + axis]) for axis in (0, 1))
        taps = _joined(rows, columns, self.kernel_size[1])
        seen = [q for q, through in enumerate(zip(*taps, strict=True)) if set(through) != {None}]
        if not _pays(len(images), len(taps), len(seen), self.weight[0, 0].numel()):
            return super().forward(images)
        return _as_product(self, images, [[row[q] for q in seen] for row in taps], seen, (len(rows), len(columns)))


def small_maps(model: nn.Module) -> nn.Module:
    """The model itself; its convolutions take small maps as products from now on, where the maps of a pass are small.

    Its parameters, their names and the function of the model are unchanged (sums may round otherwise), also for images
    of another size. Subclasses of torch.nn.Conv2d (parametrised layers are), and padding by other than zeros, are left
    as they are.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros":
            module.__class__ = Convolution
    return model


def tap_pairs(layer: nn.Conv2d, size: tuple[int, int]) -> int:
    """How many pairs of an output position and a position of maps of that size a tap joins; none sees padding.

    Of so many products with a block of channels out x channels in is the convolution of a sample made.
    """
    along = [sum(tap is not None for row in _axis_taps(layer, axis, size[axis]) for tap in row) for axis in (0, 1)]
    return along[0] * along[1]


def _pays(samples: int, outputs: int, seen: int, taps: int) -> bool:
    """A single output position takes its blocks as they lie; for several they have to be copied first."""
    return seen > 0 and (outputs == 1 or (2 * seen <= taps and samples >= FEWEST))


def _as_product(
    layer: nn.Conv2d, images: torch.Tensor, taps: Taps, seen: list[int], shape: tuple[int, int]
) -> torch.Tensor:
    """Outputs (N, channels, *shape), in the memory format that torch's convolution would give them."""
    blocks = _blocks(layer.weight, taps)
    maps = images.permute(0, 2, 3, 1).flatten(1, 2)  # (N, positions, channels in)
    if len(seen) < maps.shape[1]:
        maps = maps.index_select(1, _indices(seen, maps))
    maps = maps.flatten(1)
    if _channels_last(images) or _channels_last(layer.weight):
        bias = None if layer.bias is None else layer.bias.repeat(len(taps))
        outputs = functional.linear(maps, blocks.transpose(0, 1).flatten(0, 1), bias)
        return outputs.unflatten(1, (*shape, layer.out_channels)).permute(0, 3, 1, 2)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(len(taps))
    return functional.linear(maps, blocks.flatten(0, 1), bias).unflatten(1, (layer.out_channels, *shape))


def _blocks(weight: torch.Tensor, taps: Taps) -> torch.Tensor:
    """K_t(p, q) as (channels out, p, q and channels in); taps are gathered along the axis where they lie in memory."""
    shape = len(taps), len(taps[0])
    last = weight[0, 0].numel()  # the number of a tap of zeros
    through = _indices([last if tap is None else tap for row in taps for tap in row], weight)
    if _channels_last(weight):
        kernel = weight.permute(0, 2, 3, 1).flatten(1, 2)
        kernel = functional.pad(kernel, (0, 0, 0, 1)) if any(None in row for row in taps) else kernel
        return kernel.index_select(1, through).unflatten(1, shape).flatten(2)
    kernel = weight.flatten(2)
    kernel = functional.pad(kernel, (0, 1)) if any(None in row for row in taps) else kernel
    return kernel.index_select(2, through).unflatten(2, shape).permute(0, 2, 3, 1).flatten(2)


def _axis_taps(layer: nn.Conv2d, axis: int, size: int) -> Taps:
    """Those of the positions along one axis."""
    kernel, stride, dilation = (of[axis] for of in (layer.kernel_size, layer.stride, layer.dilation))
    reach = dilation * (kernel - 1)
    around = {"valid": 0, "same": reach}[layer.padding] if isinstance(layer.padding, str) else 2 * layer.padding[axis]
    before = around // 2  # padding="same" puts the odd zero behind
    steps = [
        [divmod(q + before - p * stride, dilation) for q in range(size)]
        for p in range((size + around - reach - 1) // stride + 1)
    ]
    return [[tap if rest == 0 and 0 <= tap < kernel else None for tap, rest in row] for row in steps]


def _joined(rows: Taps, columns: Taps, width: int) -> Taps:
    """Those of the positions of a map, row by row, from those of each axis; a kernel's row has `width` taps."""
    return [
        [None if down is None or along is None else down * width + along for down, along in product(row, column)]
        for row, column in product(rows, columns)
    ]


def _indices(numbers: list[int], beside: torch.Tensor) -> torch.Tensor:
    return torch.tensor(numbers, device=beside.device)


def _channels_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
