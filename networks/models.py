"""Classifiers by name: a backbone that makes features, and a Linear head that the theory is about."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from ufm import InputError


@dataclass(frozen=True)
class ModelRecipe:
    """Which network, and its last layer."""

    model: str = "mlp"
    """model by name"""
    width: int = 256
    """units of each hidden layer"""
    depth: int = 4
    """hidden layers before the feature layer"""
    feature_dim: int = 64
    """d, the width of the feature layer"""
    bias: bool = True
    """whether the last layer has a bias"""

    def __post_init__(self):
        pass


class Classifier(nn.Module):
    """head(backbone(x)): features (N, d), then logits (N, K)."""

    def __init__(self, backbone: nn.Module, head: nn.Linear):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images))


def mlp(image_shape: tuple[int, ...], feature_dim: int, width: int, depth: int) -> nn.Module:
    """`depth` hidden layers of `width` and one of `feature_dim`, each Linear, BatchNorm, ReLU."""
    sizes = [math.prod(image_shape), *[width] * depth, feature_dim]
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in pairwise(sizes):
        layers += [nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU()]
    return nn.Sequential(*layers)


BACKBONES: dict[str, Callable[..., nn.Module]] = {"mlp": mlp}


def build_model(
    name: str,
    num_classes: int,
    *,
    image_shape: tuple[int, ...] = (1, 8, 8),
    feature_dim: int = 64,
    width: int = 256,
    depth: int = 2,
    bias: bool = True,
) -> Classifier:
    """A fresh classifier, initialised from torch's global generator; InputError for an unknown name."""
    if name not in BACKBONES:
        raise InputError(f"unknown model {name!r}; choose one of: {', '.join(sorted(BACKBONES))}")
    for setting, value, least in (("feature_dim", feature_dim, 1), ("width", width, 1), ("depth", depth, 0)):
        if value < least:
            raise InputError(f"{setting} must be >= {least}, got {value}")
    backbone = BACKBONES[name](image_shape, feature_dim=feature_dim, width=width, depth=depth)
    return Classifier(backbone, nn.Linear(feature_dim, num_classes, bias=bias))
