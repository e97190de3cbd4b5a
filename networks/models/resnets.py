"""ResNets of torchvision's blocks with any width, either stem, and any number of features.

With the defaults they are torchvision's own, weight for weight (names included). The three things that
arXiv 2105.02375 changes are arguments here.
"""

from collections import OrderedDict

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

# Block, blocks of each stage, and for the wider relatives the groups and the width of a group.
RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2), {}),
    "resnet34": (BasicBlock, (3, 4, 6, 3), {}),
    "resnet50": (Bottleneck, (3, 4, 6, 3), {}),
    "resnet101": (Bottleneck, (3, 4, 23, 3), {}),
    "resnet152": (Bottleneck, (3, 8, 36, 3), {}),
    "resnext50_32x4d": (Bottleneck, (3, 4, 6, 3), {"groups": 32, "base_width": 4}),
    "resnext101_32x8d": (Bottleneck, (3, 4, 23, 3), {"groups": 32, "base_width": 8}),
    "resnext101_64x4d": (Bottleneck, (3, 4, 23, 3), {"groups": 64, "base_width": 4}),
    "wide_resnet50_2": (Bottleneck, (3, 4, 6, 3), {"base_width": 128}),
    "wide_resnet101_2": (Bottleneck, (3, 4, 23, 3), {"base_width": 128}),
}


def resnet(name: str, width: int = 64, stem: str = "imagenet", feature_dim: int | None = None) -> tuple[nn.Module, int]:
    """(the network up to its pooled features (N, d) of images (N, 3, height, width), d).

    Stages have width, 2 width, 4 width and 8 width channels (times 4 in Bottleneck blocks). feature_dim
    narrows or widens the last block to that many channels.
    """
    block, counts, relatives = RESNETS[name]
    layers = OrderedDict(STEMS[stem](width))
    inputs = width
    for i, count in enumerate(counts):
        layers[f"layer{i + 1}"] = _stage(block, inputs, width << i, count, 1 if i == 0 else 2, relatives)
        inputs = (width << i) * block.expansion
    if feature_dim not in (None, inputs):
        inputs = feature_dim
        reshape_last_block(layers["layer4"][-1], feature_dim)
    layers |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    network = nn.Sequential(layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network, inputs


def _imagenet_stem(width: int) -> dict[str, nn.Module]:
    """7 x 7 with stride 2, then max pooling: a sixteenth of the pixels go on."""
    return {
        "conv1": nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(width),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }


def _cifar_stem(width: int) -> dict[str, nn.Module]:
    """3 x 3, and every pixel goes on."""
    return {
        "conv1": nn.Conv2d(3, width, 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(width),
        "relu": nn.ReLU(inplace=True),
    }


STEMS = {"imagenet": _imagenet_stem, "cifar": _cifar_stem}


def _stage(block, inputs: int, planes: int, count: int, stride: int, relatives: dict[str, int]) -> nn.Sequential:
    """`count` blocks; the first halves the resolution if stride is 2, and has a projecting skip where shapes change."""
    outputs = planes * block.expansion
    skip = _projection(inputs, outputs, stride) if stride != 1 or inputs != outputs else None
    first = block(inputs, planes, stride, skip, **relatives)
    return nn.Sequential(first, *(block(outputs, planes, **relatives) for _ in range(count - 1)))


def _projection(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


def reshape_last_block(block: BasicBlock | Bottleneck, channels: int) -> None:
    """Its final convolution gives `channels` channels and its skip becomes a 1 x 1 convolution with batch norm."""
    i = 3 if isinstance(block, Bottleneck) else 2
    last = getattr(block, f"conv{i}")
    conv = nn.Conv2d(last.in_channels, channels, last.kernel_size, padding=last.padding, bias=False)
    setattr(block, f"conv{i}", conv)
    setattr(block, f"bn{i}", nn.BatchNorm2d(channels))
    block.downsample = _projection(block.conv1.in_channels, channels)
