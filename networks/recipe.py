"""What a run is asked to do: the data, the model, the optimiser and the run, each with its own settings and checks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ufm import InputError
from ufm.errors import Setting, require
from validate import Run
from validate.runs.run import AGAIN

from .data.augmentation import AUGMENTATIONS
from .data.images import DataRecipe
from .models.heads import HEADS
from .models.recipe import ModelRecipe
from .optim.losses import LOSSES
from .optim.optimizers import OPTIMIZERS, OptimizerRecipe

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
    """of the training images: none, flip or crop-flip"""
    amp: bool = False
    """train in bfloat16 where autocast allows it (metrics are those of the float32 model)"""
    channels_last: bool = False
    """lay images and convolutions out with the channels last"""
    rearrange: bool = True
    """on a CPU, compute the same in an order that is faster there: channels last, convolutions of maps of few pixels as
    matrix products (sums round otherwise)"""
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
    """Everything a run is asked to do. Raises InputError for settings out of range, or of another type."""

    def __post_init__(self):
        for name, hint in get_type_hints(Recipe).items():
            _require_type(name, hint, getattr(self, name))
        for part in Recipe.__bases__:
            part.__post_init__(self)
        moved = HEADS[self.head].after_step or HEADS[self.head].on_means
        require(
            not moved or OPTIMIZERS[self.optimizer].alone,
            f"the head {self.head} changes W between steps, and {self.optimizer} takes the next one by the former W",
            ("take another ", Setting("head"), " or ", Setting("optimizer")),
        )
        require(
            not self.mixup or not HEADS[self.head].sees_labels,
            f"mixtures of images have no class whose mean the head {self.head} could follow",
            ("leave ", Setting("mixup"), " out"),
        )
        given = not HEADS[self.head].learned and not self.bias
        require(
            given or not LOSSES[self.loss].given_w,
            f"the loss {self.loss} sees the own logit alone: it needs a W that is fixed, and no bias",
            ("pass ", Setting("head", "etf"), " and ", Setting("bias", False)),
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold, or infinite."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and isinstance(float(value), float)
    except OverflowError:
        return False


TYPES: dict[Any, tuple[str, Callable[[Any], bool]]] = {  # of settings: in words, and what tells
    bool: ("True or False", lambda value: isinstance(value, bool)),
    int: ("a whole number", _is_whole),
    float: ("a number", _is_number),
    str: ("text", lambda value: isinstance(value, str)),
    tuple[int, ...]: ("whole numbers", lambda value: isinstance(value, list | tuple) and all(map(_is_whole, value))),
    tuple[float, ...]: ("numbers", lambda value: isinstance(value, list | tuple) and all(map(_is_number, value))),
    NoneType: ("None", lambda value: value is None),
}


def _require_type(name: str, hint: Any, value: Any) -> None:
    """Raise InputError unless the value is of the type, one of a union, or text where words are listed."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [TYPES[str if get_origin(part) is Literal else part] for part in parts]
    wanted = " or ".join(words for words, _ in kinds)
    require(any(fits(value) for _, fits in kinds), (Setting(name), f" must be {wanted}, got {repr(value)[:40]}"))


def _losses_with(setting: str) -> tuple[str, ...]:
    return tuple(name for name, loss in LOSSES.items() if setting in loss.parameters)


USERS: dict[str, tuple[str, tuple[str, ...]]] = {  # settings that some choices alone use: which setting, its choices
    "temperature": ("head", ("normalized", "projected")),
    "decay_head": ("head", tuple(name for name, kind in HEADS.items() if kind.learned)),
    **{setting: ("loss", _losses_with(setting)) for loss in LOSSES.values() for setting in loss.parameters},
    "patience": ("schedule", ("step",)),
    "gamma": ("schedule", ("step", "milestones")),
    "milestones": ("schedule", ("milestones",)),
    "momentum": ("optimizer", ("sgd",)),
    "history_size": ("optimizer", ("lbfgs",)),
    "max_iter": ("optimizer", ("lbfgs",)),
}


def idle(settings: Mapping[str, Any]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What does nothing beside a recipe's choices: which setting uses it, with which values.

    settings  of a Recipe by name; those that are left out are the defaults
    """
    chosen = vars(Recipe()) | dict(settings)
    return {name: users for name, users in USERS.items() if chosen[users[0]] not in users[1]}


def idle_decays(recipe: Recipe) -> set[str]:
    """Those of the weight decays, the one of all groups and a group's own, that no trained parameter of a run takes."""
    before = not recipe.feature_decay  # whether the layers before the last are decayed
    takers = {
        "decay_backbone": before,
        "decay_biases": before or recipe.bias,
        "decay_head": HEADS[recipe.head].learned,
    }
    left = any(takes and getattr(recipe, name) is None for name, takes in takers.items())
    return {name for name, takes in takers.items() if not takes} | ({"weight_decay"} if not left else set())


def unused(recipe: Recipe) -> dict[str, str]:
    """The settings that were set (they are not the defaults) to no effect, with the choices that would use them."""
    default, found = Recipe(), idle(vars(recipe))
    changed = {name: users for name, users in found.items() if getattr(recipe, name) != getattr(default, name)}
    return {name: f"{setting} {' and '.join(choices)}" for name, (setting, choices) in changed.items()}


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run was made with; InputError when config.json has none."""
    made = run.recipe
    require(bool(made), f"{run.path}/config.json holds no recipe", AGAIN)
    try:
        return Recipe(**made)
    except (TypeError, InputError) as error:
        raise InputError(f"{run.path}/config.json holds no recipe ({error})", AGAIN) from error
