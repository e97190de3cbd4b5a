"""Networks over theory: margin and norms of each last layer, divided by those of the minimiser of its own model.

A run's model is the unconstrained one, and the one whose features are behind a ReLU (H >= 0) where the network's are.
"""

from collections.abc import Mapping, Sequence

from ufm import InputError
from validate import Comparison, OnSpheres, compare_run

from ..drawing.drawing import TWO_COLUMNS, Drawing, house_style, new_figure
from .material import Material

QUANTITIES = {"mean_margin": "mean logit margin", "norm_w": "norm of W", "norm_h": "norm of H"}
MODELS = {"free": ("o", "#4477aa", "H free"), "nonnegative": ("s", "#ee6677", "H >= 0")}
NEAR = 0.1
HEADER = ("run", "model", "quantity", "theory", "network", "implied")
CAPTION = (
    "Mean logit margin and norms of each network's last layer after its last epoch over those of the minimiser of its "
    "own unconstrained feature model, with features that are free and, where the network's come from a ReLU, with "
    "H >= 0 (W as it was in training). Grey: within 10%. What agrees by construction is left out of the figure."
)


def with_comparisons(runs: Sequence[Material]) -> Sequence[Material]:
    """The runs that theory covers, if there are several: of one, `predictions` shows more."""
    covered = [run for run in runs if isinstance(run.comparison, Comparison)]
    return covered if len(covered) > 1 else []


def ratios_figure(runs: Sequence[Material]) -> Drawing:
    """A row a run, a panel a quantity, a mark a model."""
    return ratios_of({run.run.name: {"free": run.comparison, "nonnegative": _behind_relu(run)} for run in runs})


def ratios_of(compared: Mapping[str, Mapping[str, Comparison | OnSpheres | None]]) -> Drawing:
    """The same of comparisons, or None, by the name of the run and the features of the model."""
    table = [row for name, found in compared.items() for row in _rows(name, found)]
    names = list(compared)
    with house_style():
        figure = new_figure(TWO_COLUMNS, 0.9 + 0.16 * len(names))
        for axes, (column, title) in zip(
            figure.subplots(1, len(QUANTITIES), sharey=True), QUANTITIES.items(), strict=True
        ):
            axes.axvspan(1 - NEAR, 1 + NEAR, color="0.9", zorder=0)
            axes.axvline(1.0, color="black", linewidth=0.7, linestyle=":")
            for model, (marker, colour, said) in MODELS.items():
                shown = [row for row in table if row[1:3] == (model, column) and row[3] > 0 and not row[5]]
                ratios = [row[4] / row[3] for row in shown]
                axes.plot(
                    ratios, [names.index(row[0]) for row in shown], marker, color=colour, label=said, markersize=4
                )
            axes.set(title=title, xlabel="network / theory")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(MODELS))
        figure.draw_without_rendering()
    return Drawing(figure, CAPTION, HEADER, table)


def _rows(name: str, compared: Mapping[str, Comparison | OnSpheres | None]) -> list[tuple]:
    found = []
    for model in MODELS:
        comparison = compared.get(model)
        rows = {row.name: row for row in comparison.rows} if isinstance(comparison, Comparison) else {}
        for column in QUANTITIES if rows else ():
            row = rows[column]
            found.append((name, model, column, row.theory, row.network, int(row.implied)))
    return found


def _behind_relu(run: Material) -> Comparison | None:
    """The comparison with H >= 0; None for features that are not."""
    try:
        return compare_run(run.run, "nonnegative")
    except InputError:
        return None
