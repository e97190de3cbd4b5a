"""What a run is asked to do: the data, the model, the optimiser and the run, each with its own settings and checks."""

from dataclasses import dataclass

from ufm.errors import require

from .data import DataRecipe
from .models import ModelRecipe
from .optimizers import OptimizerRecipe


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

    def __post_init__(self):
        for name in ("epochs", "keep"):
            require(getattr(self, name) >= 1, f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Recipe(RunRecipe, OptimizerRecipe, ModelRecipe, DataRecipe):
    """Everything a run is asked to do. Raises InputError for settings out of range."""

    def __post_init__(self):
        for part in Recipe.__bases__:
            part.__post_init__(self)
