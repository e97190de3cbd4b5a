"""Panels side by side, a curve a run: quantities against epoch (or a setting), with the theory's values as lines."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullFormatter

from ufm import InputError
from validate.runs.run import AGAIN

from .drawing import Drawing, house_style, new_figure
from .labels import SIZE as FONT
from .labels import text_width
from .scales import error_axis, level_axis, log_ticks, spaced

COLOURS, MARKERS = 7, "os^Dv<>pP*Xh"
FEW = 4  # curves; of more than these, theory's values are short
MARKED = 6  # how many points of a curve carry its marker
ROUNDING = 1e-6  # a curve wholly below this is zero up to float32 rounding: its value is noted, its axis left alone
LONE = 1e-12  # the same of a curve that is alone, up to float64 rounding
LETTERS = 4.6  # what a legend's marker and the spaces around an entry take, in letters
Note = tuple[int | None, str]  # the curve it is about (None: not one), its words
DOTTED = {"marker": "", "linestyle": ":", "linewidth": 1.2}  # of the test set
FIXED = {"marker": "", "linestyle": "--", "linewidth": 0.9}  # of the theory's values


@dataclass(frozen=True)
class Panel:
    """One quantity: a column of the record, a title, the scale of its axis, whether theory's value is drawn.

    scale   linear, log, or error: a log scale that goes on to 0 where there is one
    name    of the quantity within a sentence, if its title is too long for one
    test    the column that has the same of the test set, drawn dotted; empty: none
    """

    column: str
    title: str
    scale: str = "log"
    theory: bool = True
    name: str = ""
    test: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, and that of the test set if there is one."""
        return (self.column, self.test) if self.test else (self.column,)


@dataclass(frozen=True)
class Curve:
    """One line: its label, rows with x and the columns, theory's values by column.

    facts     the run of each row, and what else the table says of it
    implied   the columns in which theory agrees by construction
    """

    label: str
    rows: Sequence[dict[str, float]]
    facts: Sequence[dict[str, str]]
    theory: dict[str, float] = field(default_factory=dict)
    implied: Sequence[str] = ()

    def values(self, column: str) -> list[float]:
        return [row.get(column, math.nan) for row in self.rows]


@dataclass(frozen=True)
class Layout:
    """Panels in so many columns over so many inches; x is the column on the horizontal axis.

    title   what the labels of the legend are values of
    """

    columns: int
    width: float
    title: str = ""
    x: str = "epoch"
    x_scale: str = "linear"
    height: float = 1.45


def panels_figure(curves: Sequence[Curve], panels: Sequence[Panel], layout: Layout, caption: str) -> Drawing:
    """Every curve in every panel; the table beside it has a row a point. InputError where a column is missing."""
    for curve in curves:
        names = (layout.x, *_columns(panels))
        missing = [name for name in names if not any(name in row for row in curve.rows)]
        if missing:
            raise InputError(f"epochs.csv of {curve.facts[0]['run']} has no column {missing[0]!r}", AGAIN)
    rows = math.ceil(len(panels) / layout.columns)
    with house_style():
        figure = new_figure(layout.width, layout.height * rows + 0.25)
        grid = figure.subplots(rows, layout.columns, sharex=True, squeeze=False)
        theory = [draw_panel(axes, panel, curves, layout) for axes, panel in zip(grid.flat, panels, strict=True)]
        figure.supxlabel(layout.x)
        test = any(panel.test for panel in panels)
        _legend(figure, _keys(curves, any(theory), layout, test), layout)
        figure.draw_without_rendering()
    shown = [layout.x, *_columns(panels)]
    facts = [name for name in curves[0].facts[0] if name not in shown]
    return Drawing(figure, caption, [*facts, *shown], list(_table(curves, facts, shown)))


def _columns(panels: Sequence[Panel]) -> list[str]:
    return [column for panel in panels for column in panel.columns]


def draw_panel(axes: Axes, panel: Panel, curves: Sequence[Curve], layout: Layout) -> bool:
    """One panel: every curve with its marker, its test set dotted and theory's value dashed in its colour, and what is
    below the axis.

    Returns whether theory is drawn as lines.
    """
    axes.set_title(panel.title)
    axes.set_xscale(layout.x_scale)
    if panel.scale == "log":
        axes.set_yscale("log")
    notes, shown = [], []
    for (i, curve), column in product(enumerate(curves), panel.columns):
        values = curve.values(column)
        finite = [value for value in values if math.isfinite(value)]
        if panel.scale == "log" and finite and max(finite) < (ROUNDING if len(curves) > 1 else LONE):
            notes.append((i, f"{finite[-1]:.0e}, below" if abs(finite[-1]) > LONE else "0"))
            continue
        if panel.scale == "log":
            values = [value if value > 0 else math.nan for value in values]
        shown += [value for value in values if math.isfinite(value)]
        look = line(i, len(curves), len(curve.rows)) | (DOTTED if column == panel.test else {})
        _plot(axes, [row[layout.x] for row in curve.rows], values, look)
    below, drawn = _theory(axes, panel, curves, shown)
    if not shown:
        axes.set_yticks([], minor=False)
        axes.yaxis.set_minor_formatter(NullFormatter())
        note(axes, 0.5, 0.5, "not defined" if not notes else "", ha="center")
    elif panel.scale == "log":
        log_ticks(axes, shown)
    elif panel.scale == "error":
        error_axis(axes, shown)
    else:
        level_axis(axes, shown)
    _ticks_below(axes, layout, curves)
    _foot(axes, [*below, *_arranged(panel, curves), *notes])
    return drawn


