"""The phase diagram of imbalance: which groups of equal classes have merged, with theory's curves over the cells."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ufm.errors import InputError
from ufm.phases import Cell

from ..drawing.drawing import ONE_COLUMN, Drawing, house_style, new_figure

APART, MINORITY, ALL = "#4477aa", "#ddcc77", "#bbbbbb"  # blue, sand, grey: apart in any colour vision
NAMES = {APART: "all classes apart", MINORITY: "minority merged", ALL: "all merged"}
HEADER = ("lambda", "n_max", "n_min", "majority_merged", "minority_merged", "majority_spread", "minority_spread")
MORE = ("majority_ratio", "minority_ratio", "f", "duality_gap", "certified")


def phase_figure(cells: Sequence[Cell]) -> Drawing:
    """Cells over n_min/n_max and lambda, coloured by what has merged; the thresholds of theory as curves.

    A cell whose minimiser is not certified as global has a cross. Raises InputError without any cell.
    """
    if not cells:
        raise InputError("there is no cell to draw; survey at least one")
    with house_style():
        figure = new_figure(ONE_COLUMN, 3.1)
        axes = figure.subplots()
        _cells(axes, cells)
        drawn = _curves(axes, cells)
        axes.set(xscale="log", yscale="log", xlabel="n_min / n_max", ylabel="lambda")
        keys = [Patch(facecolor=colour, label=name) for colour, name in NAMES.items()]
        figure.legend(handles=[*keys, *drawn], loc="outside upper left", ncols=2, columnspacing=1.2, handlelength=1.6)
        figure.draw_without_rendering()
    return Drawing(figure, _caption(cells, bool(drawn)), (*HEADER, *MORE), [_numbers(cell) for cell in cells])


def ratio(cell: Cell) -> float:
    return cell.parties[-1].count / cell.parties[0].count


def colour(cell: Cell) -> str:
    if all(party.merged for party in cell.parties):
        return ALL
    return MINORITY if cell.parties[-1].merged else APART


def _cells(axes: Axes, cells: Sequence[Cell]) -> None:
    """A rectangle a cell, between the middles (on log axes) of the cells beside it."""
    ratios, decays = (sorted({of(cell) for cell in cells}) for of in (ratio, lambda cell: cell.problem.lambda_w))
    x, y = edges(ratios), edges(decays)
    for cell in cells:
        i, j = ratios.index(ratio(cell)), decays.index(cell.problem.lambda_w)
        axes.fill_between(x[i : i + 2], y[j], y[j + 1], color=colour(cell), linewidth=0.4, edgecolor="white")
        if not cell.certified:
            axes.plot(ratios[i], decays[j], marker="x", color="black", markersize=4)
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.grid(False)


def edges(values: Sequence[float]) -> np.ndarray:
    logs = np.log(values)
    middles = (logs[1:] + logs[:-1]) / 2
    first, last = (logs[0] - 0.3, logs[-1] + 0.3)
    if len(logs) > 1:
        first, last = 2 * logs[0] - middles[0], 2 * logs[-1] - middles[-1]
    return np.exp([first, *middles, last])


def _curves(axes: Axes, cells: Sequence[Cell]) -> list[Line2D]:
    """lambda = D0 sqrt(n_k)/N of both groups, for every n_min between the cells'."""
    known = [cell for cell in cells if all(party.ratio is not None for party in cell.parties)]
    if not known:
        return []
    low, high = axes.get_xlim()
    ratios = np.geomspace(low, min(high, 1.0), 200)
    handles, example = [], max(known, key=lambda cell: len(cell.parties))
    for of, style, label in ((-1, "-", "theory: minority"), (0, "--", "theory: majority")):
        thresholds = np.array([threshold(example, of, ratio) for ratio in ratios])
        handles += axes.plot(ratios, thresholds, color="black", linestyle=style, linewidth=1.3, label=label)
    return handles


def threshold(cell: Cell, which: int, ratio: float) -> float:
    """The lambda at which the group merges where the minority has ratio n_max samples a class, not rounded."""
    majority = cell.parties[0].count
    sizes = _sizes(cell)
    total = majority * (sizes[0] + ratio * sizes[1])
    party = cell.parties[which]
    assert party.ratio is not None
    tied = cell.problem.num_samples * cell.problem.ridge / (party.ratio * party.count**0.5)
    return tied * (majority * (ratio if which else 1.0)) ** 0.5 / total


def _sizes(cell: Cell) -> tuple[int, int]:
    """How many classes are of the majority and of the minority; half and half where all n_k are equal."""
    counts = cell.problem.class_counts
    most = sum(n == max(counts) for n in counts)
    return (most, len(counts) - most) if most < len(counts) else (most // 2, most - most // 2)


def _caption(cells: Sequence[Cell], curves: bool) -> str:
    first, loss = cells[0].problem, cells[0].problem.loss.name
    certified, wrong = sum(cell.certified for cell in cells), sum(cell.contradicts for cell in cells)
    theory = (
        "Curves: where theory has the minority (D0^2 n_min = N^2 lambda^2) and the majority merge to one point. "
        f"{wrong} of {len(cells)} cells contradict it."
        if curves
        else "No threshold is known for this loss."
    )
    return (
        f"Which groups of equal classes are one point at the minimiser of the unconstrained feature model ({loss}, K = "
        f"{first.num_classes}, n_max = {cells[0].parties[0].count}, d = {first.dim}, lambda_w = lambda_h = lambda). "
        f"{certified} of {len(cells)} minimisers are certified as global; a cross marks the others. {theory}"
    )


def _numbers(cell: Cell) -> list[float | None]:
    most, least = cell.parties[0], cell.parties[-1]
    merged = [int(most.merged), int(least.merged), most.spread, least.spread]
    found = [most.ratio, least.ratio, cell.value, cell.gap, int(cell.certified)]
    return [cell.problem.lambda_w, most.count, least.count, *merged, *found]
