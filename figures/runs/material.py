"""What the figures of a run are drawn from: its record, read once."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property

from ufm import InputError
from validate import Comparison, NotComparable, OnSpheres, Run
from validate.theory.on_spheres import beside_run, nothing_beside
from validate.theory.trajectory import trajectory

NO_POINT = (
    "no point of the run is on disk (RUN/points/last.safetensors), so there is no last layer to compare with theory, "
    "and no spectrum and no lower bounds to draw"
)
Row = dict[str, float]
DERIVED: dict[str, tuple[tuple[str, ...], Callable[..., float]]] = {  # columns that follow from others of a row
    "norm_ratio": (("norm_w", "norm_h"), lambda w, h: w / h if h else math.nan),
    "error": (("accuracy",), lambda accuracy: 1 - accuracy),
    "test_error": (("test_accuracy",), lambda accuracy: 1 - accuracy),
    "center_error": (("nearest_center_accuracy",), lambda accuracy: 1 - accuracy),
    "test_center_error": (("test_nearest_center_accuracy",), lambda accuracy: 1 - accuracy),
}


@dataclass(frozen=True)
class Material:
    """A run with what follows from its record. A run without points has its epochs alone."""

    run: Run

    @cached_property
    def epochs(self) -> list[Row]:
        """The rows of epochs.csv, and in each the columns of DERIVED that follow from it."""
        rows = self.run.epochs
        if not rows:
            raise InputError(f"the run {self.run.path} has no epochs yet; train it first")
        return [row | _derived(row) for row in rows]

    @cached_property
    def _compared(self) -> Comparison | OnSpheres | str:
        """The comparison with theory, or why there is none."""
        if not self.run.last_point.is_file():
            return nothing_beside(self.run) or NO_POINT
        try:
            return beside_run(self.run)
        except NotComparable as reason:
            return str(reason)

    @property
    def comparison(self) -> Comparison | OnSpheres | None:
        return None if isinstance(self._compared, str) else self._compared

    @property
    def not_covered(self) -> str | None:
        """Why there is no comparison; None where there is one."""
        return self._compared if isinstance(self._compared, str) else None

    @cached_property
    def bounds(self) -> list[Row]:
        """Objective, lower bound and duality gap of the epochs that have a point, where theory covers the run."""
        return [asdict(step) for step in trajectory(self.run, self.comparison.model)] if self.comparison else []

    @cached_property
    def theory(self) -> Row:
        """What the minimiser of the run's own unconstrained feature model has, by column; empty without a point."""
        return {row.name: row.theory for row in self.comparison.rows} if self.comparison else {}

    @property
    def implied(self) -> list[str]:
        """The columns in which theory and network agree by construction."""
        return [row.name for row in self.comparison.rows if row.implied] if self.comparison else []


def _derived(row: Row) -> Row:
    return {
        name: of(*(row[column] for column in columns))
        for name, (columns, of) in DERIVED.items()
        if set(columns) <= set(row)
    }
