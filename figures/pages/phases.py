"""The page of a phase diagram: which groups of equal classes are one point at every cell's minimiser."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from ufm.errors import require
from ufm.phases import Cell

from ..theory.phases import ALL, APART, MINORITY, NAMES, colour, edges, ratio, threshold
from .chart import Chart, Key, Mark, Stroke, Words, line, polygon
from .page import Column, Item, Page
from .words import in_words

LEFT, TOP, RIGHT, BOTTOM = 74.0, 14.0, 14.0, 50.0  # margins, in pixels
SIZE = 560.0, 400.0  # of the plot
KINDS = {APART: "apart", MINORITY: "minority", ALL: "all"}
COLUMNS = (
    Column("weight decay", r"\lambda"),
    Column("n of the majority", r"n_{\max}"),
    Column("n of the minority", r"n_{\min}"),
    Column("majority"),
    Column("minority"),
    Column("spread of the minority"),
    Column("its share of the threshold", r"\frac{N \lambda}{D_0 \sqrt{n_{\min}}}"),
    Column("theory says"),
    Column("the minimiser is"),
    Column("value", "f"),
    Column("duality gap", "f - D", listed=False),
    Column("spread of the majority", listed=False),
    Column("share of the threshold, majority", r"\frac{N \lambda}{D_0 \sqrt{n_{\max}}}", listed=False),
    Column("longest row, majority", listed=False),
    Column("longest row, minority", listed=False),
    Column("beside theory", listed=False),
)


def phase_page(cells: Sequence[Cell], asked: Mapping[str, object], made: Mapping[str, str] | None = None) -> Page:
    """The page about a phase diagram's cells; asked has the grid's settings, made what made it, by name.

    Raises InputError without any cell.
    """
    require(len(cells) > 0, "there is no cell to show; survey at least one")
    return Page(
        title="Which classes merge, over imbalance and lambda",
        summary=_summary(cells),
        kind="cell",
        chart=_chart(cells),
        columns=COLUMNS,
        items=[_item(cell) for cell in cells],
        asked={name: in_words(value) for name, value in asked.items()},
        made=made or {},
    )


def _summary(cells: Sequence[Cell]) -> list[str]:
    merged = sum(cell.parties[-1].merged for cell in cells)
    certified, wrong = sum(cell.certified for cell in cells), sum(cell.contradicts for cell in cells)
    known = any(party.ratio is not None for cell in cells for party in cell.parties)
    return [
        f"The minority's classes are one point in {merged} of {len(cells)} cells; {certified} of the minimisers are "
        "certified as global.",
        f"{wrong} cells contradict the threshold of theory." if known else "No threshold is known for this loss.",
    ]


def _item(cell: Cell) -> Item:
    most, least = cell.parties[0], cell.parties[-1]
    values = (
        *(cell.problem.lambda_w, most.count, least.count, _merged(most.merged), _merged(least.merged), least.spread),
        *(least.ratio, _merged(least.predicted), "certified global" if cell.certified else "best found", cell.value),
        *(cell.gap, most.spread, most.ratio, most.length, least.length),
        "contradicts: a group at a certified minimiser is not what theory says" if cell.contradicts else None,
    )
    return Item(_named(cell), values)


def _named(cell: Cell) -> str:
    return f"lambda = {cell.problem.lambda_w:g}, n = {cell.parties[0].count} and {cell.parties[-1].count}"


def _merged(said: bool | None) -> str | None:
    return None if said is None else "merged" if said else "apart"


class Axes:
    """Pixels of n_min/n_max and lambda on logarithmic axes; cells meet halfway between their values."""

    def __init__(self, cells: Sequence[Cell]):
        self.ratios = sorted({ratio(cell) for cell in cells})
        self.decays = sorted({cell.problem.lambda_w for cell in cells})
        self.across, self.up = np.log(edges(self.ratios)), np.log(edges(self.decays))

    def x(self, ratio: float) -> float:
        low, high = self.across[[0, -1]]
        return LEFT + SIZE[0] * float((np.log(ratio) - low) / (high - low))

    def y(self, decay: float) -> float:
        low, high = self.up[[0, -1]]
        return TOP + SIZE[1] * float((high - np.log(decay)) / (high - low))

    def outline(self, cell: Cell) -> str:
        """The cell's rectangle about its values."""
        i, j = self.ratios.index(ratio(cell)), self.decays.index(cell.problem.lambda_w)
        x, y = self.x(self.ratios[i]), self.y(self.decays[j])
        left, right = (self.x(float(np.exp(self.across[k]))) - x for k in (i, i + 1))
        low, high = (self.y(float(np.exp(self.up[k]))) - y for k in (j, j + 1))
        return polygon((left, low), (right, low), (right, high), (left, high))


