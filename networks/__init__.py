"""Real networks on real images, trained into the terminal phase and recorded epoch by epoch."""

from .data import DataRecipe, Images, load
from .datasets import DATASETS
from .models import BACKBONES, Classifier, build_model
from .recipe import Recipe
from .revalidate import recipe_of, remeasure
from .train import measure, train

__all__ = [
    "BACKBONES",
    "DATASETS",
    "Classifier",
    "DataRecipe",
    "Images",
    "Recipe",
    "build_model",
    "load",
    "measure",
    "recipe_of",
    "remeasure",
    "train",
]
