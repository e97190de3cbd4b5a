"""Opening a run directory: a new one, or one that is resumed."""

import dataclasses
from pathlib import Path

from ufm import InputError
from ufm.errors import Setting, require
from validate import Run
from validate.runs.older import LATER
from validate.runs.run import AGAIN

from ..data.images import Images
from ..measure import tier_columns
from ..recipe import Recipe, recipe_of
from .checkpoints import epoch_of
from .record import COLUMNS, config_of

MAY_CHANGE = ("epochs", "device", "rearrange", "tensorboard", "data_dir")  # between a run and its resumption


def open_run(recipe: Recipe, images: Images, path: Path, *, force: bool, resume: bool) -> tuple[Run, int]:
    """(the run, the number of epochs that it can go on from); one that is resumed is only looked at.

    InputError as in `networks.train`.
    """
    if not resume:
        return Run.create(path, config_of(recipe, images), force), 0
    run = Run.open(path)
    _require_same(recipe, run)
    done, recorded = _epochs_done(run, COLUMNS | set(tier_columns(images))), len(run.epochs)
    fewer = Setting("epochs", recipe.epochs), " asks for fewer"
    require(recipe.epochs >= recorded, f"{path} has {recorded} epochs already", fewer)
    return run, done


def _epochs_done(run: Run, columns: set[str]) -> int:
    """The epoch of the training state, 0 before there is one; InputError where the run's files are not of one moment.

    `record` writes the training state last: however a process ends, the rows and the other files are at most one epoch
    ahead of it.
    """
    rows, state, file = run.epochs, run.last_checkpoint, run.path / "epochs.csv"
    recorded, newest = len(rows), max([*run.checkpoints, *run.points], default=0)
    done = epoch_of(state) if state.is_file() else 0
    mend = "put back the file that is missing or older, or ", *AGAIN
    in_order = [row["epoch"] for row in rows] == list(range(1, recorded + 1))
    require(in_order, f"{file} does not list the epochs 1, 2, ...", AGAIN)
    other = ", ".join(sorted(columns.symmetric_difference(rows[-1]) - (LATER - {*rows[-1]}))[:4]) if rows else ""
    version = "go on with that which made it, or ", *AGAIN
    require(not other, f"{file} has not the columns of this version ({other})", version)
    require(done or recorded < 2, f"{run.path} has {recorded} epochs but no training state to go on from", AGAIN)
    in_step = done in (recorded, recorded - 1)
    require(in_step, f"{file} lists {recorded} epochs, but the training state is of epoch {done}", mend)
    require(newest <= done + 1, f"{run.path} has files of epoch {newest}, but its training state is of {done}", mend)
    return done


def _require_same(recipe: Recipe, run: Run) -> None:
    """InputError names a setting that would make the resumed run another one."""
    made = recipe_of(run)
    may_change = MAY_CHANGE[1:] if recipe.schedule == "cosine" else MAY_CHANGE
    for field in dataclasses.fields(recipe):
        before, now = getattr(made, field.name), getattr(recipe, field.name)
        if before != now and field.name not in may_change:
            made_with = f"{run.path} was made with ", Setting(field.name), f" = {before}, not {now}"
            raise InputError(made_with, "resume with the same recipe")
