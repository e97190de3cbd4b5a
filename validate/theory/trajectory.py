"""How near the best a run's last layer was after each epoch: its objective and the bound under it, from the points."""

from dataclasses import dataclass

import torch

import ufm
from ufm import Point, Problem
from ufm.results import Result

from ..runs.run import Run
from .compare import shifted_to_least_penalty


@dataclass(frozen=True)
class Step(Result):
    """One epoch's class means and last layer in a problem.

    objective    f there; where the loss is convex, averaging the features within classes never raises f, and so the
                 network's own is no lower
    lower_bound  the dual value that this point gives: f is nowhere below it
    gap          objective - lower_bound
    """

    epoch: int
    objective: float
    lower_bound: float
    gap: float


def trajectory(run: Run, problem: Problem) -> list[Step]:
    """The steps of the epochs whose point (last layer and class means) is on disk, oldest first.

    problem  the model that `compare_run(run).problem` names: its decays are those of the run's last point throughout
    """
    files = ((int(row["epoch"]), run.point(int(row["epoch"]))) for row in run.epochs)
    return [_step(epoch, Point.load(file).double(), problem) for epoch, file in files if file.is_file()]


def _step(epoch: int, point: Point, problem: Problem) -> Step:
    if problem.bias:
        total = torch.tensor(problem.class_counts).to(point.H) @ point.H
        point = shifted_to_least_penalty(point, total, problem.num_samples, problem.lambda_h, problem.lambda_b)
    value = float(problem.objective(point))
    bound = ufm.lower_bound(problem, point).value
    return Step(epoch, value, bound, value - bound)
