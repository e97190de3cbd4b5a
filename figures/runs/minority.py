"""Minority collapse in networks: the cosine between the small classes' rows of W, beside the exact threshold.

A group of equal classes of n samples is one point at every minimiser of the unconstrained feature model exactly if
D0^2 n <= N^2 lambda_w lambda_h (docs/theory, section 10.9). The share D0^2 n / (N^2 lambda_w lambda_h) of each run's
own model puts runs of any imbalance and decay on one axis, with the threshold at 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ufm import Point
from ufm.closed_forms.minorities import groups, merging
from validate import Comparison, by_group

from ..drawing.drawing import ONE_COLUMN, Drawing, house_style, new_figure
from .material import Material

HEADER = (
    "run",
    "n_max",
    "n_min",
    "lambda_w",
    "lambda_h",
    "of_threshold",
    "cosine_network",
    "cosine_theory",
    "certified",
)
AT_ZERO = 1e-6  # of the longest row of W: a row that short has no direction


@dataclass(frozen=True)
class Minority:
    """The smallest group of equal classes of one run: n_k over the threshold, and the mean cosine of its rows of W.

    theory  of the minimiser; NaN where the rows are 0, that is merged at the origin
    """

    run: str
    comparison: Comparison
    classes: tuple[int, ...]
    share: float
    network: float
    theory: float

    @property
    def row(self) -> tuple[str | float, ...]:
        """The numbers under HEADER."""
        problem, counts = self.comparison.problem, self.comparison.problem.class_counts
        decays = problem.lambda_w, problem.lambda_h
        found = self.share, self.network, self.theory, int(self.comparison.certified)
        return (self.run, max(counts), counts[self.classes[0]], *decays, *found)


def minority(run: Material) -> Minority | None:
    """That of a run; None where theory does not cover it with a free W, or knows no threshold for its small classes."""
    comparison = run.comparison
    if not isinstance(comparison, Comparison) or comparison.fixed:
        return None
    problem = comparison.problem
    least, most = min(problem.class_counts), max(problem.class_counts)
    found = [group for group in groups(problem) if group.count == least < most]
    if not found:
        return None
    (group,) = found[:1]
    cosines = [_cosine(point, group.classes) for point in (comparison.point, comparison.minimizer)]
    return Minority(run.run.name, comparison, group.classes, merging(problem, group) ** -2, *cosines)


def _cosine(point: Point, classes: Sequence[int]) -> float:
    """The mean over pairs of the classes of the cosine of their rows of W."""
    lengths = point.W.norm(dim=1)
    if float(lengths[list(classes)].min()) <= AT_ZERO * float(lengths.max()):
        return float("nan")
    rows = Point(point.W, torch.eye(len(point.W), point.dim).to(point.W), point.b)  # its features are not looked at
    (row,) = by_group(rows, groups={"minority": classes})
    return float(row["cosine_w"])


def with_minorities(runs: Sequence[Material]) -> Sequence[Material]:
    """The runs that have such a group, if their places on the axis differ."""
    found = [(run, one) for run in runs if (one := minority(run)) is not None]
    return [run for run, _ in found] if len({one.share for _, one in found}) > 1 else []


def minority_figure(runs: Sequence[Material]) -> Drawing:
    """The cosines of runs (those without a minority left out) against n over the threshold."""
    found = sorted((one for run in runs if (one := minority(run)) is not None), key=lambda one: one.share)
    shares = [one.share for one in found]
    with house_style():
        figure = new_figure(ONE_COLUMN, 2.6)
        axes = figure.subplots()
        axes.axvline(1.0, color="black", linewidth=0.9, linestyle=":", label="exact threshold")
        axes.plot(shares, [one.theory for one in found], "s", fillstyle="none", color="#444444", label="minimiser")
        axes.plot(shares, [one.network for one in found], "o", color="#4477aa", markersize=4, label="network")
        axes.set(xscale="log", ylim=(-0.4, 1.1))
        axes.set(xlabel="n_min / (N^2 lambda_w lambda_h / D0^2)", ylabel="mean cosine of minority rows of W")
        figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2)
        figure.draw_without_rendering()
    return Drawing(figure, _caption(found), HEADER, [one.row for one in found])


def _caption(found: Sequence[Minority]) -> str:
    origin = sum(one.theory != one.theory for one in found)
    below, above = ([one for one in found if (one.share <= 1) is side] for side in (True, False))
    ends = f"{_range('below', below)}; {_range('above', above)}"
    zero = f" {origin} minimisers have these rows at 0, with no direction." if origin else ""
    return (
        "Minority collapse: the mean cosine between the rows of W of the smallest classes, in each network after its "
        "last epoch and at the minimiser of its own unconstrained feature model, against n_min over the exact "
        f"threshold, up to which they are one point there. Networks {ends}.{zero}"
    )


def _range(side: str, some: Sequence[Minority]) -> str:
    if not some:
        return f"{side} it: none"
    cosines = [one.network for one in some]
    return f"{side} it: cosines {min(cosines):.2f} to {max(cosines):.2f} ({len(some)})"
