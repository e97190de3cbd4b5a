"""The page of an atlas: critical points as level against index, the descents between them, each point more closely."""

import math
from collections.abc import Mapping, Sequence

from ufm import PointVerdict, Spectrum
from ufm.atlas import Atlas, CriticalPoint
from ufm.atlas.symmetry import group_order
from ufm.results.words import counted

from .chart import Chart, Key, Link, Mark, Stroke, Words, arrow, box, disc, line, polygon, swarm, ticks
from .page import Column, Item, Levels, Page
from .scene import scene
from .words import in_words

LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 46  # margins, in pixels
WIDE = 600  # of the columns together, at least
ROOM = 14  # pixels beside the outermost points of a column
SIZES = ((60, 10.0), (200, 7.0), (math.inf, 4.5))  # up to so many points, their radius
UNKNOWN = "?"  # an index
NUMBERED = 9.0  # from this radius on a point has room for its rank
OUTLINES = {
    PointVerdict.GLOBAL_MINIMIZER: lambda r: f"{disc(r)}{disc(1.25 * r)}{disc(1.5 * r)}",
    PointVerdict.STRICT_SADDLE: disc,
    PointVerdict.LOCAL_MINIMIZER: lambda r: polygon((-1.25 * r, -0.85 * r), (1.25 * r, -0.85 * r), (0, 1.3 * r)),
    PointVerdict.DEGENERATE: lambda r: box(1.8 * r, 1.8 * r),
    PointVerdict.NOT_CRITICAL: lambda r: polygon((0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)),
}
COLUMNS = (
    Column("level", "f"),
    Column("index"),
    Column("nullity"),
    Column("rank"),
    Column("classes"),
    Column("copies"),
    Column("least eigenvalue", r"\lambda_{\min}(\nabla^2 f)"),
    Column("verdict"),
    Column("proof", listed=False),
    Column("equal classes", listed=False),
    Column("symmetry", listed=False),
    Column("dimension of the orbit", listed=False),
    Column("manifold", listed=False),
    Column("lower bound", r"D \le f", listed=False),
    Column("duality gap", "f - D", listed=False),
    Column("largest singular value of the slopes", r"\sigma_{\max}(\tilde G)", listed=False),
    Column("its bound at a global minimiser", r"\sqrt{\lambda_W \lambda_H}", listed=False),
    Column("curvature of a direction down", r"\nabla^2 f[v, v] / \lVert v \rVert^2", listed=False),
    Column("relative gradient", r"\lVert \nabla f \rVert", listed=False),
    Column("found by", listed=False),
    Column("note", listed=False),
)


def landscape_page(
    atlas: Atlas,
    spectra: Sequence[Spectrum],
    found: Sequence[str] = (),
    unconnected: str = "",
    made: Mapping[str, str] | None = None,
) -> Page:
    """The page about an atlas.

    spectra      of its points, in their order            found  sentences: what was proved, what contradicts theory
    unconnected  why there are no edges and how to have them; empty where descents were followed
    made         what made it, by name
    """
    problem = atlas.problem
    return Page(
        title=f"Landscape: K = {problem.num_classes}, N = {problem.num_samples}, d = {problem.dim}",
        summary=[_summary(atlas), *found, _evidence(atlas)],
        kind="point",
        chart=_chart(atlas, unconnected),
        columns=COLUMNS,
        items=[_item(atlas, i, levels) for i, levels in enumerate(spectra)],
        asked={name: in_words(value) for name, value in problem.settings().items()},
        made=made or {},
    )


def _summary(atlas: Atlas) -> str:
    verdicts = [p.certificate.verdict for p in atlas.points]
    parts = [_counted(verdicts.count(one), one) for one in OUTLINES if one in verdicts]
    points = counted(len(verdicts), "critical point")
    return f"{points} up to rotations and permutations of the classes: {', '.join(parts)}."


def _counted(count: int, verdict: str) -> str:
    return counted(count, verdict) if verdict.endswith(("minimizer", "saddle")) else f"{count} {verdict}"


def _evidence(atlas: Atlas) -> str:
    failing, undecided = len(atlas.failing), len(atlas.undecided)
    found = [f"{_are(failing)} not" if failing else "", f"{_are(undecided)} undecided" if undecided else ""]
    said = " and ".join(filter(None, found)) or "all are"
    sums = f"{counted(len(atlas.sums), 'Euler sum')}, each 1 if no point is missing: {said}"
    hidden = f" Rounding hides {counted(atlas.hidden, 'end')} of searches." if atlas.hidden else ""
    quiet = min(atlas.quiet.values(), default=0)
    return f"{sums}. At every rank the last {quiet} random starts or more found nothing new.{hidden}"


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def _item(atlas: Atlas, i: int, levels: Spectrum) -> Item:
    p, c, merged = atlas.points[i], atlas.points[i].certificate, levels.merged()
    values = (
        *(p.level, p.index, p.nullity, p.rank, p.shape, p.copies, p.lambda_min, c.verdict),
        "proved in ball arithmetic" if p.proved else None,
        equal_classes(p.partition),
        _symmetry(atlas, p),
        c.orbit_dimension,
        p.manifold or None,
        *(c.lower_bound, c.duality_gap, c.sigma_max, c.ridge, c.curvature, p.grad_norm, p.found_by, c.note or None),
    )
    spectrum = Levels(tuple(merged.values.tolist()), tuple(merged.multiplicities.tolist()), merged.tolerance)
    return Item(f"point {i}", values, (scene(p.point, p.rank),), p.logits, spectrum)


