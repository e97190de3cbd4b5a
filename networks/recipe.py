"""What a run is asked to do: the data, the model, the optimiser and the run, each with its own settings and checks."""

from dataclasses import dataclass

from ufm import InputError
from ufm.errors import Setting, require
from validate import Run
from validate.runs.run import AGAIN

from .data.augmentation import AUGMENTATIONS
from .data.images import DataRecipe
from .models.recipe import ModelRecipe
from .optim.losses import LOSSES
from .optim.optimizers import OptimizerRecipe

SEEDS = 2**32  # all that torch's generator on the CPU tells apart


@dataclass(frozen=True)
class RunRecipe:
    """How long, from which random numbers, on what, and what is kept."""

    epochs: int = 400
    """passes over the training set"""
    seed: int = 0
    """fixes the split, the initial weights and the order of the data"""
    keep: int = 20
    """write a checkpoint every so many epochs (and after the last)"""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one"""
    augment: str = "none"
    """of the training images: none or crop-flip"""
    amp: bool = False
    """train in bfloat16 where autocast allows it (metrics are those of the float32 model)"""
    channels_last: bool = False
    """lay images and convolutions out with the channels last"""
    compile: bool = False
    """compile the training pass by torch.compile"""
    tensorboard: bool = False
    """also write every epoch's row to RUN/tensorboard"""

    def __post_init__(self):
        for name in ("epochs", "keep"):
            require(getattr(self, name) >= 1, (Setting(name), f" must be >= 1, got {getattr(self, name)}"))
        require(0 <= self.seed < SEEDS, (Setting("seed"), f" must lie in [0, 2^32), got {self.seed}"))
        known = ", ".join(AUGMENTATIONS)
        require(self.augment in AUGMENTATIONS, f"unknown augmentation {self.augment!r}; choose one of: {known}")


@dataclass(frozen=True)
class Recipe(RunRecipe, OptimizerRecipe, ModelRecipe, DataRecipe):
    """Everything a run is asked to do. Raises InputError for settings out of range."""

    def __post_init__(self):
        for part in Recipe.__bases__:
            part.__post_init__(self)


USERS: dict[str, tuple[str, tuple[str, ...]]] = {  # settings that some choices alone use: which setting, its choices
    "temperature": ("head", ("normalized",)),
    **{setting: ("loss", (name,)) for name, loss in LOSSES.items() for setting in loss.parameters},
    "patience": ("schedule", ("step",)),
    "gamma": ("schedule", ("step", "milestones")),
    "milestones": ("schedule", ("milestones",)),
    "momentum": ("optimizer", ("sgd",)),
    "history_size": ("optimizer", ("lbfgs",)),
    "max_iter": ("optimizer", ("lbfgs",)),
}


def unused(recipe: Recipe) -> dict[str, str]:
    """The settings that were set (they are not the defaults) to no effect, with the choices that would use them."""
    default, found = Recipe(), {}
    for name, (setting, choices) in USERS.items():
        if getattr(recipe, name) != getattr(default, name) and getattr(recipe, setting) not in choices:
            found[name] = f"{setting} {' and '.join(choices)}"
    return found


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run was made with; InputError when config.json has none."""
    made = run.recipe
    require(bool(made), f"{run.path}/config.json holds no recipe", AGAIN)
    try:
        return Recipe(**made)
    except TypeError as error:
        raise InputError(f"{run.path}/config.json holds no recipe ({error})", AGAIN) from error
