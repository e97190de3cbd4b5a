"""The page of a map of traps: how many descents are trapped in each cell, its best point and its worst trap."""

from collections.abc import Mapping, Sequence

import torch

from ufm.certificates import Certificate
from ufm.errors import require
from ufm.models import Spheres
from ufm.traps import Cell, Ending
from ufm.traps.descents import End

from .cells import HEIGHT, WIDTH, Panel
from .chart import Chart, Key, Mark, Words, box, line
from .page import Column, Item, Page
from .scene import Scene, scene
from .words import in_words

SIDE, HEAD, FOOT, GAP = 46.0, 34.0, 46.0, 34.0  # pixels beside, above, below and between the panels
SHARES = (  # of starts that are trapped, from so many on: the colour, and what the legend says
    (0.5, "most", "half or more"),
    (0.2, "many", "20 % or more"),
    (0.05, "some", "5 % or more"),
    (1e-12, "few", "fewer than 5 %"),
    (0.0, "none", "no trap found"),
)
IN_A_ROW = 3  # panels side by side
RANK = 1e-6  # singular values below this, relative to the largest, are none
COLUMNS = (
    Column("K"),
    Column("d"),
    Column("starts"),
    Column("trapped share"),
    Column("worst gap", r"\max f - f^{*}"),
    Column("best value", "f^{*}"),
    Column("the best is"),
    Column("levels"),
    Column("one-vs-rest distance"),
    Column("softmax code"),
    Column("other ends"),
    Column("lower bound", r"D \le f", listed=False),
    Column("certificate of the best", listed=False),
    Column("certificate of the worst trap", listed=False),
    Column("beside theory", listed=False),
)


def traps_page(cells: Sequence[Cell], asked: Mapping[str, object], made: Mapping[str, str] | None = None) -> Page:
    """The page about a map's cells; asked has the grid's settings, made what made it, by name.

    Raises InputError without any cell.
    """
    require(len(cells) > 0, "there is no cell to show; survey at least one")
    setting = cells[0].setting[0]
    return Page(
        title=f"Where descents are trapped, over K, d and {setting}",
        summary=[_found(cells, wide) for wide in (False, True) if any(cell.wide == wide for cell in cells)],
        kind="cell",
        chart=_chart(cells),
        columns=(Column(setting), *COLUMNS),
        items=[_item(cell) for cell in cells],
        asked={name: in_words(value) for name, value in asked.items()},
        made=made or {},
    )


def _found(cells: Sequence[Cell], wide: bool) -> str:
    region = [cell for cell in cells if cell.wide == wide]
    traps, certified = sum(cell.gap is not None for cell in region), sum(cell.certified for cell in region)
    edge = cells[0].edge
    where = f"d {'>=' if wide else '<'} {edge}: traps" if edge else "Traps"
    theory = ", where theory has none" if wide else "" if edge else " (theory names no d without any)"
    return f"{where} in {traps} of {len(region)} cells{theory}; the best is certified as global in {certified}."


def _item(cell: Cell) -> Item:
    others = [
        f"{count} {one}" for one, count in cell.ends.items() if count and one not in (Ending.BEST, Ending.TRAPPED)
    ]
    code = None if cell.code is None else cell.code if cell.code_known else f"at least {cell.code:.6g}"
    values = (
        *(cell.setting[1], cell.problem.num_classes, cell.problem.dim, cell.starts, cell.trapped, cell.gap),
        *(cell.best.value, "certified global" if cell.certified else "best found", cell.levels, cell.best.distance),
        *(code, ", ".join(others) or None, cell.lower_bound, _certificate(cell.best)),
        None if cell.worst is None else _certificate(cell.worst),
        "contradicts: a local minimiser that is not global, where theory has none" if cell.contradicts else None,
    )
    pictures = (_scene(cell.best, "the best point"), *([_scene(cell.worst, "the worst trap")] if cell.worst else []))
    name, value = cell.setting
    title = f"K = {cell.problem.num_classes}, d = {cell.problem.dim}, {name} = {value:g}"
    return Item(title, values, pictures, _logits(cell))


def _certificate(end: End) -> str:
    found = end.certificate
    return (
        f"{found.verdict}, f = {found.value:.9g}, within {found.duality_gap:.2g} of its lower bound (seed {end.seed})"
    )


def _scene(end: End, title: str) -> Scene:
    known = isinstance(end.certificate, Certificate)
    rank = end.certificate.rank if known else int(torch.linalg.matrix_rank(end.point.W.double(), rtol=RANK))
    return scene(end.point, rank, title)


def _logits(cell: Cell) -> torch.Tensor:
    """(T, K), those of the best point."""
    point = cell.best.point
    scale = cell.problem.scale if isinstance(cell.problem, Spheres) else 1.0
    return scale * point.H @ point.W.T + point.b


def _chart(cells: Sequence[Cell]) -> Chart:
    settings = sorted({cell.setting for cell in cells})
    classes = sorted({cell.problem.num_classes for cell in cells})
    dims = sorted({cell.problem.dim for cell in cells})
    panels = {setting: _panel(i, setting, classes, dims) for i, setting in enumerate(settings)}
    edge = cells[0].edge
    heights = [sum(d < K - (edge == "K - 1") for d in dims) for K in classes]
    marks = []
    for i, cell in enumerate(cells):
        place = classes.index(cell.problem.num_classes), dims.index(cell.problem.dim)
        marks.append(_mark(cell, i, panels[cell.setting].middle(*place)))
    last = list(panels.values())[-1]
    width = max(panel.right for panel in panels.values()) + 10
    return Chart(
        width=width,
        height=last.bottom + FOOT,
        said="Each cell: the percentage of random descents that end in a local minimiser that is certainly not global."
        + (f" Above the line, d >= {edge}, theory has none." if edge else ""),
        marks=marks,
        strokes=[panel.stairs(heights) for panel in panels.values()] if edge else [],
        words=[
            *(word for panel in panels.values() for word in panel.words()),
            Words((SIDE + width) / 2, last.bottom + 38, "number of classes K", "middle"),
            Words(13, (HEAD + last.bottom) / 2, "feature dimension d", "upright"),
        ],
        keys=[
            *(Key(f"cell {kind}", box(20, 16), said) for _, kind, said in SHARES),
            *([Key("stroked", line((-11, 0), (11, 0)), f"d = {edge}")] if edge else []),
        ],
    )


def _panel(i: int, setting: tuple[str, float], classes: Sequence[int], dims: Sequence[int]) -> Panel:
    down, across = divmod(i, IN_A_ROW)
    left = SIDE + across * (WIDTH * len(classes) + GAP)
    top = HEAD + down * (HEIGHT * len(dims) + HEAD + GAP)
    return Panel(left, top, classes, dims, f"{setting[0]} = {setting[1]:g}")


def _mark(cell: Cell, i: int, place: tuple[float, float]) -> Mark:
    kind = next(kind for least, kind, _ in SHARES if cell.trapped >= least)
    percent = 100 * cell.trapped
    text = "" if not percent else f"{percent:.0f}" if percent >= 1 else "<1"
    said = (
        f"K = {cell.problem.num_classes}, d = {cell.problem.dim}, {cell.setting[0]} = {cell.setting[1]:g}: "
        f"{percent:.3g} % of {cell.starts} descents trapped; the best is {'' if cell.certified else 'not '}certified"
    )
    beyond = " contradicts" if cell.contradicts else ""
    return Mark(i, *place, box(WIDTH, HEIGHT), f"cell {kind}{beyond}", said, text)
