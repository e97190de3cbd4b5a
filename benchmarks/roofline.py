"""How far the convolutions of a training step are from what the processor can do: ResNet18 at 32 x 32.

The floor of a layer is its multiplications over the best rate seen in the same dtype on the same threads: of a large
square product, or of a large convolution (torch has another library for each). Multiplications by the zeros of padding
are not counted: of a 3 x 3 kernel on a map of one pixel, one tap is.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

import networks
from benchmarks.timing import Row, interleaved
from benchmarks.training import Ours, random_images
from networks.allocation import kept_memory
from networks.models.small_maps import Convolution, tap_pairs

SAMPLES = 256  # a step
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIZE = 2048  # of the square product


@dataclass(frozen=True)
class Shape:
    """A convolution and its maps; passes: forward, and backward by the kernel and, unless it is the first, the maps."""

    channels: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    maps: tuple[int, int]
    passes: int

    def __str__(self) -> str:
        sides = f"{self.kernel[0]} x {self.kernel[1]}, stride {self.stride[0]}"
        return f"{sides}, {self.channels[0]} to {self.channels[1]} channels, maps of {self.maps[0]} x {self.maps[1]}"

    def layer(self) -> Convolution:
        return Convolution(*self.channels, self.kernel, self.stride, self.padding, bias=False)

    def operations(self) -> int:
        """Multiplications and additions of a step, those by padding left out."""
        return 2 * SAMPLES * self.passes * self.channels[0] * self.channels[1] * tap_pairs(self.layer(), self.maps)


def rows() -> Iterator[Row]:
    images = random_images(SAMPLES)
    for name, dtype in DTYPES.items():
        recipe = networks.Recipe(model="resnet18", batch_size=SAMPLES, amp=dtype != torch.float32, device="cpu")
        ours = Ours(recipe, images)
        shapes = shapes_of(ours.model, images.normalized(images.train_images[:2]))
        with kept_memory(torch.device("cpu")):
            rate = rate_of(dtype)
            floors = {shape: shape.operations() / rate for shape in shapes}
            for shape, count in shapes.items():
                spent = count * interleaved(step_of(shape, dtype), lambda: None, repeats=5)[0]
                yield _row(f"{count} of {shape}, {name}", spent, count * floors[shape], rate)
            whole, _ = interleaved(ours.steps, lambda: None, repeats=5)
        floor = sum(count * floors[shape] for shape, count in shapes.items())
        yield _row(f"a step of ResNet18, {SAMPLES} images, {name}", whole, floor, rate)


def _row(task: str, spent: float, floor: float, rate: float) -> Row:
    note = f"{floor * rate / 1e9:.3g} GFLOP at {rate / 1e9:,.0f} GFLOP/s"
    return Row(task, "forward and backward", spent, "its products at the best rate seen", floor, note)


def rate_of(dtype: torch.dtype) -> float:
    """Operations a second, the better of a square product and a 3 x 3 convolution without padding."""
    factor, maps = torch.randn(SIZE, SIZE).to(dtype), torch.randn(16, 128, 34, 34).to(dtype)
    kernel = torch.randn(128, 128, 3, 3).to(dtype)
    with torch.no_grad():
        squares, convolution = interleaved(
            lambda: factor @ factor, lambda: nn.functional.conv2d(maps, kernel), repeats=6
        )
    return max(2 * SIZE**3 / squares, 2 * 16 * 32**2 * kernel.numel() / convolution)


def shapes_of(model: nn.Module, images: torch.Tensor) -> Counter[Shape]:
    """The convolutions of a pass, in order, and how many there are of each."""
    found: Counter[Shape] = Counter()

    def note(layer: nn.Conv2d, inputs: tuple[torch.Tensor]) -> None:
        channels, maps = (layer.in_channels, layer.out_channels), tuple(inputs[0].shape[2:])
        found[Shape(channels, layer.kernel_size, layer.stride, layer.padding, maps, 3 if found else 2)] += 1

    hooks = [layer.register_forward_pre_hook(note) for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return found


def step_of(shape: Shape, dtype: torch.dtype) -> Callable[[], None]:
    """A forward and backward pass of the layer alone, in the memory format of training."""
    layer = shape.layer().to(memory_format=torch.channels_last)
    maps = torch.randn(SAMPLES, shape.channels[0], *shape.maps).to(dtype, memory_format=torch.channels_last)
    maps.requires_grad_(shape.passes == 3)

    def step() -> None:
        layer.weight.grad = maps.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            outputs = layer(maps)
        outputs.backward(outputs.detach())

    return step
