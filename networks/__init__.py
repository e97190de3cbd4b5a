"""Real networks on real images, trained into the terminal phase and recorded epoch by epoch."""

from ufm_names import require_own

require_own("ufm", "validate")

from .data.datasets import DATASETS
from .data.images import DataRecipe, Images, load
from .measure import measure
from .models.build import Classifier, build_model, model_names
from .models.heads import HEADS, simplex_frame
from .models.memory import training_memory
from .models.recipe import ModelRecipe
from .models.small_maps import small_maps
from .presets import PRESETS, preset
from .recipe import Recipe, recipe_of, unused
from .runs.layers import measure_layers
from .runs.remeasure import remeasure
from .train import Diverged, train

__all__ = [
    "DATASETS",
    "HEADS",
    "PRESETS",
    "Classifier",
    "DataRecipe",
    "Diverged",
    "Images",
    "ModelRecipe",
    "Recipe",
    "build_model",
    "load",
    "measure",
    "measure_layers",
    "model_names",
    "preset",
    "recipe_of",
    "remeasure",
    "simplex_frame",
    "small_maps",
    "train",
    "training_memory",
    "unused",
]
