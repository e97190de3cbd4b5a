"""The families of networks that make features, and which settings each has."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import nn

from .recipe import ModelRecipe

Setting = Literal["width", "depth", "stem"]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Family:
    """names      of its networks
    settings      those of a recipe that mean something to it
    colour        whether it takes images of three channels only
    image_shape   what it is built for unless told
    build         (recipe, image shape) to (backbone giving features (N, d), d)
    """

    names: Callable[[], Collection[str]]
    settings: tuple[Setting, ...]
    colour: bool
    image_shape: Shape
    build: Callable[[ModelRecipe, Shape], tuple[nn.Module, int]]


def mlp(image_shape: Shape, feature_dim: int = 64, width: int = 256, depth: int = 4) -> nn.Module:
    """`depth` hidden layers of `width` and one of `feature_dim`, each Linear, BatchNorm, ReLU."""
    sizes = [math.prod(image_shape), *[width] * depth, feature_dim]
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in pairwise(sizes):
        layers += [nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU()]
    return nn.Sequential(*layers)


def _given(recipe: ModelRecipe, *names: str) -> dict:
    """The settings that the recipe gives; those it leaves out are the model's own."""
    return {name: getattr(recipe, name) for name in names if getattr(recipe, name) is not None}


def _mlp(recipe: ModelRecipe, image_shape: Shape) -> tuple[nn.Module, int]:
    network = mlp(image_shape, **_given(recipe, "feature_dim", "width", "depth"))
    return network, network[-2].num_features


def _resnet(recipe: ModelRecipe, image_shape: Shape) -> tuple[nn.Module, int]:
    from .resnets import resnet

    return resnet(recipe.model, **_given(recipe, "feature_dim", "width", "stem"))


def _resnet_names() -> Collection[str]:
    from .resnets import RESNETS

    return RESNETS


def _zoo(recipe: ModelRecipe, image_shape: Shape) -> tuple[nn.Module, int]:
    from .zoo import zoo

    return zoo(recipe.model, image_shape, recipe.feature_dim)


def _zoo_names() -> Collection[str]:
    from .zoo import names

    return names()


# The first family that has a name builds it; torchvision is imported when a family that needs it is asked.
BACKBONES = (
    Family(lambda: ("mlp",), ("width", "depth"), False, (1, 8, 8), _mlp),
    Family(_resnet_names, ("width", "stem"), True, (3, 224, 224), _resnet),
    Family(_zoo_names, (), True, (3, 224, 224), _zoo),
)
