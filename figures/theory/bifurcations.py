"""The bifurcation diagram on a line: the shape of each branch's W, by index, with its events, and how many points."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ufm.bifurcations import Branch, Diagram

from ..drawing.drawing import TWO_COLUMNS, Drawing, house_style, new_figure

COLOURS = ("#000000", "#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")  # of the indices 0, 1, 2, ...
MARKS = {"pitchfork": "o", "fold": "s", "crossing": "^"}
HEADER = ("branch", "shape", "copies", "index", "t", "f", "norm_W", "kurtosis")
NAMES = {"rho": "rho = K sqrt(n lW lH)", "lambda_b": "lambda_b"}


def bifurcation_figure(diagram: Diagram) -> Drawing:
    """Two panels over the parameter: the kurtosis of W's entries, and how many critical points there are.

    Points count with copies and both signs. Minima are solid, saddles dashed in the colour of their index; events are
    marked, and named by their t.
    """
    with house_style():
        figure = new_figure(TWO_COLUMNS, 3.6)
        left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
        _branches(left, diagram)
        _counts(right, diagram)
        figure.legend(handles=_keys(diagram), loc="outside upper left", ncols=8, columnspacing=1.2, handlelength=1.8)
        figure.draw_without_rendering()
    rows = [
        [i, branch.shape, branch.copies, branch.index, *numbers]
        for i, branch in enumerate(diagram.branches)
        for numbers in zip(branch.t, branch.level, branch.norm, branch.kurtosis, strict=True)
    ]
    return Drawing(figure, _caption(diagram), HEADER, rows)


def _branches(axes: Axes, diagram: Diagram) -> None:
    path = diagram.path
    shown = [branch for branch in diagram.branches if len(branch.partition) > 1]
    for branch in shown:
        style = {"linestyle": "-", "linewidth": 1.8} if branch.index == 0 else {"linestyle": "--", "linewidth": 1.0}
        axes.plot(branch.t, branch.kurtosis, color=_colour(branch.index), **style)
    for event in diagram.events:
        place = event.t, event.kurtosis
        axes.plot(*place, MARKS[event.kind], color="black", markerfacecolor="white", markersize=5, zorder=5)
        right = 2 * event.t > path.begin + path.end
        side: dict[str, Any] = {"xytext": (-7 if right else 7, 7), "ha": "right" if right else "left"}
        axes.annotate(f"{event.t:.6g}", place, textcoords="offset points", fontsize=7, zorder=6, **side)
    _names(axes, shown, diagram)
    axes.set(xlabel=NAMES[path.along], ylabel="kurtosis of W, m4/m2^2", xlim=(path.begin, path.end))


def _names(axes: Axes, shown: list[Branch], diagram: Diagram) -> None:
    """The sizes of the blocks beside the right end of each branch that reaches it, one below the other."""
    last = [branch for branch in shown if branch.t[-1] >= diagram.path.end * (1 - 1e-9)]
    places = sorted(((branch.kurtosis[-1], branch) for branch in last), key=lambda pair: pair[0])
    axes.autoscale_view()
    low, high = axes.get_ylim()
    least, before = 0.052 * (high - low), -np.inf
    for height, branch in places:
        before = max(height, before + least)
        axes.annotate(
            f"{branch.shape} ({branch.copies})",
            *((diagram.path.end, height), (1.02, (before - low) / (high - low))),
            textcoords="axes fraction",
            color=_colour(branch.index),
            fontsize=7,
            verticalalignment="center",
            annotation_clip=False,
        )


def _counts(axes: Axes, diagram: Diagram) -> None:
    """A step a count, between the events."""
    path = diagram.path
    edges = [path.begin, *sorted({event.t for event in diagram.events}), path.end]
    for begin, end in pairwise(edges):
        inside = [count for count in diagram.counts if begin <= count.t <= end]
        for count in inside:
            colour = "black" if count.euler == 1 else "#cc3311"
            axes.plot([begin, end], [count.points] * 2, color=colour, linewidth=1.8)
            axes.annotate(
                str(count.points), (count.t, count.points), xytext=(0, 4), textcoords="offset points", ha="center"
            )
    for edge in edges[1:-1]:
        axes.axvline(edge, color="#bbbbbb", linewidth=0.8, linestyle=":")
    most = max((count.points for count in diagram.counts), default=1)
    axes.set(xlabel=NAMES[path.along], ylabel="critical points", xlim=(path.begin, path.end), ylim=(0, 1.15 * most))


def _colour(index: int) -> str:
    return COLOURS[min(index, len(COLOURS) - 1)]


def _keys(diagram: Diagram) -> list[Line2D]:
    indices = sorted({branch.index for branch in diagram.branches if len(branch.partition) > 1})
    names = {0: "minimum"} | {i: f"index {i}" for i in indices if i}
    lines = [
        Line2D(
            [],
            [],
            color=_colour(i),
            linestyle="-" if i == 0 else "--",
            linewidth=1.8 if i == 0 else 1.0,
            label=names[i],
        )
        for i in indices
    ]
    kinds = sorted({event.kind for event in diagram.events})
    return lines + [
        Line2D([], [], color="black", marker=MARKS[kind], markerfacecolor="white", linestyle="", label=kind)
        for kind in kinds
    ]


def _caption(diagram: Diagram) -> str:
    path = diagram.path
    fixed = (
        "no bias"
        if not path.bias
        else (f"lambda_b = {path.other:g} lambda" if path.along == "rho" else f"rho = {path.other:g}")
    )
    kinds = ", ".join(f"{event.kind} at {event.t:.7f}" for event in diagram.events) or "no event"
    wrong = sum(count.euler != 1 for count in diagram.counts)
    return (
        f"Critical points of balanced cross-entropy on a line (d = 1, K = {path.num_classes}, n = 1, "
        f"lambda_w = lambda_h = lambda = rho/K, {fixed}), up to permutations and sign; names give the sizes of the "
        "blocks of equal classes and (in brackets) how many copies permutations make. Left: m4/m2^2 of the entries of "
        f"W. Events: {kinds}. Right: how many points there are with all copies and both signs; {wrong} of "
        f"{len(diagram.counts)} Euler sums are not 1."
    )
