"""What the figures of a run are drawn from: its record, read once."""

import math
from dataclasses import asdict, dataclass
from functools import cached_property

from ufm import InputError
from validate import Comparison, Run, compare_run, not_covered
from validate.trajectory import trajectory

BOUNDS = ("objective", "lower_bound", "gap")


@dataclass(frozen=True)
class Material:
    """A run with what follows from its record. A run without points has its epochs alone."""

    run: Run

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        """The rows of epochs.csv, and in each the ratio of the norms of W and H."""
        rows = self.run.epochs
        if not rows:
            raise InputError(f"the run {self.run.path} has no epochs yet; train it first")
        ratio = {"norm_w", "norm_h"} <= set(rows[0])
        return [row | {"norm_ratio": _ratio(row)} for row in rows] if ratio else rows

    @cached_property
    def comparison(self) -> Comparison | None:
        return compare_run(self.run) if self.run.last_point.is_file() and not not_covered(self.run) else None

    @cached_property
    def bounds(self) -> list[dict[str, float]]:
        """Objective, lower bound and duality gap of the epochs that have a point, where theory covers the run."""
        return [asdict(step) for step in trajectory(self.run, self.comparison.problem)] if self.comparison else []

    @cached_property
    def theory(self) -> dict[str, float]:
        """What the minimiser of the run's own unconstrained feature model has, by column; empty without a point."""
        if self.comparison is None:
            return {}
        values = {row.name: row.theory for row in self.comparison.rows}
        return values | {"norm_ratio": _ratio(values)}

    @property
    def minimum(self) -> float | None:
        """f at the minimiser of the run's own unconstrained feature model."""
        return self.theory.get("objective")


def _ratio(values: dict[str, float]) -> float:
    return values["norm_w"] / values["norm_h"] if values["norm_h"] else math.nan
