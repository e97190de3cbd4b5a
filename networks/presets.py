"""Training recipes by name: settings that stand in for the defaults, with where each comes from."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from ufm.errors import require

from .recipe import Recipe


@dataclass(frozen=True)
class Preset:
    """settings of a Recipe by name, and their source in words."""

    settings: dict[str, Any]
    source: str


PAPER = {"weight_decay": 5e-4, "epochs": 200}
STEPS = {"schedule": "step", "patience": 40, "gamma": 0.1}

PRESETS: dict[str, Preset] = {
    "paper-sgd": Preset(
        {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "batch_size": 256} | PAPER | STEPS,
        "Zhu et al. 2021: their README's command for SGD and their defaults (their cmds.sh has batches of 128)",
    ),
    "paper-adam": Preset(
        {"optimizer": "adam", "lr": 1e-3, "batch_size": 64} | PAPER | STEPS,
        "Zhu et al. 2021: their README's command for Adam and their defaults (their cmds.sh has a rate of 1e-4)",
    ),
    "paper-lbfgs": Preset(
        {"optimizer": "lbfgs", "lr": 0.1, "history_size": 10, "max_iter": 20, "batch_size": 2048}
        | PAPER
        | {"schedule": "constant"},
        "Zhu et al. 2021: their README's command for L-BFGS and their defaults (it has no schedule there)",
    ),
    "sota": Preset(
        {"model": "resnet18", "stem": "cifar", "augment": "crop-flip"}
        | {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "batch_size": 128}
        | PAPER
        | {"schedule": "cosine"},
        "Zhu et al. 2021: stem, crop and flip of --SOTA with their README's rate and their batches; the cosine is ours",
    ),
}


def preset(name: str, recipe: Recipe | None = None) -> Recipe:
    """The recipe (by default that of no flags) with a preset's settings; InputError lists the presets there are."""
    require(name in PRESETS, f"unknown preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return dataclasses.replace(recipe or Recipe(), **PRESETS[name].settings)
