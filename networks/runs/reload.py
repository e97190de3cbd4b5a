"""What a run's checkpoints are measured with: its data and its model, made again from config.json."""

import dataclasses
from pathlib import Path

from ufm import InputError
from validate import Run

from ..arrangement import arranged
from ..data.images import Images, load
from ..distributed import device_of
from ..models.build import Classifier, model_of
from ..recipe import recipe_of
from .checkpoints import load_model


def reload(run: Run, data_dir: str | None = None) -> tuple[Images, Classifier]:
    """(the run's data, its model without weights), on a GPU where there is one.

    data_dir is where the run's data are now, if they have been moved.
    """
    recipe, device = recipe_of(run), device_of("auto")
    recipe = recipe if data_dir is None else dataclasses.replace(recipe, data_dir=data_dir)
    images = load(recipe, recipe.seed).to(device)
    model = model_of(recipe, images.num_classes, images.image_shape).to(device)
    return images, arranged(model, recipe, device)


def checkpoints_of(run: Run, model: Classifier) -> dict[int, Path]:
    """The run's checkpoints by epoch; the training state, which a run that did not reach its end has, is one too.

    Raises InputError where there is none. The model is left with some of the weights.
    """
    found = dict(run.checkpoints)
    if run.last_checkpoint.is_file():
        last = load_model(run.last_checkpoint, model)
        if last not in found and any(row["epoch"] == last for row in run.epochs):
            found[last] = run.last_checkpoint
    if not found:
        raise InputError(f"the run {run.path} has no checkpoints; train it first")
    return found
