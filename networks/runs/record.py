"""Writing a run down: its config.json at the beginning, and every epoch."""

import dataclasses
from typing import Any

from ufm import Point
from validate import LastLayer, NeuralCollapse, Run
from validate.runs.provenance import provenance
from validate.statistics.classes import class_statistics

from ..data.images import Images
from ..measure import HELD_OUT
from ..recipe import Recipe
from .checkpoints import save_model, save_training
from .minimised import minimised

METRICS = [field.name for kind in (LastLayer, NeuralCollapse) for field in dataclasses.fields(kind)]
TEST = [f"test_{name}" for name in ("accuracy", *HELD_OUT)]
COLUMNS = {"epoch", "lr", "train_loss", *METRICS, *TEST}  # of epochs.csv, and those of tiers of classes
LEFTOVERS = (".config.json.*", ".epochs.csv.*", "*/.*.safetensors.*")  # of a process that was killed while it wrote


def begin(run: Run, done: int, recipe: Recipe, images: Images, model: dict[str, int]) -> None:
    """Make the run ready for the epochs after `done`; model is the network's footprint."""
    if recipe.epochs > done:
        for found in (run.analysis, run.layers):
            found.unlink(missing_ok=True)  # it was about fewer epochs
    for leftover in [file for pattern in LEFTOVERS for file in run.path.glob(pattern)]:
        leftover.unlink()
    run.write_config(config_of(recipe, images) | {"model": model})


def config_of(recipe: Recipe, images: Images) -> dict[str, Any]:
    """The recipe, what it minimises on these images, and what made the run."""
    facts = minimised(recipe, images.class_counts)
    return {"recipe": dataclasses.asdict(recipe), "minimised": facts.plain()} | provenance()


def record(run: Run, model, optimizer, point: Point, rows: list[dict[str, float]], recipe: Recipe) -> None:
    """Write one epoch down, the last of `rows`. The training state comes last: what it promises is on disk."""
    epoch = int(rows[-1]["epoch"])
    means = class_statistics(point).in_units_of(0).means.to(point.H.dtype)
    Point(point.W, means, point.b).save(run.point(epoch))
    if epoch == recipe.epochs or epoch % recipe.keep == 0:
        point.save(run.last_point)
        save_model(run.checkpoint(epoch), model)
    run.write_epochs(rows)
    save_training(run.last_checkpoint, model, optimizer, epoch)
