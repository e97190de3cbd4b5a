"""Metrics of every layer against depth: a curve an epoch of one run, or a curve a run."""

from collections.abc import Mapping, Sequence

from ufm.errors import require
from validate import Layer, Layers, Run
from validate.layerwise.layer import LayersOfRun

from ..drawing.drawing import TWO_COLUMNS, Drawing, house_style
from ..drawing.panels import COLOURS, FIXED, Curve, Layout, Panel, panels_figure
from .settings import label

NAME = "layers"
NEEDS = "a run whose layers were measured (RUN/layers.json)"
PANELS = (
    Panel("separation_fuzziness", "separation fuzziness D", theory=False),
    Panel("cdnv", "CDNV", theory=False),
    Panel("center_error", "nearest-centre error", "error", theory=False),
    Panel("nc2_means", "NC2 means to simplex", theory=False),
    Panel("nc1", "NC1 within-class", theory=False),
    Panel("stable_rank", "stable rank of means", "linear", theory=False),
    Panel("cka", "CKA, layer before", "linear", theory=False),
    Panel("largest_angle", "largest angle, before", "linear", theory=False),
)
WHAT = (
    "Every layer's features against depth: the separation fuzziness D (dashed: the law of data separation, a line "
    "through log D), the class-distance normalised variance, the fraction of samples that are nearer to the mean of "
    "another class, the class means against the simplex frame, NC1, the stable rank of the class means, and "
    "the centred kernel alignment and the largest principal angle (radians) with the layer before."
)


def layers_figure(
    layers: Mapping[str, Layers], title: str = "", facts: Sequence[Mapping[str, str]] = (), said: str = ""
) -> Drawing:
    """A curve for each label ("epoch 5", the name of a run) of what `validate.layers` found, a panel a metric.

    title   what the labels are values of
    facts   for each curve, what else the table says of it
    said    what else the caption says
    Raises InputError without any label, and where `layers` is something else.
    """
    require(
        isinstance(layers, Mapping) and all(isinstance(found, Layers) for found in layers.values()),
        'layers must be a mapping of labels to what validate.layers found, such as {"last epoch": layers}, got '
        f"{type(layers).__name__}{_kinds(layers)}",
    )
    require(bool(layers), "there are no layers to draw; measure those of one model at least")
    given = facts or [{title or "curve": text} for text in layers]
    curves = [_curve(text, found, fact) for (text, found), fact in zip(layers.items(), given, strict=True)]
    layout = Layout(columns=4, width=TWO_COLUMNS, title=title, x="layer")
    drawing = panels_figure(curves, PANELS, layout, f"{WHAT}{_named(layers)}{_laws(layers)}{said}")
    with house_style():
        for i, found in enumerate(layers.values()):
            fit = [found.law.start * found.law.rate**depth for depth in range(len(found))]
            drawing.figure.axes[0].plot(range(len(found)), fit, color=f"C{i % COLOURS}", zorder=1.5, **FIXED)
    return drawing


def _kinds(layers: object) -> str:
    """What a mapping leads to, in words."""
    found = sorted({type(value).__name__ for value in layers.values()}) if isinstance(layers, Mapping) else []
    return f" of {', '.join(found)}" if found else ""


def drawings_of_layers(runs: Sequence[Run]) -> dict[str, Drawing]:
    """The figure of the runs whose layers were measured, after their last epoch measured; of one run after every one.

    Empty where there is none. Raises InputError where a file is damaged.
    """
    measured = [run for run in runs if run.layers.is_file()]
    if not measured:
        return {}
    found = [LayersOfRun.load(run.layers).epochs for run in measured]
    if len(runs) == 1:
        by_epoch = {str(one.epoch): one.layers for one in found[0]}
        facts = [{"run": runs[0].name, "epoch": text} for text in by_epoch]
        return {NAME: layers_figure(by_epoch, "epoch", facts, " On the training set.")}
    labels = label(measured)
    by_run = {text: epochs[-1].layers for text, epochs in zip(labels.texts, found, strict=True)}
    facts = [fact | {"epoch": str(epochs[-1].epoch)} for fact, epochs in zip(labels.facts, found, strict=True)]
    return {NAME: layers_figure(by_run, labels.title, facts, f" On the training set.{labels.sentence}")}


def _curve(text: str, layers: Layers, fact: Mapping[str, str]) -> Curve:
    rows = [_row(depth, layer) for depth, layer in enumerate(layers)]
    law = [layers.law.start * layers.law.rate**depth for depth in range(len(layers))]
    named = [
        {"run": text} | dict(fact) | {"module": layer.name, "law": f"{fit:.6g}"}
        for layer, fit in zip(layers, law, strict=True)
    ]
    return Curve(text, rows, named)


def _row(depth: int, layer: Layer) -> dict[str, float]:
    known = {panel.column: float(getattr(layer, panel.column)) for panel in PANELS if hasattr(layer, panel.column)}
    return known | {"layer": depth, "center_error": 1 - layer.nearest_center_accuracy}


def _named(layers: Mapping[str, Layers]) -> str:
    """The layers by number, where all curves have the same."""
    names = {tuple(layer.name for layer in found) for found in layers.values()}
    if len(names) > 1:
        return " The layers' names stand in the table beside."
    return f" Layers: {', '.join(f'{depth} {name}' for depth, name in enumerate(names.pop()))}."


def _laws(layers: Mapping[str, Layers]) -> str:
    fits = [
        f"{text}: {found.law.rate:.3g} (R^2 {found.law.r_squared:.3g})"
        for text, found in layers.items()
        if found.law.layers > 1
    ]
    return f" Each layer multiplies D by {'; '.join(fits)}." if fits else ""
