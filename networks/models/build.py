"""Classifiers by name: a backbone that makes features, and a Linear head that the theory is about."""

from typing import get_args

import torch
from torch import nn

from ufm import InputError, errors
from ufm.errors import require

from .backbones import BACKBONES, Setting
from .heads import HEADS
from .recipe import ModelRecipe


class Classifier(nn.Module):
    """head(backbone(x)): features (N, d), then logits (N, K)."""

    def __init__(self, backbone: nn.Module, head: nn.Linear):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images))


class Colour(nn.Module):
    """Grey images (N, 1, height, width) with their level in each of three channels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.expand(-1, 3, -1, -1)


def build_model(
    name: str, num_classes: int, *, image_shape: tuple[int, int, int] | None = None, **settings
) -> Classifier:
    """A fresh classifier, initialised from torch's global generator.

    settings are those of ModelRecipe: width, depth, stem, head, frame, feature_dim, bias, temperature. image_shape
    (channels, height, width) is that of digits for an mlp and 3 x 224 x 224 for others unless given; grey
    images are repeated over the three channels that others take. InputError for a name that is not there,
    a setting that the model does not have, images it cannot take, or a frame that does not fit.

    >>> import networks
    >>> model = networks.build_model(name="mlp", num_classes=10, head="etf", feature_dim=9, width=16, depth=1)
    >>> model.head.weight.shape, model.head.weight.requires_grad
    (torch.Size([10, 9]), False)
    """
    return model_of(ModelRecipe(name, **settings), num_classes, image_shape)


def model_of(recipe: ModelRecipe, num_classes: int, image_shape: tuple[int, int, int] | None = None) -> Classifier:
    """The recipe's model, freshly initialised; see `build_model`."""
    require(
        recipe.frame is None or recipe.head == "etf",
        f"head {recipe.head!r} has no frame to place",
        ("leave ", errors.Setting("frame"), " out, or take ", errors.Setting("head", "etf")),
    )
    family = _family(recipe.model)
    channels, *sides = image_shape = image_shape or family.image_shape
    for setting in get_args(Setting):
        taken = getattr(recipe, setting) is None or setting in family.settings
        require(
            taken, (f"{recipe.model} has no ", errors.Setting(setting), " to set; leave it out (over a preset: None)")
        )
    grey = family.colour and channels == 1
    require(not family.colour or channels in (1, 3), f"{recipe.model} takes 1 or 3 channels, images have {channels}")
    backbone, dim = family.build(recipe, (3, *sides) if grey else image_shape)
    finish, head = HEADS[recipe.head].build(recipe, dim, num_classes)
    parts = [*([Colour()] if grey else []), backbone, *([] if isinstance(finish, nn.Identity) else [finish])]
    return Classifier(backbone if len(parts) == 1 else nn.Sequential(*parts), head)


def model_names() -> list[str]:
    """Every name that `build_model` knows."""
    return sorted({name for family in BACKBONES for name in family.names()})


def _family(name: str):
    for family in BACKBONES:
        if name in family.names():
            return family
    raise InputError(f"unknown model {name!r}; choose one of: {', '.join(model_names())}")
