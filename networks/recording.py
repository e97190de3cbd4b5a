"""Opening a run directory and writing an epoch down in it."""

import dataclasses
from pathlib import Path

from ufm import InputError, Point
from validate import Run
from validate.metrics import class_statistics
from validate.provenance import provenance

from .checkpoints import save_model, save_training
from .data import Images
from .recipe import Recipe, recipe_of

MAY_CHANGE = ("epochs", "device", "tensorboard", "data_dir")  # between a run and its resumption


def open_run(recipe: Recipe, images: Images, path: Path, *, force: bool, resume: bool) -> tuple[Run, int]:
    """(the run with its config.json, the number of epochs it has). InputError as in `networks.train`.

    config.json holds the recipe and what made the run; with a feature decay c, also lambda_h = c / N.
    """
    config = {"recipe": dataclasses.asdict(recipe)} | provenance()
    if recipe.feature_decay:
        config["lambda_h"] = recipe.feature_decay / len(images.train_labels)
    if not resume:
        return Run.create(path, config, force), 0
    run = Run.open(path)
    _require_same(recipe, run)
    done = int(run.epochs[-1]["epoch"]) if run.epochs else 0
    if recipe.epochs < done:
        raise InputError(f"{path} has {done} epochs already; --epochs {recipe.epochs} asks for fewer")
    if done == 1 and not run.last_checkpoint.is_file():  # ended between the first row and its training state
        done = 0
    if done and not run.last_checkpoint.is_file():
        raise InputError(f"{path} has {done} epochs but no training state to go on from; train again with --force")
    if [row["epoch"] for row in run.epochs] != list(range(1, len(run.epochs) + 1)):
        raise InputError(f"{path}/epochs.csv does not list the epochs 1, 2, ...; train again with --force")
    run.analysis.unlink(missing_ok=True)  # it was about fewer epochs
    for leftover in run.path.glob("*/.*.safetensors.*"):  # of a process that was killed while it wrote
        leftover.unlink()
    run.write_config(config)
    return run, done


def _require_same(recipe: Recipe, run: Run) -> None:
    """InputError names a setting that would make the resumed run another one."""
    made = recipe_of(run)
    may_change = MAY_CHANGE[1:] if recipe.schedule == "cosine" else MAY_CHANGE
    for field in dataclasses.fields(recipe):
        before, now = getattr(made, field.name), getattr(recipe, field.name)
        if before != now and field.name not in may_change:
            raise InputError(
                f"{run.path} was made with {field.name} = {before}, not {now}; resume with the same recipe"
            )


def record(run: Run, model, optimizer, point: Point, rows: list[dict[str, float]], recipe: Recipe) -> None:
    """Write one epoch down, the last of `rows`. The training state comes last: what it promises is on disk."""
    epoch = int(rows[-1]["epoch"])
    means = class_statistics(point).means.to(point.H.dtype)
    Point(point.W, means, point.b).save(run.point(epoch))
    if epoch == recipe.epochs or epoch % recipe.keep == 0:
        point.save(run.last_point)
        save_model(run.checkpoint(epoch), model)
    run.write_epochs(rows)
    save_training(run.last_checkpoint, model, optimizer, epoch)
