"""The diagram of depth: the rank of the best point over K and L, a panel a lambda, and how far the ETF is above it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ufm.depths import Cell
from ufm.errors import InputError
from ufm.results import PointVerdict

from ..drawing.drawing import ONE_COLUMN, TWO_COLUMNS, Drawing, house_style, new_figure

NOT_RUN = {"facecolor": "0.93", "edgecolor": "0.75", "hatch": "////"}
LABELLED = 10  # panels with more values on an axis than this have no numbers in their cells
CORNER = 0.35  # from a cell's centre to a mark in its corner
CERTIFIED = {"marker": "o", "color": "black", "markersize": 2.2, "linestyle": ""}
UNDECIDED = {"marker": "x", "color": "black", "markersize": 3.5, "linestyle": ""}
SADDLE = {"marker": "v", "color": "black", "markersize": 2.2, "linestyle": ""}
BORDER = {"color": "black", "linewidth": 1.4}
HEADER = (
    "lambda",
    "K",
    "L",
    "n",
    "f",
    "rank",
    "verdict",
    "index",
    "nullity",
    "orbit",
    "lower bound",
    "reached",
    "starts",
)
MORE = ("f at the ETF", "verdict of the ETF", "index of the ETF", "excess of the ETF")


@dataclass(frozen=True)
class Quantity:
    """A row of panels: what is drawn of a cell (None leaves it white), as which words, in which colours, and its marks.

    mark   the mark in a cell's corner, or None
    """

    title: str
    of: Callable[[Cell], float | None]
    text: Callable[[Cell], str]
    colours: str
    norm: Callable[[list[float]], Normalize]
    mark: Callable[[Cell], dict[str, object] | None]


def _verdict_mark(cell: Cell) -> dict[str, object] | None:
    if cell.verdict == PointVerdict.GLOBAL_MINIMIZER:
        return CERTIFIED
    return None if cell.verdict == PointVerdict.LOCAL_MINIMIZER else UNDECIDED


def _etf_mark(cell: Cell) -> dict[str, object] | None:
    return SADDLE if cell.etf is not None and cell.etf.index else None


def _percent(cell: Cell) -> str:
    value = 100 * (cell.excess or 0.0)
    return f"{value:.0f}" if value >= 1 else f"{value:.1f}".removeprefix("0")


QUANTITIES = (
    Quantity(
        "rank / (K - 1)",
        lambda cell: cell.rank / (cell.problem.free.num_classes - 1),
        lambda cell: str(cell.rank),
        "YlGnBu",
        lambda values: Normalize(0, max(values, default=1.0)),
        _verdict_mark,
    ),
    Quantity(
        "f at the ETF, + %",
        lambda cell: 100 * cell.excess if cell.excess else None,
        _percent,
        "YlOrRd",
        lambda values: Normalize(0, max(values, default=1.0)),
        _etf_mark,
    ),
)


def depth_figure(cells: Sequence[Cell]) -> Drawing:
    """Two rows of panels over K and L, a column a lambda; within the line theory has a point below every ETF.

    Raises InputError without any cell.
    """
    if not cells:
        raise InputError("there is no cell to draw; survey at least one")
    decays = sorted({cell.problem.decay for cell in cells})
    classes = sorted({cell.problem.free.num_classes for cell in cells})
    depths = sorted({cell.problem.depth for cell in cells})
    with house_style():
        figure = new_figure(TWO_COLUMNS if len(decays) > 1 else ONE_COLUMN, 1.2 + 0.46 * max(4, len(depths)))
        panels = figure.subplots(len(QUANTITIES), len(decays), sharex=True, sharey=True, squeeze=False)
        for row, quantity in zip(panels, QUANTITIES, strict=True):
            norm = quantity.norm([value for cell in cells if (value := quantity.of(cell)) is not None])
            for axes, decay in zip(row, decays, strict=True):
                _panel(axes, quantity, norm, [c for c in cells if c.problem.decay == decay], classes, depths)
            scale = figure.colorbar(ScalarMappable(norm, quantity.colours), ax=list(row))
            scale.set_label(quantity.title, labelpad=5)
            scale.ax.grid(False)
        for axes, decay in zip(panels[0], decays, strict=True):
            axes.set_title(f"lambda = {decay:g}")
        _legend(figure, cells)
        figure.supxlabel("number of classes K")
        figure.supylabel("number of factors L")
        figure.draw_without_rendering()
    return Drawing(figure, _caption(cells), (*HEADER, *MORE), [_numbers(cell) for cell in cells])


def _panel(
    axes: Axes, quantity: Quantity, norm: Normalize, cells: list[Cell], classes: list[int], depths: list[int]
) -> None:
    """A square for each cell, coloured, labelled and marked; what was not run stays hatched."""
    axes.grid(False)
    axes.patch.set(**NOT_RUN)
    colours = np.zeros((len(depths), len(classes), 4))
    for cell in cells:
        x, y = classes.index(cell.problem.free.num_classes), depths.index(cell.problem.depth)
        value, mark = quantity.of(cell), quantity.mark(cell)
        colours[y, x] = (1, 1, 1, 1) if value is None else colormaps[quantity.colours](norm(value))
        dark = colours[y, x, :3] @ (0.3, 0.6, 0.1) < 0.55
        if value is not None and max(len(depths), len(classes)) <= LABELLED:
            ink = "white" if dark else "0.2"
            axes.text(x, y, quantity.text(cell), ha="center", va="center", fontsize=7, color=ink)
        if mark is not None:
            axes.plot(x + CORNER, y + CORNER, **mark | {"color": "white" if dark else "black"})
    axes.pcolormesh(range(len(classes)), range(len(depths)), colours, edgecolors="0.85", linewidth=0.4)
    _border(axes, cells, classes, depths)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(depths)), depths)
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(-0.5, len(depths) - 0.5))


def _border(axes: Axes, cells: list[Cell], classes: list[int], depths: list[int]) -> None:
    """The line around the cells for which theory has a point below every ETF."""
    beaten = np.zeros((len(depths) + 2, len(classes) + 2), dtype=bool)
    for cell in cells:
        x, y = classes.index(cell.problem.free.num_classes), depths.index(cell.problem.depth)
        beaten[y + 1, x + 1] = cell.predicted is True
    style = BORDER | {"zorder": 4, "solid_capstyle": "projecting"}
    for y, x in np.argwhere(beaten[:, 1:] != beaten[:, :-1]):
        axes.plot([x - 0.5] * 2, [y - 1.5, y - 0.5], **style, clip_on=False)
    for y, x in np.argwhere(beaten[1:] != beaten[:-1]):
        axes.plot([x - 1.5, x - 0.5], [y - 0.5] * 2, **style, clip_on=False)


def _legend(figure: Figure, cells: Sequence[Cell]) -> None:
    keys: list[tuple[bool, Line2D | Patch]] = [
        (any(c.predicted for c in cells), Line2D([], [], **BORDER, label="theory: no ETF is optimal within")),
        (any(_verdict_mark(c) is CERTIFIED for c in cells), Line2D([], [], **CERTIFIED, label="certified global")),
        (any(_verdict_mark(c) is UNDECIDED for c in cells), Line2D([], [], **UNDECIDED, label="no local minimiser")),
        (any(_etf_mark(c) for c in cells), Line2D([], [], **SADDLE, label="the ETF is a saddle")),
        (any(not c.excess for c in cells), Patch(facecolor="white", edgecolor="0.75", label="the ETF, or no ETF")),
    ]
    shown = [key for there, key in keys if there]
    across = len(shown) if figure.get_figwidth() == TWO_COLUMNS else 2
    figure.legend(handles=shown, loc="outside upper left", ncols=across, columnspacing=1.2, handlelength=1.4)


def _caption(cells: Sequence[Cell]) -> str:
    first = cells[0].problem
    certified = sum(cell.verdict == PointVerdict.GLOBAL_MINIMIZER for cell in cells)
    local = sum(cell.verdict == PointVerdict.LOCAL_MINIMIZER for cell in cells)
    beaten, wrong = sum(bool(cell.excess) for cell in cells), sum(cell.contradicts for cell in cells)
    model = f"{first.loss.name}, n = {first.class_counts[0]}, d = K, one decay lambda"
    return (
        f"Deep linear models of L factors, the features included ({model}). Above: the rank of the best point found; "
        f"{certified} of {len(cells)} are certified as global, {local} as local minimisers by the Hessian. Below: "
        f"by how many per cent f at the best simplex ETF is more, in {beaten} cells. Within the line theory has a "
        f"point below every ETF; {wrong} cells contradict theory."
    )


def _numbers(cell: Cell) -> list[object]:
    model, etf = cell.problem, cell.etf
    place = [model.decay, model.free.num_classes, model.depth, model.class_counts[0]]
    found = [cell.value, cell.rank, str(cell.verdict), cell.index, cell.nullity, cell.orbit, cell.lower_bound]
    frame = [None] * 3 if etf is None else [etf.value, str(etf.verdict), etf.index]
    return [*place, *found, cell.reached, cell.starts, *frame, cell.excess]
