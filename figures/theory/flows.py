"""Where decays vanish: SELI beside minimisers of ever smaller decay, the flow without decay, the central path."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ufm.errors import InputError
from ufm.flows import Approach, Moment, Station, rate, singular_value
from ufm.models import Ridgeless

from ..drawing.drawing import TWO_COLUMNS, Drawing, house_style, new_figure
from ..drawing.scales import log_ticks

HEIGHT = 2.35
THEORY = {"color": "black", "linestyle": "--", "linewidth": 0.9, "zorder": 3}
MARKERS, COLOURS = "os^Dv<>", 7
MOST = 4  # pairs of class counts in one panel
SPAN = 0.05  # of an axis of cosines, at least
EXACT = 1e-9  # a tangent below this is rounding


def approach_figure(model: Ridgeless, found: Sequence[Approach]) -> Drawing:
    """Cosines of features and of classifiers by pairs of class counts, and the logits' angle to SELI, against lambda.

    Dashed: SELI, and the angle by the logarithmic rate of theory. Raises InputError without any decay.
    """
    if not found:
        raise InputError("there is no decay to draw; name one at least")
    found = sorted(found, key=lambda one: -one.decay)
    decays, pairs = [one.decay for one in found], _pairs(model)
    with house_style():
        figure = new_figure(TWO_COLUMNS, HEIGHT)
        left, middle, right = figure.subplots(1, 3)
        for axes, part, title in ((left, "H", "cosine of features"), (middle, "W", "cosine of classifiers")):
            axes.set_title(title)
            form = _cosines(getattr(model.closed_form(), part))
            for i, (label, (j, k)) in enumerate(pairs.items()):
                values = [float(_cosines(getattr(one.point, part))[j, k]) for one in found]
                axes.plot(decays, values, label=label, **_look(i, len(found)))
                axes.axhline(float(form[j, k]), **THEORY | {"color": f"C{i}"})
            low, high = axes.get_ylim()
            axes.set_ylim(min(low, (low + high - SPAN) / 2), max(high, (low + high + SPAN) / 2))
        _angle(right, model, found)
        for axes in (left, middle, right):
            axes.set(xscale="log", xlabel="lambda")
            axes.set_xlim(max(decays) * 2, min(decays) / 2)
        keys, labels = left.get_legend_handles_labels()
        figure.legend(
            [*keys, Line2D([], [], **THEORY)],
            [*labels, "lambda -> 0, in closed form"],
            loc="outside upper left",
            ncols=MOST + 1,
            title="n_k of the two classes",
            alignment="left",
        )
        figure.draw_without_rendering()
    header = ("lambda", "1 - cos", "level", "tangent", *(f"{part} {label}" for part in "HW" for label in pairs))
    return Drawing(figure, _approached(model, found), header, [_approach_row(one, pairs) for one in found])


def _pairs(model: Ridgeless) -> dict[str, tuple[int, int]]:
    """Two classes for each two class counts that there are, largest first; of many, some from all over the list."""
    n = model.class_counts
    order = sorted(range(len(n)), key=lambda k: -n[k])
    found: dict[str, tuple[int, int]] = {}
    for j, k in combinations(order, 2):
        found.setdefault(f"{n[j]}, {n[k]}", (j, k))
    listed, count = list(found.items()), min(MOST, len(found))
    return dict(listed[i] for i in np.linspace(0, len(listed) - 1, count).round().astype(int))


def _cosines(rows: torch.Tensor) -> torch.Tensor:
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
    return unit @ unit.T


def _angle(axes: Axes, model: Ridgeless, found: Sequence[Approach]) -> None:
    axes.set_title("1 - cos of the logits' angle")
    if max(one.tangent for one in found) < EXACT:
        axes.set_yticks([0.0])
        axes.set_ylim(-0.05, 1)
        axes.plot([one.decay for one in found], [0.0] * len(found), **_look(0, len(found)))
        axes.text(0.5, 0.5, "0 at every lambda", transform=axes.transAxes, ha="center", va="center")
        return
    axes.set_yscale("log")
    log_ticks(axes, [one.distance for one in found])
    axes.plot([one.decay for one in found], [one.distance for one in found], **_look(0, len(found)))
    drawn = [one for one in found if one.level > 1]
    tangents = np.array([rate(model) / one.level for one in drawn])
    axes.plot([one.decay for one in drawn], 1 - 1 / np.sqrt(1 + tangents**2), **THEORY)


def _approach_row(one: Approach, pairs: dict[str, tuple[int, int]]) -> list[float]:
    cosines = [float(_cosines(rows)[j, k]) for rows in (one.point.H, one.point.W) for j, k in pairs.values()]
    return [one.decay, one.distance, one.level, one.tangent, *cosines]


def _approached(model: Ridgeless, found: Sequence[Approach]) -> str:
    return (
        f"The minimisers of cross-entropy with decays lambda (n_k = {_listed(model)}, d = {model.dim}, no bias, "
        f"lambda_w/lambda_h = {model.ratio:g}) as lambda goes to 0, to {found[-1].decay:g}. Dashed: the largest margin "
        "in closed form (SELI) to which they turn, and on the right the angle by the logarithmic rate of theory, "
        f"{rate(model):.4g} over the margin."
    )


def margin_figure(model: Ridgeless, flow: Sequence[Moment]) -> Drawing:
    """KKT residual, 1 - cos to SELI and spread within classes, and |x|^2 over 2 log(1/f), against log(1 + t).

    Dashed: the slope -1/2, the slope -1, and the largest margin's value. Raises InputError where the flow never
    separates the classes.
    """
    late = [moment for moment in flow if moment.residual is not None and moment.log_loss < -1]
    if len(late) < 2:
        raise InputError("the flow does not separate the classes; follow it further")
    times = np.array([moment.log_time for moment in late])
    with house_style():
        figure = new_figure(TWO_COLUMNS, HEIGHT)
        left, middle, right = figure.subplots(1, 3)
        left.set_title("residual of the KKT conditions")
        left.plot(times, [moment.residual for moment in late], color="C0")
        _guide(left, times, [moment.residual for moment in late], -0.5, "(log t)^(-1/2)")
        middle.set_title("distance to the limit")
        _distances(middle, times, late)
        right.set_title("|x|^2/(2 log(1/f))")
        right.plot(times, [moment.norm**2 / (-2 * moment.log_loss) for moment in late], color="C0")
        if late[-1].cosine is not None:
            value = float(model.objective(model.closed_form()))
            right.axhline(value, label="least |x|^2/2 at margin 1", **THEORY)
            right.legend(loc="best")
        right.set_ylim(bottom=0)
        for axes in (left, middle, right):
            axes.set(xscale="log", xlabel="log(1 + t)")
        figure.draw_without_rendering()
    header = ("log f", "log(1 + t)", "|x|", "drift", "KKT residual", "cosine", "spread")
    rows = [[m.log_loss, m.log_time, m.norm, m.drift, m.residual, m.cosine, m.spread] for m in flow]
    return Drawing(figure, _flowed(model, flow), header, rows)


def _distances(axes: Axes, times: np.ndarray, late: Sequence[Moment]) -> None:
    if late[-1].cosine is not None:
        distances = [1 - moment.cosine for moment in late if moment.cosine is not None]
        axes.plot(times, distances, color="C0", label="1 - cos to SELI")
        _guide(axes, times, distances, -1.0, "(log t)^-1")
    if max(moment.spread for moment in late) > EXACT:
        axes.plot(times, [moment.spread for moment in late], color="C1", linestyle="-.", label="spread within classes")
    shown = [value for line in axes.get_lines() for value in line.get_ydata()]
    if not shown:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no closed form at d < K - 1,\none sample a class", transform=axes.transAxes, ha="center")
        return
    axes.set_yscale("log")
    log_ticks(axes, shown)
    axes.legend(loc="best")


def _guide(axes: Axes, times: np.ndarray, values: Sequence[float], power: float, label: str) -> None:
    """A power of log t through the last point, over the later half (on a log axis)."""
    shown = times[times >= np.sqrt(times[0] * times[-1])]
    axes.plot(shown, 1.4 * values[-1] * (shown / times[-1]) ** power, label=label, **THEORY)
    axes.set_yscale("log")
    log_ticks(axes, values)
    axes.legend(loc="best")


def _flowed(model: Ridgeless, flow: Sequence[Moment]) -> str:
    drift = max(moment.drift for moment in flow)
    return (
        f"The flow of cross-entropy without decay (n_k = {_listed(model)}, d = {model.dim}, all features free) "
        f"to f = e^{flow[-1].log_loss:.0f}: in direction it turns to a point of the largest margin. Left: the residual "
        "of the KKT conditions there, dashed its power law. Middle: the angle of the logits to SELI and the spread of "
        f"features within classes. Right: |x|^2 per 2 log(1/f). W^T W - H^T H and 1^T W stay to {drift:.0e}."
    )


def central_figure(path: Sequence[Station], num_classes: int, num_samples: int) -> Drawing:
    """The singular values of the matrix of signal to noise against t, and over the largest; dashed: the closed form.

    Raises InputError for fewer than two times after 0.
    """
    moving = [station for station in path if station.time > 0]
    if len(moving) < 2:
        raise InputError("there is nothing to draw; ask for two times after 0 at least")
    times = np.array([station.time for station in moving])
    values = torch.stack([station.values for station in moving]).numpy()
    dense = np.geomspace(times[0], times[-1], 200)
    begin = path[0].values.tolist()
    theory = np.array([[singular_value(num_classes, num_samples, w, t) for w in begin] for t in dense])
    with house_style():
        figure = new_figure(TWO_COLUMNS, HEIGHT)
        left, right = figure.subplots(1, 2)
        for j in range(values.shape[1]):
            for axes, found, form in ((left, values, theory), (right, values / values[:, :1], theory / theory[:, :1])):
                axes.plot(times, found[:, j], **_look(j, len(times)) | {"linestyle": ""}, label=f"w_{j + 1}")
                axes.plot(dense, form[:, j], **THEORY)
        left.set_title("singular values of signal to noise")
        left.set_yscale("log")
        log_ticks(left, values.flatten().tolist())
        right.set_title("over the largest")
        right.set_ylim(0, 1.08)
        for axes in (left, right):
            axes.set(xscale="log", xlabel="t")
        keys, labels = left.get_legend_handles_labels()
        few = keys if len(keys) <= COLOURS else []
        figure.legend(
            [*few, Line2D([], [], **THEORY)],
            [*labels[: len(few)], "closed form"],
            loc="outside upper left",
            ncols=COLOURS + 1,
            columnspacing=1.2,
        )
        figure.draw_without_rendering()
    header = ("t", "L", "turn", *(f"w_{j + 1}" for j in range(values.shape[1])))
    rows = [[station.time, station.loss, station.turn, *station.values.tolist()] for station in path]
    return Drawing(figure, _followed(path, num_classes, num_samples, begin), header, rows)


def _followed(path: Sequence[Station], num_classes: int, num_samples: int, begin: Sequence[float]) -> str:
    off = max(
        abs(singular_value(num_classes, num_samples, w, station.time) / float(v) - 1)
        for station in path
        for w, v in zip(begin, station.values, strict=True)
    )
    return (
        f"The central path of squared error (K = {num_classes}, N = {num_samples}): the singular values of Sw^(-1/2) M "
        "along the renormalised gradient flow of all features (marks), and the solutions of "
        f"N K log w + N w^2 + N w^4/(4 K) = a + t (dashed), which are within {off:.0e} of them. They become equal: "
        "the class means turn to a simplex ETF."
    )


def _look(i: int, points: int) -> dict[str, object]:
    every = max(1, points // 12)
    return {"color": f"C{i % COLOURS}", "marker": MARKERS[i % len(MARKERS)], "markevery": every}


def _listed(model: Ridgeless) -> str:
    counts = model.class_counts
    return ", ".join(map(str, counts)) if len(counts) <= 10 else f"{min(counts)} .. {max(counts)}"
