"""Spectra of Hessians: a stem for each distinct eigenvalue, as high as its multiplicity; several spectra in rows."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from ufm import Spectrum
from ufm.atlas import Atlas

from ..drawing.drawing import TWO_COLUMNS, Drawing, house_style, new_figure
from ..drawing.labels import UPWARDS, around, in_a_row

LABELLED = 24  # at most so many stems carry their multiplicity as text
ROWS = 12  # at most so many critical points have their spectrum drawn
ROOM = 0.15  # above the highest stem, at least: of the (logarithmic) height of the axis
LOOKS = {
    "negative": {"color": "C1", "marker": "v"},
    "zero": {"color": "0.45", "marker": "s"},
    "positive": {"color": "C0", "marker": "o"},
}
Stems = list[tuple[float, int]]


def spectrum_figure(spectrum: Spectrum, where: str) -> Drawing:
    """Eigenvalues on a log axis against multiplicities on a log axis; zeros, and negative ones, apart.

    spectrum is shown merged (equal values of different blocks are one stem); `where` completes the
    caption's "The exact spectrum of the Hessian at ...".
    """
    merged = spectrum.merged()
    values, counts = merged.values.tolist(), merged.multiplicities.tolist()
    shown = {name: stems for name, stems in _sides(merged).items() if stems}
    widths = [0.6 if name == "zero" else 1 + len(stems) ** 0.5 for name, stems in shown.items()]
    with house_style():
        figure = new_figure(TWO_COLUMNS, 2.1)
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axes, (name, stems) in zip(panels, shown.items(), strict=True):
            _axis(axes, name, [place for place, _ in stems])
            _stems(axes, name, stems, top=max(counts))
        panels[0].set_ylabel("multiplicity")
        figure.draw_without_rendering()
        for axes, stems in zip(panels, shown.values(), strict=True):
            _label(axes, stems)
    caption = (
        f"The exact spectrum of the Hessian at {where}: {merged.size:,} eigenvalues, {len(values)} distinct, "
        f"{merged.index:,} negative, {merged.nullity:,} zero; condition number {merged.condition:.4g} on the rest."
    )
    return Drawing(figure, caption, ["eigenvalue", "multiplicity"], list(zip(values, counts, strict=True)))


def spectra_figure(atlas: Atlas, spectra: Sequence[Spectrum]) -> Drawing:
    """A row a critical point, lowest level below: its eigenvalues with their multiplicities, negative ones apart.

    spectra   of the atlas's points, in their order. Of more than ROWS points the lowest are drawn; the table has all.
    """
    merged = [spectrum.merged() for spectrum in spectra]
    shown = [_sides(spectrum) for spectrum in merged[:ROWS]]
    names = [name for name in LOOKS if any(sides[name] for sides in shown)]
    widths = [0.5 if name == "zero" else 3 if name == "positive" else 2 for name in names]
    with house_style():
        figure = new_figure(TWO_COLUMNS, 0.8 + 0.42 * len(shown))
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axes, name in zip(panels, names, strict=True):
            _axis(axes, name, [place for sides in shown for place, _ in sides[name]])
            for y, sides in enumerate(shown):
                _row(axes, name, sides[name], y)
            axes.grid(True, axis="y")
        panels[0].set_ylim(-0.4, len(shown) - 0.1)
        panels[0].set_yticks(range(len(shown)), [_titled(atlas, i) for i in range(len(shown))])
        figure.draw_without_rendering()
        for axes, name in zip(panels, names, strict=True):
            for y, sides in enumerate(shown):
                in_a_row(axes, [(place, y, f"{count:,}") for place, count in sides[name] if count > 1])
    rows = [
        (i, atlas.points[i].level, atlas.points[i].rank, value, multiplicity)
        for i, spectrum in enumerate(merged)
        for value, multiplicity in zip(spectrum.values.tolist(), spectrum.multiplicities.tolist(), strict=True)
    ]
    return Drawing(figure, _caption(atlas, len(shown)), ["point", "level", "rank", "eigenvalue", "multiplicity"], rows)


def _caption(atlas: Atlas, rows: int) -> str:
    problem, more = atlas.problem, len(atlas.points) - rows
    return (
        f"The exact spectra of the Hessian at the critical points of K = {problem.num_classes}, N = "
        f"{problem.num_samples}, d = {problem.dim}, by level f: every distinct eigenvalue, with its multiplicity above "
        "it where that is more than 1 (and a row has room for all); markers are larger where it is. "
        "Triangles, on the left, are negative."
        + (f" The {more} highest of the {len(atlas.points)} points are in the table alone." if more else "")
    )


def _titled(atlas: Atlas, i: int) -> str:
    point = atlas.points[i]
    kind = "minimiser" if i in atlas.minimizers else f"index {point.index}"
    return f"f = {point.level:.4g}\n{kind}"


def _sides(spectrum: Spectrum) -> dict[str, Stems]:
    """The distinct eigenvalues of a merged spectrum as (absolute value, multiplicity), by sign."""
    pairs = list(zip(spectrum.values.tolist(), spectrum.multiplicities.tolist(), strict=True))
    return {
        "negative": [(-v, m) for v, m in pairs if v < -spectrum.tolerance],
        "zero": [(0.0, m) for v, m in pairs if abs(v) <= spectrum.tolerance],
        "positive": [(v, m) for v, m in pairs if v > spectrum.tolerance],
    }


def _axis(axes: Axes, name: str, places: Sequence[float]) -> None:
    """The horizontal axis of one sign: logarithmic, larger absolute values outwards."""
    if name == "zero":
        axes.set_xticks([0.0], ["0"])
        axes.set_xlim(-1, 1)
        axes.set_xlabel("zero")
        return
    low, high = min(places), max(places)
    margin = max(3.0 if low == high else 1.0, (high / low) ** 0.06, 1.1)
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.set_xlabel({"negative": "negative: -eigenvalue", "positive": "eigenvalue"}[name])
    digits = (1, 2, 5) if high < 30 * low else (1,)
    ticks = [digit * 10.0**power for power in range(-18, 9) for digit in digits]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low / margin <= tick <= high * margin]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if name == "negative":
        axes.invert_xaxis()


def _stems(axes: Axes, name: str, stems: Stems, top: int) -> None:
    places, heights = [v for v, _ in stems], [m for _, m in stems]
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(4 * max(2, top), top * (top / 0.7) ** ROOM))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.vlines(places, 0.7, heights, color=LOOKS[name]["color"], linewidth=1.2)
    axes.plot(places, heights, linestyle="", **LOOKS[name])


def _row(axes: Axes, name: str, stems: Stems, y: int) -> None:
    """Markers whose area grows with the multiplicity."""
    look = {"color": LOOKS[name]["color"], "marker": LOOKS[name]["marker"], "linewidths": 0, "alpha": 0.85, "zorder": 3}
    axes.scatter([v for v, _ in stems], [y] * len(stems), [9 * m**0.6 + 3 for _, m in stems], **look)


def _label(axes: Axes, stems: Stems) -> None:
    """The multiplicities beside the heads of the stems, clear of the others."""
    if len(stems) <= LABELLED:
        labels = [(place, height, f"{height:,}") for place, height in sorted(stems, key=lambda stem: -stem[1])]
        around(axes, labels, stems, [((place, 0.7), (place, height)) for place, height in stems], UPWARDS)