def equal_classes(partition: Sequence[Sequence[int]]) -> str:
    """Which classes are one point, in words; they count from 1."""
    several = [" = ".join(str(k + 1) for k in block) for block in partition if len(block) > 1]
    return "; ".join(several) or "none: all classes differ"


def _symmetry(atlas: Atlas, p: CriticalPoint) -> str:
    order = group_order(atlas.problem.kinds)
    return f"{order // p.copies} of the {order} permutations of like classes keep it"


def _chart(atlas: Atlas, unconnected: str) -> Chart:
    radius = next(size for most, size in SIZES if len(atlas.points) <= most)
    tall = min(900.0, 380.0 + 2 * len(atlas.points))
    heights, scale = _heights(atlas, tall)
    columns, places, width = _columns(atlas, heights, radius)
    edges = sorted({(one.start, one.end) for one in atlas.descents if one.end is not None})
    clear = 1.6 * radius
    return Chart(
        width=width,
        height=TOP + tall + BOTTOM,
        said=_said_of(atlas, len(edges), unconnected),
        marks=[_mark(p, i, places[i], radius) for i, p in enumerate(atlas.points)],
        links=[Link(start, end, arrow(places[start], places[end], clear)) for start, end in edges],
        strokes=[
            *(Stroke("grid", line((LEFT, y), (width - RIGHT, y))) for y, _ in scale),
            Stroke("axis", line((LEFT, TOP), (LEFT, TOP + tall), (width - RIGHT, TOP + tall))),
        ],
        words=[
            *(Words(LEFT - 8, y + 4, name, "end") for y, name in scale),
            *(Words(x, TOP + tall + 17, UNKNOWN if one is None else str(one), "middle") for one, x in columns.items()),
            Words((LEFT + width - RIGHT) / 2, TOP + tall + 37, "index: negative eigenvalues of the Hessian", "middle"),
            Words(15, TOP + tall / 2, "level f, on a logarithmic axis", "upright"),
        ],
        keys=_keys(atlas, bool(edges)),
    )


def _heights(atlas: Atlas, tall: float) -> tuple[list[float], list[tuple[float, str]]]:
    """(the pixel of each point's level, the ticks as pixels and numbers), on a logarithmic axis."""
    levels = [p.level for p in atlas.points]
    margin = max(1.04, (max(levels) / min(levels)) ** 0.05)
    low, high = math.log(min(levels) / margin), math.log(max(levels) * margin)

    def pixel(level: float) -> float:
        return TOP + tall * (high - math.log(level)) / (high - low)

    return [pixel(level) for level in levels], [(pixel(t), f"{t:g}") for t in ticks(math.exp(low), math.exp(high))]


def _columns(
    atlas: Atlas, heights: list[float], radius: float
) -> tuple[dict[int | None, float], list[tuple[float, float]], float]:
    """(where the column of each index stands, each point's place, the width of all): no point is on another."""
    indices = sorted({p.index for p in atlas.points}, key=lambda one: math.inf if one is None else one)
    members = {one: [i for i, p in enumerate(atlas.points) if p.index == one] for one in indices}
    aside = {one: swarm([heights[i] for i in at], 3.1 * radius) for one, at in members.items()}
    wide = {one: 2 * (max(map(abs, xs)) + radius + ROOM) for one, xs in aside.items()}
    more = max(0.0, WIDE - sum(wide.values())) / len(wide)
    columns, x = {}, float(LEFT)
    for one in indices:
        columns[one] = x + (wide[one] + more) / 2
        x += wide[one] + more
    places = [(0.0, y) for y in heights]
    for one, at in members.items():
        for i, dx in zip(at, aside[one], strict=True):
            places[i] = columns[one] + dx, heights[i]
    return columns, places, x + RIGHT


def _mark(p: CriticalPoint, i: int, place: tuple[float, float], radius: float) -> Mark:
    verdict = PointVerdict(p.certificate.verdict)
    index = UNKNOWN if p.index is None else p.index
    said = f"point {i}: {verdict}, level {p.level:.6g}, index {index}, rank {p.rank}, classes {p.shape}"
    text = str(p.rank) if radius >= NUMBERED else ""
    return Mark(i, *place, OUTLINES[verdict](radius), verdict.replace(" ", "-"), said, text)


def _said_of(atlas: Atlas, edges: int, unconnected: str) -> str:
    what = "Every critical point: its level f against its index; points of like level stand side by side."
    rank = " The number in a point is the rank of W." if len(atlas.points) <= SIZES[0][0] else ""
    descents = f" {edges} lines: where the gradient flow leads from a saddle." if not unconnected else f" {unconnected}"
    return f"{what}{rank}{descents}"


def _keys(atlas: Atlas, linked: bool) -> list[Key]:
    there = [p.certificate.verdict for p in atlas.points]
    keys = [Key(one.replace(" ", "-"), draw(7), str(one)) for one, draw in OUTLINES.items() if one in there]
    arrows = [("linked", "a descent"), ("linked down", "from the chosen point"), ("linked up", "to it")]
    return keys + [Key(kind, line((-11, 0), (11, 0)), text) for kind, text in arrows if linked]