def _plot(axes: Axes, places: Sequence[float], values: Sequence[float], look: dict[str, object]) -> None:
    """The line through the values; where several stand at one place, all their markers and the line of their means."""
    at = defaultdict(list)
    for place, value in zip(places, values, strict=True):
        at[place].append(value)
    if len(at) < len(places):
        axes.plot(places, values, **look | {"linestyle": "", "markevery": None})
        places, values, look = list(at), [sum(found) / len(found) for found in at.values()], look | {"marker": ""}
    axes.plot(places, values, **look)


def line(i: int, curves: int, points: int) -> dict[str, object]:
    """Colour and marker of the i-th of so many curves; the markers of different curves stand apart.

    A curve that is alone needs no marker, unless its points are few.
    """
    step = max(1, points // MARKED)
    first = (i * step) // max(1, curves) if points > MARKED else 0
    marker = MARKERS[i % len(MARKERS)] if curves > 1 or points <= MARKED else ""
    return {"color": f"C{i % COLOURS}", "marker": marker, "markevery": (first, step)}


def _ticks_below(axes: Axes, layout: Layout, curves: Sequence[Curve]) -> None:
    if layout.x_scale == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        return
    places = sorted({row[layout.x] for curve in curves for row in curve.rows})
    axes.set_xticks(places, spaced(places))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _theory(axes: Axes, panel: Panel, curves: Sequence[Curve], shown: list[float]) -> tuple[list[Note], bool]:
    """Draw what is in reach of the axis: (what to say of values far below it, whether any is drawn).

    Values of more than a few curves are drawn at the right edge alone.
    """
    known = [(i, curve.theory.get(panel.column, math.nan)) for i, curve in enumerate(curves)]
    known = [(i, value) for i, value in known if math.isfinite(value)] if panel.theory else []
    floor = max(1e-3 * min(shown, default=0.0), 1e-300) if panel.scale == "log" else -math.inf
    reached = [(i, value) for i, value in known if value >= floor]
    for i, value in reached:
        colour = f"C{i % COLOURS}" if len(curves) > 1 else "C1"
        axes.axhline(value, xmin=0 if len(curves) <= FEW else 0.86, color=colour, zorder=1.5, **FIXED)
    far = [(i, value) for i, value in known if value < floor]
    if far and not reached:
        far = [(None, max(value for _, value in far))]
    return [(i, f"theory {value:.0e}, below" if value else "theory 0") for i, value in far[:FEW]], bool(reached)


def _arranged(panel: Panel, curves: Sequence[Curve]) -> list[Note]:
    """Words for the foot of a panel: theory agrees by construction, and the curves with which it does not."""
    own = [i for i, curve in enumerate(curves) if panel.column in curve.theory and panel.column not in curve.implied]
    if not any(panel.column in curve.implied for curve in curves):
        return []
    return [*((i, "does not") for i in own[:FEW]), (None, "agrees by construction")]


def note(axes: Axes, x: float, y: float, text: str, **style) -> None:
    """Words within a panel, outlined in white, at fractions of its width and height."""
    outline = [withStroke(linewidth=2, foreground="white")]
    written = axes.text(x, y, text, transform=axes.transAxes, fontsize=7, color="0.25", path_effects=outline, **style)
    written.set_in_layout(False)


def _foot(axes: Axes, notes: Sequence[Note]) -> None:
    """A line each at the foot of the panel, from below, with room made for them on its log axis."""
    if not notes:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low / (high / low) ** (0.03 + 0.13 * len(notes)), high)
    for k, (i, text) in enumerate(notes):
        y = 0.03 + 0.1 * k
        note(axes, 0.02 if i is None else 0.1, y, text)
        if i is not None:
            style = line(i, 2, 1) | {"linestyle": "", "markevery": None}
            axes.plot([0.05], [y + 0.03], transform=axes.transAxes, clip_on=False, **style)


def _keys(curves: Sequence[Curve], theory: bool, layout: Layout, test: bool) -> list[Line2D]:
    """The entries of the legend: the curves, the test set and theory where they are drawn; none for one line alone."""
    alone = len(curves) == 1 and not layout.title
    if alone and not theory and not test:
        return []
    keys = [
        Line2D([], [], **line(i, len(curves), len(one.rows)) | {"markevery": None}, label=one.label)
        for i, one in enumerate(curves)
    ]
    if alone:
        keys[0].set_label("training set" if test else "network")
    if test:
        keys.append(Line2D([], [], color="C0" if len(curves) == 1 else "0.2", **DOTTED, label="test set"))
    colour = "C1" if len(curves) == 1 else "0.2"
    return [*keys, Line2D([], [], color=colour, **FIXED, label="theory")] if theory else keys


def _legend(figure: Figure, keys: list[Line2D], layout: Layout) -> None:
    """The legend above the panels, as many entries side by side as fit; the figure grows by its height."""
    if not keys:
        return
    longest = (max(text_width(str(key.get_label())) for key in keys) + LETTERS * FONT) / 72
    across = max(1, min(len(keys), int(layout.width / longest)))
    lines = math.ceil(len(keys) / across) + bool(layout.title)
    figure.set_figheight(figure.get_figheight() + 0.15 * lines)
    place = {"loc": "outside upper left", "alignment": "left", "borderpad": 0.1}
    figure.legend(handles=keys, ncols=across, title=layout.title or None, **place)


def _table(curves: Sequence[Curve], facts: list[str], shown: list[str]) -> Iterable[list[object]]:
    for curve in curves:
        for row, fact in zip(curve.rows, curve.facts, strict=True):
            yield [*(fact[name] for name in facts), *(row.get(name, math.nan) for name in shown)]
