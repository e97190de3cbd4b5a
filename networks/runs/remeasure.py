"""Measure every checkpoint of a run again, from its weights alone."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ufm.results import Result
from validate import Run
from validate.runs.older import LATER

from ..allocation import kept_memory
from ..distributed import device_of
from ..measure import measure
from .checkpoints import load_model
from .reload import checkpoints_of, reload

ALLOWED = 1e-3  # deviation of a checkpoint that agrees: float32 sums in another order


@dataclass(frozen=True)
class Remeasured(Result):
    """One checkpoint: what it measures now, and how far from what training recorded.

    deviation  the largest difference over all metrics, relative to 1e-3 + |recorded value|; a column that came after
               the version that recorded the epoch is not among them
    """

    epoch: int
    metrics: dict[str, float]
    deviation: float

    @property
    def agrees(self) -> bool:
        """Whether it measures what training recorded."""
        return self.deviation <= ALLOWED


def remeasure(
    run: Run, track: Callable[[Iterable[int]], Iterable[int]] = iter, data_dir: str | None = None
) -> list[Remeasured]:
    """Every checkpoint of the run measured on its data, on a GPU where there is one.

    The training state, which a run that did not reach its end has for its last epoch, is a checkpoint too. track wraps
    the epochs, to show progress. data_dir is where the run's data are now, if they have been moved.
    """
    images, model = reload(run, data_dir)
    recorded = {int(row["epoch"]): row for row in run.epochs}
    checkpoints = checkpoints_of(run, model)
    found = []
    with kept_memory(device_of("auto")):
        for epoch in track(list(checkpoints)):
            load_model(checkpoints[epoch], model)
            _, metrics = measure(model, images)
            found.append(Remeasured(epoch, metrics, _deviation(metrics, recorded.get(epoch, {}))))
    return found


def _deviation(metrics: dict[str, float], recorded: dict[str, float]) -> float:
    """Infinite where training recorded nothing to compare with."""
    known = {name: value for name, value in metrics.items() if name in recorded or name not in LATER}
    return max(_gap(value, recorded.get(name)) for name, value in known.items())


def _gap(value: float, recorded: float | None) -> float:
    """A metric that is not defined at a point (features of one place have no angles) is NaN both times."""
    if recorded is None or math.isnan(value) != math.isnan(recorded):
        return math.inf
    if value == recorded or math.isnan(value):
        return 0.0
    gap = abs(value - recorded) / (1e-3 + abs(recorded))
    return math.inf if math.isnan(gap) else gap
