"""How near the best a run's last layer was after each epoch: its objective and the bound under it, from the points."""

from dataclasses import dataclass, replace
from typing import Any

import torch

import ufm
from ufm import Point, Problem
from ufm.losses.tables import table
from ufm.models import FixedClassifier, Model, Spheres
from ufm.results import Result

from ..runs.minimised import FOLLOWING
from ..runs.run import Run
from .implied import shifted_to_least_penalty


@dataclass(frozen=True)
class Step(Result):
    """One epoch's class means and last layer in a problem.

    objective    f there; where the loss is convex, averaging the features within classes never raises f, and so the
                 network's own is no lower. On spheres it is f at the directions of the means, and may be above it
    lower_bound  the dual value that this point gives: f is nowhere below it
    gap          objective - lower_bound
    """

    epoch: int
    objective: float
    lower_bound: float
    gap: float


def trajectory(run: Run, model: Problem | Model[Any]) -> list[Step]:
    """The steps of the epochs whose point (last layer and class means) is on disk, oldest first.

    model  the one that the run's comparison names: its decays are those of the run's last point throughout. Where W
           follows the features it is the one of the epoch
    """
    files = ((int(row["epoch"]), run.point(int(row["epoch"]))) for row in run.epochs)
    points = ((epoch, Point.load(file).double()) for epoch, file in files if file.is_file())
    follows = run.minimised is not None and run.minimised.head.W == FOLLOWING
    return [_step(epoch, point, _given(model, point) if follows else model) for epoch, point in points]


def _given(model: Problem | Model[Any], point: Point) -> Problem | Model[Any]:
    """The model with the W of this point, where one is given."""
    return replace(model, W=table("W", point.W, 2)) if isinstance(model, FixedClassifier) else model


def _step(epoch: int, point: Point, model: Problem | Model[Any]) -> Step:
    if isinstance(model, Problem):
        point = _at_rest(point, model) if model.bias else point
        value, bound = float(model.objective(point)), ufm.lower_bound(model, point).value
    else:
        point = model.normalised(point) if isinstance(model, Spheres) else point
        value, bound = float(model.objective(point)), model.lower_bound(point)
    return Step(epoch, value, bound, value - bound)


def _at_rest(point: Point, problem: Problem) -> Point:
    total = torch.tensor(problem.class_counts).to(point.H) @ point.H
    return shifted_to_least_penalty(point, total, problem.num_samples, problem.lambda_h, problem.lambda_b)
