"""Runs made by hand: a recipe, two epochs with the numbers asked for, and a last point where one is given."""

import dataclasses

from ufm_paper.grid import CELLS, SMALL
from ufm_paper.trained import Trained
from validate import Run

ROW = {
    **{"epoch": 1, "accuracy": 0.5, "test_accuracy": 0.5},
    **{"nc1": 1.0, "nc2": 1.0, "nc3": 1.0, "nc4": 1.0},
}
LAST = {"epoch": 2, "accuracy": 1.0, "test_accuracy": 0.9, "nc1": 0.01, "nc2": 0.02, "nc3": 0.03, "nc4": 0.04}
MADE = {"versions": {"torch": "2"}, "machine": {"gpu": "a GPU"}}
MODEL = {"parameters": 7, "learned_parameters": 5, "training_memory_bytes": 2**20}


def made_run(folder, cell, point=None, **last) -> Trained:
    """The cell as if trained; `last` replaces numbers of its last epoch."""
    recipe = dataclasses.asdict(SMALL.recipe(CELLS[cell]))
    run = Run.create(folder / cell, {"recipe": recipe, "model": MODEL} | MADE)
    run.write_epochs([ROW, ROW | LAST | last])
    if point is not None:
        point.save(run.last_point)
    return Trained(cell, run)