def _chart(cells: Sequence[Cell]) -> Chart:
    axes = Axes(cells)
    theory = _theory(cells, axes)
    there = {colour(cell) for cell in cells}
    keys = [
        Key(f"cell {KINDS[one]}", polygon((-10, -8), (10, -8), (10, 8), (-10, 8)), NAMES[one])
        for one in NAMES
        if one in there
    ]
    lines = [Key(f"stroked {kind}", line((-11, 0), (11, 0)), said) for kind, said in _LINES if theory]
    return Chart(
        width=LEFT + SIZE[0] + RIGHT,
        height=TOP + SIZE[1] + BOTTOM,
        said="Each cell: which groups of equal classes are one point at the minimiser."
        + (" Lines: where theory has them merge; above the line they are one." if theory else "")
        + ("" if all(cell.certified for cell in cells) else " A cross: the minimiser is not certified as global."),
        marks=[_mark(cell, i, axes) for i, cell in enumerate(cells)],
        strokes=theory,
        words=[
            *(Words(axes.x(r), TOP + SIZE[1] + 17, f"{r:.3g}", "middle") for r in axes.ratios),
            *(Words(LEFT - 8, axes.y(decay) + 4, f"{decay:g}", "end") for decay in axes.decays),
            Words(LEFT + SIZE[0] / 2, TOP + SIZE[1] + 38, "n of the minority over n of the majority", "middle"),
            Words(15, TOP + SIZE[1] / 2, "lambda", "upright"),
        ],
        keys=[*keys, *lines],
    )


_LINES = (("", "theory: minority"), ("dashed", "theory: majority"))


def _theory(cells: Sequence[Cell], axes: Axes) -> list[Stroke]:
    """The thresholds of both groups over the cells, within the plot; none where theory knows none."""
    known = [cell for cell in cells if all(party.ratio is not None for party in cell.parties)]
    if not known:
        return []
    example = max(known, key=lambda cell: len(cell.parties))
    (low, high), (least, most) = axes.across[[0, -1]], np.exp(axes.up[[0, -1]])
    ratios = np.exp(np.linspace(low, min(high, 0.0), 200))
    strokes = []
    for (kind, _), which in zip(_LINES, (-1, 0), strict=True):
        values = [(r, threshold(example, which, r)) for r in ratios]
        for within, run in groupby(values, lambda pair: least <= pair[1] <= most):
            places = [(axes.x(r), axes.y(value)) for r, value in run]
            strokes += [Stroke(f"theory over {kind}", line(*places))] if within else []
    return strokes


def _mark(cell: Cell, i: int, axes: Axes) -> Mark:
    said = (
        f"{_named(cell)}: {NAMES[colour(cell)]}; the minimiser is {'' if cell.certified else 'not '}certified as global"
    )
    beyond = " contradicts" if cell.contradicts else ""
    kind = f"cell {KINDS[colour(cell)]}{beyond}"
    place = axes.x(ratio(cell)), axes.y(cell.problem.lambda_w)
    return Mark(i, *place, axes.outline(cell), kind, said, "" if cell.certified else "×")
