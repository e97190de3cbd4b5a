"""The gradient flow in two dimensions: features and classifier rows moving, as a strip of panels or an animation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import ufm
from ufm import InputError, NoClosedForm, Point, Problem
from ufm.solvers.flow import Frame
from ufm.storage.files import replacing

from ..drawing.drawing import ONE_COLUMN, TWO_COLUMNS, Drawing, house_style, new_figure
from ..drawing.panels import COLOURS, MARKERS

FRAMES_A_SECOND, HELD = 12, 12  # of the animation; how many times its last frame is repeated
DPI = 140


@dataclass(frozen=True, eq=False)
class Film:
    """What every panel has in common: the labels of the samples, the scale of H, the frame of theory, the limits.

    scale   what features are multiplied by: sqrt(n lH/lW), so that they meet the rows of W at the minimiser
    frame   (K, 2) the rows of W at the global minimiser, turned to fit the last ones; None where it is not known
    """

    problem: Problem
    labels: torch.Tensor
    scale: float
    frame: torch.Tensor | None
    reach: float

    @classmethod
    def of(cls, problem: Problem, frames: Sequence[Frame]) -> "Film":
        """Raises InputError unless d = 2."""
        if problem.dim != 2:
            raise InputError(f"the flow is drawn in the plane: it needs d = 2, got d = {problem.dim}")
        if problem.num_types != problem.num_classes:
            raise InputError("the flow is drawn for losses whose types are the classes")
        per_class = problem.num_samples / problem.num_classes
        scale = (per_class * problem.lambda_h / problem.lambda_w) ** 0.5
        far = max(max(float(f.point.W.norm(dim=1).max()), scale * float(f.point.H.norm(dim=1).max())) for f in frames)
        given = frames[-1].point
        labels = given.labels if given.labels is not None else problem.labels
        labels = torch.arange(problem.num_classes) if len(given.H) == problem.num_classes else labels
        return cls(problem, labels, scale, _fitted(problem, given), 1.08 * far)

    def draw(self, axes: Axes, frame: Frame) -> None:
        """One moment: classifier rows as lines from the origin, features as markers, theory's frame dashed."""
        axes.set(xlim=(-self.reach, self.reach), ylim=(-self.reach, self.reach), xticks=[], yticks=[], aspect="equal")
        axes.spines[["top", "right"]].set_visible(True)
        axes.grid(False)
        if self.frame is not None:
            around = torch.cat([self.frame, self.frame[:1]]) if len(self.frame) == 3 else self.frame
            axes.plot(*around.T.numpy(), color="0.6", linestyle="--", linewidth=0.8, zorder=1)
        for k, row in enumerate(frame.point.W):
            look = {"color": f"C{k % COLOURS}"}
            axes.plot([0, float(row[0])], [0, float(row[1])], linewidth=1.6, zorder=2, **look)
            own = self.scale * frame.point.H[self.labels == k]
            marker = MARKERS[k % len(MARKERS)]
            axes.plot(
                own[:, 0], own[:, 1], linestyle="", marker=marker, markeredgecolor="white", markeredgewidth=0.4,
                markersize=4.5, zorder=3, **look,
            )  # fmt: skip

    @property
    def figure_of_theory(self) -> str:
        """What the rows of W are at the minimiser: a simplex for losses that ignore a shift of all logits."""
        return "simplex" if self.problem.loss.shift_invariant else "minimiser"

    def keys(self) -> list[Line2D]:
        """The entries of the legend."""
        line = Line2D([], [], color="0.2", linewidth=1.6, label="row of W")
        dots = Line2D([], [], color="0.2", linestyle="", marker="o", markersize=4.5, label="feature (scaled)")
        dashed = Line2D([], [], color="0.6", linestyle="--", linewidth=0.8, label=f"{self.figure_of_theory} of theory")
        return [line, dots] if self.frame is None else [line, dots, dashed]


def filmstrip_figure(problem: Problem, frames: Sequence[Frame]) -> Drawing:
    """A panel for each frame of a gradient flow with d = 2. Raises InputError otherwise."""
    film = Film.of(problem, frames)
    with house_style():
        figure = new_figure(TWO_COLUMNS, 0.65 + (TWO_COLUMNS - 0.2) / len(frames))
        for axes, frame in zip(figure.subplots(1, len(frames), squeeze=False)[0], frames, strict=True):
            film.draw(axes, frame)
            axes.set_title(f"t = {_time(frame.time)}", loc="center")
            axes.set_xlabel(f"f = {frame.value:.4g}")
        figure.legend(handles=film.keys(), loc="outside upper left", ncols=3, borderpad=0.1)
        figure.draw_without_rendering()
    header = ("time", "f", "of", "class", "x", "y")
    rows = [row for frame in frames for row in _rows(frame, film.labels)]
    return Drawing(figure, _caption(film), header, rows)


def write_animation(problem: Problem, frames: Sequence[Frame], path: Path | str) -> Path:
    """Write the frames as an animated GIF that holds its last frame for a second and repeats; returns its path."""
    film, path = Film.of(problem, frames), Path(path)
    with house_style():
        figure = new_figure(ONE_COLUMN, ONE_COLUMN + 0.5)
        axes = figure.subplots()
        figure.legend(handles=film.keys(), loc="outside upper left", ncols=3, borderpad=0.1)
        writer = PillowWriter(fps=FRAMES_A_SECOND)
        with replacing(path) as temporary:
            named = temporary.with_name(f"{temporary.name}.gif")
            with writer.saving(figure, named, DPI):
                for frame in [*frames, *[frames[-1]] * HELD]:
                    axes.clear()
                    film.draw(axes, frame)
                    axes.set_title(f"t = {_time(frame.time)}   f = {frame.value:.4g}")
                    writer.grab_frame()
            named.replace(temporary)
    return path


def _time(t: float) -> str:
    return f"{t:,.0f}" if t >= 100 else f"{t:.3g}"


def _fitted(problem: Problem, point: Point) -> torch.Tensor | None:
    """The rows of W at the global minimiser after the rotation or reflection that best fits the point's."""
    try:
        rows = ufm.global_minimizer(problem).W
    except NoClosedForm:
        return None
    left, _, right = torch.linalg.svd(rows.T @ point.W)
    return rows @ left @ right


def _caption(film: Film) -> str:
    problem = film.problem
    return (
        f"The gradient flow of f from a random start (K = {problem.num_classes}, N = {problem.num_samples}, d = 2), at "
        "times t that are evenly spaced along its path. Lines: rows of W. Markers: features, one a sample, times "
        f"sqrt(n lambda_h / lambda_w) = {film.scale:.3g}, so that they meet the rows of W at the minimiser; a colour "
        "and a marker a class."
        + (f" Dashed: the {film.figure_of_theory} of the closed form, turned to fit." if film.frame is not None else "")
    )


def _rows(frame: Frame, labels: torch.Tensor) -> list[tuple]:
    rows = [(frame.time, frame.value, "W", k, *row) for k, row in enumerate(frame.point.W.tolist())]
    features = zip(labels.tolist(), frame.point.H.tolist(), strict=True)
    return rows + [(frame.time, frame.value, "H", k, *row) for k, row in features]
