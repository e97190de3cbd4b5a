"""The landscape at a glance: every critical point, its level against its index, and the descents between them."""

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ufm.atlas import Atlas
from ufm.results.words import counted

from ..drawing.drawing import ONE_COLUMN, TWO_COLUMNS, Drawing, house_style, new_figure
from ..drawing.labels import Label, around

MARKERS = "osD^vP*Xhd<>"
LABELLED = 40  # with more points than this, only the rank says which is which
FEW = 12  # so many points fit a column
HEADER = ("kind", "from", "to", "index", "level", "rank", "copies", "flow lines")


def landscape_figure(atlas: Atlas) -> Drawing:
    """Level (log axis) against index, a marker a rank, an edge for a descent."""
    edges = Counter((line.start, line.end) for line in atlas.descents if line.end is not None)
    places = _places(atlas)
    with house_style():
        figure = new_figure(*((ONE_COLUMN, 2.9) if len(atlas.points) <= FEW else (TWO_COLUMNS, 4.6)))
        axes = figure.subplots()
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axes.margins(x=0.1)
        axes.set_xlabel("index: negative eigenvalues of the Hessian")
        axes.set_ylabel("level f")
        for (start, end), _ in sorted(edges.items()):
            _edge(axes, places[start], places[end])
        _points(axes, atlas, places)
        figure.draw_without_rendering()
        if len(atlas.points) <= LABELLED:
            around(axes, _shapes(atlas, places), places, [(places[start], places[end]) for start, end in edges])
    problem = atlas.problem
    points, lines = counted(len(atlas.points), "critical point"), counted(len(edges), "connection")
    caption = (
        f"The {points} found for K = {problem.num_classes}, N = {problem.num_samples}, "
        f"d = {problem.dim}, up to rotations and permutations of classes, and {lines}: a line goes "
        "from a saddle to a point that the gradient flow reaches from it along a negative direction. Points of one "
        "index are set apart sideways. 3+1+1 stands beside a point with three equal classes, where there is room."
    )
    rows = [("point", i, "", p.index, p.level, p.rank, p.copies, "") for i, p in enumerate(atlas.points)]
    rows += [("descent", start, end, "", "", "", "", lines) for (start, end), lines in sorted(edges.items())]
    return Drawing(figure, caption, HEADER, rows)


def _places(atlas: Atlas) -> list[tuple[float, float]]:
    """(x, level) of each point: points of one index side by side, by level, within 0.6 of an index."""
    places: list[tuple[float, float]] = []
    total, seen = Counter(p.index for p in atlas.points), Counter()
    for p in atlas.points:
        seen[p.index] += 1
        share = (seen[p.index] - (total[p.index] + 1) / 2) / max(total[p.index], 4)
        places.append((p.index + 0.6 * share, p.level))
    return places


def _edge(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": "0.72",
            "linewidth": 0.6,
            "shrinkA": 3,
            "shrinkB": 4,
            "mutation_scale": 6,
        },
    )


def _points(axes: Axes, atlas: Atlas, places: list[tuple[float, float]]) -> None:
    handles = []
    for rank in sorted({p.rank for p in atlas.points}):
        chosen = [i for i, p in enumerate(atlas.points) if p.rank == rank]
        style = {"marker": MARKERS[rank % len(MARKERS)], "color": f"C{rank % 6}", "linestyle": ""}
        axes.plot([places[i][0] for i in chosen], [places[i][1] for i in chosen], **style, markersize=4, zorder=3)
        handles.append(Line2D([], [], **style, label=f"rank {rank} ({len(chosen)})"))
    best = sorted(atlas.minimizers)
    if best:
        ring = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "color": "black", "linestyle": ""}
        axes.plot([places[i][0] for i in best], [places[i][1] for i in best], **ring, zorder=4)
        handles.append(Line2D([], [], **ring, label="global minimiser"))
    axes.figure.legend(
        handles=handles, loc="outside upper left", ncols=2 if len(atlas.points) <= FEW else 5, borderpad=0.1
    )


def _shapes(atlas: Atlas, places: list[tuple[float, float]]) -> list[Label]:
    """The sizes of the groups of equal classes of each point that has some."""
    return [
        (*place, p.shape) for p, place in zip(atlas.points, places, strict=True) if len(p.partition) < len(p.logits)
    ]
