"""Several runs compared: one table of figures, each drawn when the runs have something to show in it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ufm.errors import require
from validate import Run

from ..drawing.drawing import ONE_COLUMN, TWO_COLUMNS, Drawing
from ..drawing.panels import Curve, Layout, Panel, panels_figure
from .layers import NAME as LAYERS
from .layers import NEEDS as LAYERS_NEED
from .layers import drawings_of_layers
from .material import Material
from .minority import minority_figure, with_minorities
from .ratios import ratios_figure, with_comparisons
from .said import theory_said
from .settings import INCIDENTAL, Labels, differing, label, settings

METRICS = (
    Panel("nc1", "NC1 within-class", name="NC1"),
    Panel("nc2", "NC2 W to simplex", name="NC2"),
    Panel("nc3", "NC3 W to means", name="NC3"),
    Panel("nc4", "NC4 bias", name="NC4"),
)
ERRORS = (
    Panel("error", "train error", "error", theory=False),
    Panel("test_error", "test error", "error", theory=False),
)
PREDICTIONS = (
    Panel("mean_margin", "mean logit margin", "linear"),
    Panel("norm_w", "norm of W", "linear"),
    Panel("loss", "train cross-entropy (nats)"),
    Panel("norm_ratio", "norm ratio W : H"),
)
BOUNDS = (
    Panel("objective", "objective f"),
    Panel("lower_bound", "lower bound D on f", "linear"),
    Panel("gap", "gap f - D", theory=False),
)
HELD_OUT = (
    Panel("nc1", "NC1 within-class", theory=False, test="test_nc1"),
    Panel("nc1_quotient", "trace ratio", theory=False, test="test_nc1_quotient"),
    Panel("cdnv", "CDNV", theory=False, test="test_cdnv"),
    Panel("center_error", "nearest-centre error", "error", theory=False, test="test_center_error"),
)
STEPS = (
    *("lr", "momentum", "history_size", "max_iter", "batch_size", "epochs", "weight_decay"),
    *("schedule", "patience", "gamma", "milestones", "amp"),
)

Track = Callable[[Iterable[str]], Iterable[str]]
Selection = Callable[[Sequence[Material]], Sequence[Material]]


@dataclass(frozen=True)
class Comparison:
    """One figure: its panels, the runs it takes, and what runs must have to be in it.

    about   settings that its legend names wherever they differ
    x       "epoch", a curve a run; or a setting, a point a run after its last epoch and a curve a family
    draw    draws the runs where these panels do not
    """

    panels: tuple[Panel, ...]
    takes: Selection
    caption: str
    needs: str = "a run"
    about: tuple[str, ...] = ()
    x: str = "epoch"
    draw: Callable[[Sequence[Material]], Drawing] | None = None


def everything(runs: Sequence[Material]) -> Sequence[Material]:
    """All runs."""
    return runs


def with_points(runs: Sequence[Material]) -> Sequence[Material]:
    """The runs that have a point of some epochs and are covered by theory."""
    return [run for run in runs if run.bounds]


def with_held_out(runs: Sequence[Material]) -> Sequence[Material]:
    """The runs that measured their test set about the centres of the training set."""
    columns = {column for panel in HELD_OUT for column in panel.columns}
    return [run for run in runs if columns <= set(run.epochs[-1])]


def apart_only_in(*names: str, along: Sequence[str] = ()) -> Selection:
    """The runs that have a partner from which they differ in one of these settings, and else only in those `along`."""
    free = {*names, *along, *INCIDENTAL}

    def takes(runs: Sequence[Material]) -> Sequence[Material]:
        asked = [settings(run.run) for run in runs]
        apart = [[set(differing([one, other])) for other in asked] for one in asked]
        partners = [any(found & set(names) and found <= free for found in row) for row in apart]
        return [run for run, has_one in zip(runs, partners, strict=True) if has_one]

    return takes


def random_labels_by_width(runs: Sequence[Material]) -> Sequence[Material]:
    """The runs with random labels and a width given, if widths differ."""
    asked = [(run, settings(run.run)) for run in runs]
    chosen = [(run, one["width"]) for run, one in asked if one.get("random_labels") == "yes" and _given(one, "width")]
    return [run for run, _ in chosen] if len({width for _, width in chosen}) > 1 else []


def _given(asked: dict[str, str], name: str) -> bool:
    return asked.get(name, "").isdigit()


COMPARISONS: dict[str, Comparison] = {
    "collapse": Comparison(
        METRICS,
        everything,
        "The four neural-collapse metrics of the training set after each epoch; lower is closer to collapse. NC1: "
        "variability within classes. NC2: W against the simplex frame. NC3: W against the class means. NC4: the bias, "
        "|b + W h_G|.",
    ),
    "accuracy": Comparison(
        ERRORS,
        everything,
        "The fraction of images classified wrong (1 - accuracy) after each epoch, on a logarithmic scale that goes on "
        "to 0 where some run has no error left.",
    ),
    "predictions": Comparison(
        PREDICTIONS,
        everything,
        "Mean logit margin (own logit less the mean of the others), the norm of W, mean training cross-entropy, and "
        "the ratio of the norm of W to |H - h_G|_F / sqrt N after each epoch.",
    ),
    "bounds": Comparison(
        BOUNDS,
        with_points,
        "The objective of each run's unconstrained feature model at its last layer and class means after each epoch, "
        "the lower bound on it that they give by convex duality, and the gap between the two (class means at the norm "
        "of the features, where these have one).",
        needs="a run with the points of its epochs (RUN/points), trained on what the theory is about",
    ),
    "held-out": Comparison(
        HELD_OUT,
        with_held_out,
        "Training set and test set (dotted) after each epoch, both about the class means of the training set: NC1; "
        "tr Sigma_W/tr Sigma_B; the class-distance normalised variance, over pairs of classes; and the fraction of "
        "samples that are nearer to the mean of another class.",
        "a run that measured its test set so (runs of earlier versions did not)",
    ),
    "optimizers": Comparison(
        METRICS,
        apart_only_in("optimizer", along=STEPS),
        "The four neural-collapse metrics after each epoch, of runs that differ in their optimisation alone.",
        "runs that differ in the optimiser and its steps alone",
        about=("optimizer",),
    ),
    "heads": Comparison(
        (METRICS[0], METRICS[2], *ERRORS),
        apart_only_in("head", "frame", "feature_dim"),
        "Last layers: learned (linear) or a fixed simplex frame (etf) and its position, and the feature dimension. "
        "NC1, NC3 and the errors after each epoch, of runs that differ in these alone.",
        "runs that differ in head, frame or feature_dim alone",
        about=("head", "frame", "feature_dim"),
    ),
    "decays": Comparison(
        (*METRICS[:3], ERRORS[1]),
        apart_only_in("weight_decay", "feature_decay"),
        "Formulations of weight decay: on every parameter, or (where feature_decay is above 0) on the last layer and "
        "the features. NC1 to NC3 and the test error after each epoch, of runs that differ in these alone.",
        "runs that differ in weight_decay or feature_decay alone",
        about=("weight_decay", "feature_decay"),
    ),
    "width": Comparison(
        (*METRICS[:3], ERRORS[0]),
        random_labels_by_width,
        "Random labels: NC1 to NC3 and the train error after the last epoch, against the width of the network.",
        "runs with random labels whose widths were given and differ",
        about=("model",),
        x="width",
    ),
    "ratios": Comparison(
        (),
        with_comparisons,
        "",
        "runs (two or more) that theory covers, with their last points",
        draw=ratios_figure,
    ),
    "minority": Comparison(
        (),
        with_minorities,
        "",
        "runs on two imbalances or more that theory covers, with equal small classes and a known threshold",
        draw=minority_figure,
    ),
}

NEEDS = {name: entry.needs for name, entry in COMPARISONS.items()} | {LAYERS: LAYERS_NEED}  # of every figure


def comparison_figures(runs: Sequence[Run], only: Sequence[str] = (), track: Track = iter) -> dict[str, Drawing]:
    """The figures of COMPARISONS, and that of layers, that these runs (one or more) have something to show in, by name.

    only    the names of those wanted; all by default, where one with the panels and runs of an earlier one is left out
    track   wraps the names, to show progress
    Raises InputError for an unknown name, and for a run that has no epochs or lacks a column.
    """
    unknown = [name for name in only if name not in NEEDS]
    require(not unknown, f"there is no figure {', '.join(unknown)}; choose among: {', '.join(NEEDS)}")
    return figures_of([Material(run) for run in runs], only, track)


def figures_of(runs: Sequence[Material], only: Sequence[str] = (), track: Track = iter) -> dict[str, Drawing]:
    """The same from what was read of the runs already, without a look at the names."""
    drawn, seen = {}, set()
    for name in track([name for name in COMPARISONS if name in only or not only]):
        entry = COMPARISONS[name]
        chosen = entry.takes(runs)
        what = (entry.panels, tuple(id(run) for run in chosen))
        if chosen and what not in seen:
            drawn[name] = _drawn(entry, chosen)
            seen.add(what)
    return drawn | (drawings_of_layers([run.run for run in runs]) if LAYERS in only or not only else {})


def compare_runs(runs: Sequence[Run], folder: Path | str, only: Sequence[str] = (), track: Track = iter) -> list[Path]:
    """Write every figure that compares these runs to `folder` as SVG, PDF, PNG and CSV; returns the paths."""
    figures = comparison_figures(runs, only, track)
    return [path for name, drawing in figures.items() for path in drawing.save(folder, name)]


def _drawn(entry: Comparison, chosen: Sequence[Material]) -> Drawing:
    if entry.draw:
        return entry.draw(chosen)
    by_epoch = entry.x == "epoch"
    labels = label([run.run for run in chosen], entry.about, axis=() if by_epoch else (entry.x, "seed"))
    curves = _by_epoch(chosen, labels) if by_epoch else _families(entry.x, chosen, labels)
    alone = by_epoch and len(chosen) == 1
    columns = 2 if alone and len(entry.panels) == 4 else len(entry.panels)
    layout = Layout(
        columns=columns,
        width=ONE_COLUMN if columns <= 2 else TWO_COLUMNS,
        title="" if alone else labels.title,
        x=entry.x,
        x_scale="linear" if by_epoch else "log",
    )
    return panels_figure(curves, entry.panels, layout, _caption(entry, chosen, labels))


def _caption(entry: Comparison, chosen: Sequence[Material], labels: Labels) -> str:
    theory = theory_said(entry.panels, chosen) if entry.x == "epoch" else ""
    return entry.caption + theory + labels.sentence


def _by_epoch(chosen: Sequence[Material], labels: Labels) -> list[Curve]:
    """A curve a run, with its bounds in the rows of the epochs that have a point."""
    curves = []
    for run, text, fact in zip(chosen, labels.texts, labels.facts, strict=True):
        bounds = {step["epoch"]: step for step in run.bounds}
        rows = [bounds.get(int(row["epoch"]), {}) | row for row in run.epochs]
        curves.append(Curve(text, rows, [fact] * len(rows), run.theory, run.implied))
    return curves


def _families(x: str, chosen: Sequence[Material], labels: Labels) -> list[Curve]:
    """A curve a family, the runs of one label: what they have after their last epoch against the setting x."""
    found = defaultdict(list)
    for run, text, fact in zip(chosen, labels.texts, labels.facts, strict=True):
        found[text].append((run.epochs[-1] | {x: float(fact[x])}, fact))
    families = {text: sorted(rows, key=lambda pair: pair[0][x]) for text, rows in found.items()}
    return [Curve(text, *map(list, zip(*pairs, strict=True))) for text, pairs in families.items()]
