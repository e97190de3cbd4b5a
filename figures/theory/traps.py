"""The map of traps: over (K, d), a panel for each lambda, how often descents are trapped and how badly."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ufm import InputError, Problem
from ufm.traps import Cell, Ending

from ..drawing.drawing import ONE_COLUMN, TWO_COLUMNS, Drawing, house_style, new_figure

NOT_RUN = {"facecolor": "0.93", "edgecolor": "0.75", "hatch": "////"}
LABELLED = 10  # panels with more values on an axis than this have no numbers in their cells
HEADER = ("K", "d", "starts", *map(str, Ending), "trapped fraction", "worst gap", "best f", "lower bound")
MORE = ("certified global", "one-vs-rest distance", "softmax code", "softmax code is known")


@dataclass(frozen=True)
class Quantity:
    """A row of panels: what is drawn of a cell (None leaves it white), as which number, in which colours.

    ticks   the numbers beside the scale of colours
    """

    title: str
    of: Callable[[Cell], float | None]
    text: Callable[[float], str]
    ticks: Callable[[float], str]
    colours: str
    norm: Callable[[list[float]], Normalize]


def _decades(values: list[float]) -> Normalize:
    """A log scale of whole decades around the values."""
    low, high = min(values, default=1e-2), max(values, default=1e-2)
    first = math.floor(math.log10(low))
    return LogNorm(10.0**first, 10.0 ** max(math.ceil(math.log10(high)), first + 1))


def _power(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-")


QUANTITIES = (
    Quantity(
        "starts trapped, %",
        lambda cell: 100 * cell.trapped or None,
        lambda value: f"{value:.0f}" if value >= 1 else "<1",
        lambda value: f"{value:.0f}",
        "YlGnBu",
        lambda values: Normalize(0, 100),
    ),
    Quantity(
        "worst trap: f - best f",
        lambda cell: cell.gap,
        _power,
        _power,
        "YlOrRd",
        _decades,
    ),
)


def traps_figure(cells: Sequence[Cell]) -> Drawing:
    """Two rows of panels over K and d, a column a lambda, with the line d = K - 1; cells not run are hatched.

    On spheres a column is a scale. For a loss that is not shift-invariant, and on spheres, the line is d = K; for one
    that is not convex there is none.

    Raises InputError without any cell.
    """
    if not cells:
        raise InputError("there is no cell to draw; survey at least one")
    settings = sorted({cell.setting for cell in cells})
    columns = [[cell for cell in cells if cell.setting == setting] for setting in settings]
    classes = sorted({cell.problem.num_classes for cell in cells})
    dims = sorted({cell.problem.dim for cell in cells})
    with house_style():
        figure = new_figure(TWO_COLUMNS if len(settings) > 1 else ONE_COLUMN, 4.4)
        panels = figure.subplots(len(QUANTITIES), len(settings), sharex=True, sharey=True, squeeze=False)
        for row, quantity in zip(panels, QUANTITIES, strict=True):
            norm = quantity.norm([value for cell in cells if (value := quantity.of(cell)) is not None])
            for axes, column in zip(row, columns, strict=True):
                _panel(axes, quantity, norm, column, classes, dims)
                _border(axes, classes, dims, cells[0].edge)
            colours = ScalarMappable(norm, quantity.colours)
            scale = figure.colorbar(colours, ax=list(row), format=lambda value, _, text=quantity.ticks: text(value))
            scale.set_label(quantity.title, labelpad=5)
            scale.ax.grid(False)
        for axes, (name, value) in zip(panels[0], settings, strict=True):
            axes.set_title(f"{name} = {value:g}")
        _legend(figure, cells[0].edge)
        figure.supxlabel("number of classes K")
        figure.supylabel("feature dimension d")
        figure.draw_without_rendering()
    return Drawing(figure, _caption(cells), (cells[0].setting[0], *HEADER, *MORE), [_numbers(cell) for cell in cells])


def _panel(axes: Axes, quantity: Quantity, norm: Normalize, cells: list[Cell], classes: list[int], dims: list[int]):
    """A square for each cell, coloured and labelled; what was not run stays hatched."""
    axes.grid(False)
    axes.patch.set(**NOT_RUN)
    colours = np.zeros((len(dims), len(classes), 4))
    for cell in cells:
        x, y = classes.index(cell.problem.num_classes), dims.index(cell.problem.dim)
        value = quantity.of(cell)
        colours[y, x] = (1, 1, 1, 1) if value is None else colormaps[quantity.colours](norm(value))
        if value is not None and max(len(dims), len(classes)) <= LABELLED:
            ink = "white" if colours[y, x, :3] @ (0.3, 0.6, 0.1) < 0.55 else "0.2"
            axes.text(x, y, quantity.text(value), ha="center", va="center", fontsize=7, color=ink)
    axes.pcolormesh(range(len(classes)), range(len(dims)), colours, edgecolors="0.85", linewidth=0.4)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(dims)), dims)


def _border(axes: Axes, classes: list[int], dims: list[int], edge: str | None) -> None:
    """The line d = K - 1 or K, if any: from it upwards a critical point is a global minimiser or a strict saddle."""
    heights = [sum(d < K - (edge == "K - 1") for d in dims) - 0.5 for K in classes]
    if edge is not None:
        edges = np.arange(len(classes) + 1) - 0.5
        axes.stairs(heights, edges, baseline=None, color="black", linewidth=1.4, clip_on=False)
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(-0.5, len(dims) - 0.5))


def _legend(figure: Figure, edge: str | None) -> None:
    keys = [
        *([Line2D([], [], color="black", linewidth=1.4, label=f"d >= {edge} above")] if edge else []),
        Patch(facecolor="white", edgecolor="0.75", label="no trap found"),
        Patch(**NOT_RUN, label="not run"),
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys), columnspacing=1.2, handlelength=1.4)


def _caption(cells: Sequence[Cell]) -> str:
    first, trapped = cells[0], sum(cell.gap is not None for cell in cells)
    beyond = sum(cell.contradicts for cell in cells)
    model, settings = _model(first)
    where = (
        f", {beyond} of them from the line d = {first.edge} upwards, where the theory has none" if first.edge else ""
    )
    return (
        f"Random descents of {model}, {first.starts} a cell (n = {first.problem.class_counts[0]}, {settings}). Above: "
        "how many of them end in a local minimiser that is certainly not global. Below: how far the worst of those is "
        f"above the best point found. White: no trap found. {trapped} of {len(cells)} cells have traps{where}. "
        "Hatched: not run."
    )


def _model(cell: Cell) -> tuple[str, str]:
    """(the model that descents are of, its settings beside K and d, in words)."""
    if isinstance(cell.problem, Problem):
        settings = f"lambda_w = lambda_h = lambda, lambda_b = {cell.problem.lambda_b:g}"
        return "the unconstrained feature model", settings
    return "the model on spheres", "logits are cosines times the scale"


def _numbers(cell: Cell) -> list[float | None]:
    problem, ends = cell.problem, [cell.ends[ending] for ending in Ending]
    head = [cell.setting[1], problem.num_classes, problem.dim, cell.starts, *ends]
    found = [cell.trapped, cell.gap, cell.best.value, cell.lower_bound]
    return [*head, *found, int(cell.certified), cell.best.distance, cell.code, int(cell.code_known)]
