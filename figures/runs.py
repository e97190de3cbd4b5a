"""Every figure of a run, out of its record alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import ufm
from ufm import InputError
from validate import Comparison, Run, compare_run, not_covered

from .collapse import metrics_figure, predictions_figure
from .drawing import Drawing
from .eigenvalues import spectrum_figure


@dataclass(frozen=True)
class Material:
    """What the figures of a run are drawn from, read once."""

    run: Run

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        rows = self.run.epochs
        if not rows:
            raise InputError(f"the run {self.run.path} has no epochs yet; train it first")
        return rows

    @cached_property
    def comparison(self) -> Comparison | None:
        return compare_run(self.run) if self.run.last_point.is_file() and not not_covered(self.run) else None


def _spectrum(material: Material) -> Drawing | None:
    comparison = material.comparison
    if comparison is None:
        return None
    problem = comparison.problem
    where = (
        f"the minimiser of the unconstrained feature model of this network (K = {problem.num_classes}, "
        f"N = {problem.num_samples:,}, d = {problem.dim})"
    )
    return spectrum_figure(ufm.spectrum(problem, comparison.minimizer), where)


FIGURES: dict[str, Callable[[Material], Drawing | None]] = {
    "collapse": lambda material: metrics_figure(material.epochs, material.comparison),
    "predictions": lambda material: predictions_figure(material.epochs, material.comparison),
    "spectrum": _spectrum,
}


def drawings(run: Run, track: Callable[[Iterable[str]], Iterable[str]] = iter) -> dict[str, Drawing]:
    """The figures of a run by name; one that needs a point the run has not recorded yet is left out."""
    material = Material(run)
    drawn = {name: FIGURES[name](material) for name in track(list(FIGURES))}
    return {name: drawing for name, drawing in drawn.items() if drawing}


def draw(run: Run, track: Callable[[Iterable[str]], Iterable[str]] = iter) -> list[Path]:
    """Write every figure of the run to RUN/figures as SVG, PNG and CSV; returns the paths."""
    return [path for name, drawing in drawings(run, track).items() for path in drawing.save(run.path / "figures", name)]
