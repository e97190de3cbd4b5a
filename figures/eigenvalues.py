"""The spectrum of a Hessian as a histogram: a stem for each distinct eigenvalue, as high as its multiplicity."""

import math

from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter

from ufm import Spectrum

from .drawing import Drawing, house_style, new_figure

LABELLED = 24  # at most so many stems carry their multiplicity as text


def spectrum_figure(spectrum: Spectrum, where: str) -> Drawing:
    """Eigenvalues on a log axis against multiplicities on a log axis; zeros, and negative ones, apart.

    spectrum is shown merged (equal values of different blocks are one stem); `where` completes the
    caption's "The exact spectrum of the Hessian at ...".
    """
    merged = spectrum.merged()
    values, counts = merged.values.tolist(), merged.multiplicities.tolist()
    sides = {
        "negative": [(-v, m) for v, m in zip(values, counts, strict=True) if v < -merged.tolerance],
        "zero": [(0.0, m) for v, m in zip(values, counts, strict=True) if abs(v) <= merged.tolerance],
        "positive": [(v, m) for v, m in zip(values, counts, strict=True) if v > merged.tolerance],
    }
    shown = {name: stems for name, stems in sides.items() if stems}
    widths = [0.6 if name == "zero" else 1 + len(stems) ** 0.5 for name, stems in shown.items()]
    with house_style():
        figure = new_figure(7.6, 3.4)
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axes, (name, stems) in zip(panels, shown.items(), strict=True):
            _stems(axes, name, stems, top=max(counts))
        panels[0].set_ylabel("multiplicity")
        figure.draw_without_rendering()
    caption = (
        f"The exact spectrum of the Hessian at {where}: {merged.size:,} eigenvalues, {len(values)} distinct, "
        f"{merged.index:,} negative, {merged.nullity:,} zero; condition number {merged.condition:.4g} on the rest."
    )
    return Drawing(figure, caption, ["eigenvalue", "multiplicity"], list(zip(values, counts, strict=True)))


def _stems(axes, name: str, stems: list[tuple[float, int]], top: int) -> None:
    colour = {"negative": "C1", "zero": "C6", "positive": "C0"}[name]
    places, heights = [v for v, _ in stems], [m for _, m in stems]
    axes.set_yscale("log")
    axes.set_ylim(0.7, 3 * max(2, top))
    axes.vlines(places, 0.7, heights, color=colour, linewidth=1.6)
    axes.plot(places, heights, "o", color=colour, markersize=4)
    if name == "zero":
        axes.set_xticks([0.0], ["0"])
        axes.set_xlim(-1, 1)
        axes.set_xlabel("zero")
    else:
        axes.set_xscale("log")
        axes.set_xlabel({"negative": "-eigenvalue (negative ones)", "positive": "eigenvalue"}[name])
        if len(stems) == 1:
            axes.set_xlim(places[0] / 3, places[0] * 3)
        if max(places) < 30 * min(places):
            axes.xaxis.set_minor_formatter(NullFormatter())
        if name == "negative":
            axes.invert_xaxis()
    if len(stems) <= LABELLED:
        outline = [withStroke(linewidth=2, foreground="white")]
        for place, height, text in _labels(stems, span=math.log(max(places) / min(places)) if name != "zero" else 1):
            axes.annotate(
                text,
                (place, height),
                xytext=(0, 4),
                textcoords="offset points",
                fontsize=7,
                ha="center",
                path_effects=outline,
            )


def _labels(stems: list[tuple[float, int]], span: float) -> list[tuple[float, float, str]]:
    """(place, height, text) of the labels: stems too close to be told apart share one, "35 + 36"."""
    groups: list[list[tuple[float, int]]] = []
    for place, height in sorted(stems):
        last = groups[-1][-1] if groups else None
        if last and math.log(place / last[0]) < 0.02 * span and abs(math.log(height / last[1])) < 0.6:
            groups[-1].append((place, height))
        else:
            groups.append([(place, height)])
    return [(group[0][0], max(m for _, m in group), " + ".join(f"{m:,}" for _, m in group)) for group in groups]
