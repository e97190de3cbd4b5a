"""Figures of run records and of the theory, and pages for a browser.

draw_run, compare_runs, write_report   of runs on disk, into a folder
spectrum_figure, spectra_figure, landscape_figure, traps_figure, phase_figure, depth_figure,
convergence_figure, filmstrip_figure, layers_figure
    a `Drawing` each: the matplotlib figure and its numbers; `Drawing.save(folder, name)` writes SVG, PDF, PNG and CSV
comparison_figures                     a `Drawing` by name for each figure that runs have something to show in
house_style, new_figure                for a `Drawing` of your own: the style as a context, an empty figure to draw on
write_animation                        the gradient flow in the plane as a GIF
landscape_page, traps_page, phase_page  a `Page` each: `Page.html()` is one file for a browser that needs nothing else
"""

from importlib import import_module
from typing import Any

from ufm_names import require_own

require_own("ufm", "validate")

# Each is imported when it is asked for: one figure does not wait for what the others need.
PUBLIC = {
    "Drawing": "drawing.drawing",
    "compare_runs": "runs.comparison",
    "comparison_figures": "runs.comparison",
    "convergence_figure": "theory.convergence",
    "depth_figure": "theory.depths",
    "draw_run": "runs.figures",
    "filmstrip_figure": "theory.film",
    "house_style": "drawing.drawing",
    "landscape_figure": "theory.landscape",
    "landscape_page": "pages.landscape",
    "layers_figure": "runs.layers",
    "new_figure": "drawing.drawing",
    "phase_figure": "theory.phases",
    "phase_page": "pages.phases",
    "spectra_figure": "theory.spectra",
    "spectrum_figure": "theory.spectra",
    "traps_figure": "theory.traps",
    "traps_page": "pages.traps",
    "write_animation": "theory.film",
    "write_report": "runs.report",
}
__all__ = [*PUBLIC]


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
