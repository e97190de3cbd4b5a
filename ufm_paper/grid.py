"""The grid: every training run of the paper's experiments as a cell, and the scales at which it can be run.

A cell is a preset and the settings that differ from it. A scale is a list of (condition, settings): the settings stand
in for the preset's in every cell that has all of the condition's, later ones over earlier ones. What a cell says itself
always stands.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networks import Recipe, preset
from ufm.errors import require

Settings = dict[str, Any]
SETS = {"mnist": "mnist32", "cifar10": "cifar10"}
OPTIMIZERS = ("sgd", "adam", "lbfgs")
MLP_WIDTHS = (4, 16, 64, 256, 1024)
RESNET_WIDTHS = (1, 2, 4, 8, 32)


def _optimizers() -> dict[str, Settings]:
    """ResNet18 on both sets by each optimiser, by the recipes of the paper's code."""
    return {
        f"{name}-{optimizer}": {"data": data, "model": "resnet18", "preset": f"paper-{optimizer}"}
        for name, data in SETS.items()
        for optimizer in OPTIMIZERS
    }


def _frames() -> dict[str, Settings]:
    """A learned head and a fixed frame, with the model's own d and with d = K.

    Crop and flip suit CIFAR-10 alone: MNIST has the recipe of the cell "mnist-sgd", which is its learned head.
    """
    models = (("mnist", "resnet18", "paper-sgd"), ("cifar10", "resnet18", "sota"), ("cifar10", "resnet50", "sota"))
    heads = {"learned": {}, "learned-d10": {"feature_dim": 10}, "etf": {"head": "etf"}}
    heads |= {"etf-d10": {"head": "etf", "feature_dim": 10}}
    return {
        f"{name}-{model}-{head}": {"data": SETS[name], "model": model, "preset": recipe, **settings}
        for name, model, recipe in models
        for head, settings in heads.items()
        if (name, head) != ("mnist", "learned")
    }


def _random_labels() -> dict[str, Settings]:
    """CIFAR-10 with its labels dealt out at random, over the widths of a perceptron and of a ResNet18."""
    base = {"data": SETS["cifar10"], "random_labels": True, "preset": "paper-sgd"}
    mlp = {"model": "mlp", "depth": 3}
    wide = {f"random-mlp-{k}": {**base, **mlp, "width": k, "feature_dim": k} for k in MLP_WIDTHS}
    resnet = {"model": "resnet18", "stem": "cifar"}
    return wide | {f"random-resnet18-{k}": {**base, **resnet, "width": k} for k in RESNET_WIDTHS}


def _feature_decay() -> dict[str, Settings]:
    """The penalty of the unconstrained feature model itself, on the features and the last layer alone."""
    return {
        f"{name}-feature-decay": {"data": data, "model": "resnet18", "preset": "paper-sgd", "feature_decay": 1e-4}
        for name, data in SETS.items()
    }


CELLS: dict[str, Settings] = _optimizers() | _frames() | _random_labels() | _feature_decay()


@dataclass(frozen=True)
class Scale:
    """rules: (condition, settings) pairs over the cells, in order; about: what it is, in words."""

    name: str
    about: str
    rules: tuple[tuple[Settings, Settings], ...]

    def recipe(self, cell: Settings) -> Recipe:
        """The recipe of a cell at this scale."""
        rules = [changes for condition, changes in self.rules if condition.items() <= cell.items()]
        settings = {name: value for changes in (*rules, cell) for name, value in changes.items()}
        return dataclasses.replace(preset(settings.pop("preset")), **settings)


# Of a run only the last checkpoint is kept: one of a ResNet50 has 94 MB.
FULL = Scale(
    "full",
    "all images, 200 epochs, the paper's networks, in bfloat16 where autocast allows it except under L-BFGS",
    (
        ({}, {"keep": 10_000, "amp": True, "channels_last": True}),
        ({"preset": "paper-lbfgs"}, {"amp": False}),
    ),
)
# Collapse takes about 1/(lr * weight decay) steps; runs this short need a stronger decay to get there. What is harder
# to fit (random labels, crops and flips) keeps the paper's.
SMALL = Scale(
    "small",
    "100 training and 100 test images a class, narrower networks, fewer epochs and ten times the weight decay "
    "(the paper's with random labels and with crops and flips): minutes a run on one CPU core",
    (
        ({}, {"per_class": 100, "test_per_class": 100, "batch_size": 64, "keep": 10_000}),
        ({}, {"epochs": 80, "patience": 60, "weight_decay": 5e-3}),
        ({"model": "resnet18"}, {"width": 32}),
        ({"model": "resnet50"}, {"width": 16}),
        ({"preset": "paper-lbfgs"}, {"epochs": 40, "batch_size": 2048}),
        ({"preset": "sota"}, {"epochs": 120, "weight_decay": 5e-4}),
        ({"preset": "sota", "model": "resnet18"}, {"stem": "cifar", "width": 8}),
        ({"preset": "sota", "model": "resnet50"}, {"stem": "imagenet", "augment": "none"}),
        ({"random_labels": True}, {"epochs": 120, "patience": 90, "weight_decay": 5e-4}),
    ),
)
# Long enough for the training sets to be fitted well before the end. Crops keep images this small from being fitted in
# so few epochs, flips of digits are other signs; L-BFGS makes up to 20 passes in each of its 29 steps an epoch.
DESK = Scale(
    "desk",
    "all images and the paper's ResNet18 at its full width with its stem, batches of 256, the paper's weight decay and "
    "a cosine over 16 epochs of MNIST or 32 of CIFAR-10 with flips, in bfloat16 (L-BFGS: batches of 2,048, 4 epochs in "
    "float32)",
    (
        ({}, {"keep": 10_000, "amp": True, "batch_size": 256, "schedule": "cosine", "epochs": 16}),
        ({"preset": "paper-lbfgs"}, {"amp": False, "batch_size": 2048, "schedule": "constant", "epochs": 4}),
        ({"data": SETS["cifar10"]}, {"epochs": 32, "augment": "flip"}),
        ({"preset": "sota"}, {"stem": "imagenet"}),
    ),
)
SCALES = {scale.name: scale for scale in (FULL, DESK, SMALL)}


def with_images(recipe: Recipe, data_dir: Path | str, cifar_folder: Path | None) -> Recipe:
    """The recipe with its images' place: data_dir as torchvision has it, or CIFAR-10 as a folder of image files."""
    if cifar_folder is None or recipe.data != SETS["cifar10"]:
        return dataclasses.replace(recipe, data_dir=str(data_dir))
    there = all(any(cifar_folder.glob(f"{part}/*/*")) for part in ("train", "test"))
    require(there, f"{cifar_folder} has no train/CLASS/FILE and test/CLASS/FILE; name the folder that has both")
    return dataclasses.replace(recipe, data="folder", data_dir=str(cifar_folder))
