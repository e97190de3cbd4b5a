"""Descents from many starts: how far f is above the certified lower bound, against iteration."""

from collections.abc import Sequence

from matplotlib.lines import Line2D

from ufm import Certificate, InputError, PointVerdict, Problem, Solution

from ..drawing.drawing import ONE_COLUMN, Drawing, house_style, new_figure
from ..drawing.scales import log_ticks

LOOKS = {
    PointVerdict.GLOBAL_MINIMIZER: {"color": "C0", "linestyle": "-", "marker": "o"},
    PointVerdict.LOCAL_MINIMIZER: {"color": "C1", "linestyle": "--", "marker": "s"},
    PointVerdict.STRICT_SADDLE: {"color": "C2", "linestyle": "-.", "marker": "^"},
    PointVerdict.DEGENERATE: {"color": "C3", "linestyle": ":", "marker": "D"},
    PointVerdict.NOT_CRITICAL: {"color": "C6", "linestyle": ":", "marker": "X"},
}
FLOOR = {"color": "0.5", "linewidth": 0.8, "linestyle": (0, (1, 2))}
ROUNDING = 2.2e-16  # relative: a gap below this fraction of the first value of f is drawn as this


def convergence_figure(
    problem: Problem, solutions: Sequence[Solution], certificates: Sequence[Certificate], seeds: Sequence[int]
) -> Drawing:
    """f - D on a log axis against iteration, a line a start; D is the largest lower bound that an end gives.

    certificates   of the solutions' ends        seeds   of their starts, for the table
    """
    if not solutions:
        raise InputError("there is no descent to draw; start one at least")
    bound = max(certificate.lower_bound for certificate in certificates)
    floor = ROUNDING * max(solution.history[0].value for solution in solutions)
    curves = [[max(step.value - bound, floor) for step in solution.history] for solution in solutions]
    ends = [certificate.verdict for certificate in certificates]
    with house_style():
        figure = new_figure(ONE_COLUMN, 2.5)
        axes = figure.subplots()
        axes.set_yscale("log")
        for values, end in zip(curves, ends, strict=True):
            axes.plot(values, alpha=0.75, linewidth=0.9, markevery=[len(values) - 1], **LOOKS[end])
        keys = [Line2D([], [], **LOOKS[end], label=f"{end} ({ends.count(end)})") for end in LOOKS if end in ends]
        if min(map(min, curves)) < 1e3 * floor:
            axes.axhline(floor, **FLOOR)
            keys.append(Line2D([], [], **FLOOR, label="rounding of f"))
        log_ticks(axes, [value for values in curves for value in values])
        axes.set_xlabel("iteration (accepted Newton step)")
        axes.set_ylabel("f - D, above the lower bound")
        figure.legend(handles=keys, loc="outside upper left", ncols=2 if len(keys) < 5 else 1, borderpad=0.1)
        figure.draw_without_rendering()
    rows = [
        (seed, i, step.value, step.value - bound, step.relative_grad_norm, end)
        for seed, solution, end in zip(seeds, solutions, ends, strict=True)
        for i, step in enumerate(solution.history)
    ]
    header = ("seed", "iteration", "f", "f - D", "relative gradient norm", "ends at")
    return Drawing(figure, _caption(problem, len(solutions), bound), header, rows)


def _caption(problem: Problem, starts: int, bound: float) -> str:
    return (
        f"{starts} descents from random starts over free W, H and b (K = {problem.num_classes}, N = "
        f"{problem.num_samples:,}, d = {problem.dim}): f less the lower bound D = {bound:.10g}, which one of the ends "
        "gives by convex duality and no point of the landscape is below. Lines end with the marker of what was found."
    )
