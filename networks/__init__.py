"""Real networks on real images, trained into the terminal phase and recorded epoch by epoch."""

from .data import DataRecipe, Images, load
from .datasets import DATASETS
from .heads import HEADS, simplex_frame
from .memory import training_memory
from .models import Classifier, ModelRecipe, build_model, model_names
from .presets import PRESETS, preset
from .recipe import Recipe, recipe_of, unused
from .revalidate import remeasure
from .train import Diverged, measure, train

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
    "model_names",
    "preset",
    "recipe_of",
    "remeasure",
    "simplex_frame",
    "train",
    "training_memory",
    "unused",
]
