"""Every figure of one run, out of its record alone."""

from pathlib import Path

import ufm
from validate import Run

from ..drawing.drawing import Drawing
from ..theory.spectra import spectrum_figure
from .comparison import Track, figures_of
from .material import Material
from .said import loss_said, minimiser_said


def drawings(run: Run, track: Track = iter) -> dict[str, Drawing]:
    """The figures of a run by name; one that needs a point the run has not recorded yet is left out."""
    return drawings_of(Material(run), track)


def drawings_of(material: Material, track: Track = iter) -> dict[str, Drawing]:
    """The same from what was read of the run already."""
    return figures_of([material], (), track) | _spectrum(material)


def draw_run(run: Run, folder: Path | str | None = None, track: Track = iter) -> list[Path]:
    """Write every figure of the run to `folder` (RUN/figures) as SVG, PDF, PNG and CSV; returns the paths."""
    folder = run.path / "figures" if folder is None else folder
    return [path for name, drawing in drawings(run, track).items() for path in drawing.save(folder, name)]


def _spectrum(material: Material) -> dict[str, Drawing]:
    """The spectrum at the minimiser of the run's own model, where theory covers the run."""
    comparison = material.comparison
    if comparison is None or not isinstance(comparison.model, ufm.Problem):
        return {}
    problem, loss = comparison.model, loss_said(material)
    where = (
        f"{minimiser_said([material])} of the unconstrained feature model of this network (K = {problem.num_classes}, "
        f"N = {problem.num_samples:,}, d = {problem.dim}{f', loss: {loss}' if loss else ''})"
    )
    return {"spectrum": spectrum_figure(ufm.spectrum(problem, comparison.minimizer), where)}
