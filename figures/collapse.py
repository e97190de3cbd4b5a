"""How a run collapsed, epoch by epoch, beside what the unconstrained feature model predicts."""

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ufm import InputError
from validate import Comparison

from .drawing import Drawing, house_style, new_figure


@dataclass(frozen=True)
class Panel:
    """One curve against epoch: a column of epochs.csv, a title, and the scale of its axis."""

    column: str
    title: str
    scale: str = "log"


METRICS = (
    Panel("nc1", "NC1  within-class variability"),
    Panel("nc2", "NC2  classifier to simplex ETF"),
    Panel("nc3", "NC3  classifier to class means"),
    Panel("nc4", "NC4  bias, |b + W h_G|"),
)
PREDICTIONS = (
    Panel("loss", "mean training loss (cross-entropy)"),
    Panel("mean_margin", "mean logit margin", "linear"),
    Panel("norm_w", "|W|_F", "linear"),
    Panel("norm_h", "|H - h_G|_F / sqrt(N)", "linear"),
)


def metrics_figure(epochs: list[dict[str, float]], comparison: Comparison | None) -> Drawing:
    """NC1 to NC4 against epoch on log axes, with the theory's values where an axis reaches them."""
    caption = "The four neural-collapse metrics of the training set after each epoch, on log axes. " + (
        "Dashed: the minimiser of the unconstrained feature model; a value below the axis is in the legend."
        if comparison
        else "Lower is closer to collapse."
    )
    return _panels(epochs, METRICS, comparison, caption)


def predictions_figure(epochs: list[dict[str, float]], comparison: Comparison | None) -> Drawing:
    """Loss (log axis), margin and norms against epoch, with the theory's values as lines."""
    caption = "Loss, margin and norms of the training set after each epoch. " + (
        "Dashed: the global minimiser of the unconstrained feature model whose feature decay is the one that "
        "balance implies at the last recorded point."
        if comparison
        else "No point is recorded yet, so no prediction is drawn."
    )
    return _panels(epochs, PREDICTIONS, comparison, caption)


def _panels(epochs, panels: tuple[Panel, ...], comparison: Comparison | None, caption: str) -> Drawing:
    """2 x 2 panels against epoch, with the theory's values where there is a comparison."""
    theory = {row.name: row.theory for row in comparison.rows} if comparison else {}
    missing = [name for name in ("epoch", *(panel.column for panel in panels)) if name not in epochs[0]]
    if missing:
        raise InputError(f"epochs.csv has no column {missing[0]!r}; train again with --force")
    steps = [row["epoch"] for row in epochs]
    with house_style():
        figure = new_figure(7.6, 5.0)
        for axes, panel in zip(figure.subplots(2, 2, sharex=True).flat, panels, strict=True):
            _curve(axes, panel, steps, [row[panel.column] for row in epochs], theory.get(panel.column))
        figure.supxlabel("epoch", fontsize=9)
        figure.draw_without_rendering()
    header = ["epoch", *(panel.column for panel in panels)]
    return Drawing(figure, caption, header, [[row[name] for name in header] for row in epochs])


def _curve(axes: Axes, panel: Panel, steps: list[float], values: list[float], theory: float | None) -> None:
    axes.plot(steps, values, label=f"network {values[-1]:.4g}", marker="o" if len(steps) == 1 else "")
    axes.set_yscale(panel.scale)
    theory = None if theory is None or not math.isfinite(theory) else theory
    if theory is not None and panel.scale == "log" and theory < 1e-3 * min(values):
        axes.plot([], [], color="C1", linestyle="--", label=f"theory {theory:.0e}, below the axis")
    elif theory is not None:
        axes.axhline(theory, color="C1", linestyle="--", label=f"theory {theory:.4g}")
    if panel.scale == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < 30 * min(values) else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(panel.title)
    axes.legend()
