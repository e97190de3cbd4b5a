"""Numbers and words beside marks: set apart where they would run into each other, with a thin line to their mark."""

import math
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox

Label = tuple[float, float, str]  # x and y of its mark, in data, and its words
Segment = tuple[tuple[float, float], tuple[float, float]]  # a line to keep clear of, in data
SIZE = 7  # points of a label's text
APART = 2.5  # points between the labels of a row
ROW = 9.0  # points from a row's marks to their labels
MARK = 2.5  # points from the centre of a mark to its edge
STYLE = {"fontsize": SIZE, "path_effects": [withStroke(linewidth=2, foreground="white")]}
LEADER = {"arrowstyle": "-", "color": "0.55", "linewidth": 0.5, "shrinkA": 0.5, "shrinkB": MARK}
# Where a label may stand: at these distances from its mark (points), in these directions (degrees).
DISTANCES = (4.0, 12.0, 20.0)
FAR = 4  # a step further away is as bad as crossing so many lines
SIDEWAYS = (0, 180, 90, 270, 45, 135, 315, 225)
UPWARDS = (90, 45, 135, 0, 180, 315, 225, 270)


def text_width(text: str) -> float:
    """The width of a label's text, in points."""
    return text_to_path.get_text_width_height_descent(text, FontProperties(size=SIZE), False)[0]


def in_a_row(axes: Axes, labels: Sequence[Label]) -> None:
    """Labels over marks at one height, as near to their marks as they fit side by side; none where they do not fit.

    The figure's layout must be settled (`Figure.draw_without_rendering`).
    """
    points = 72 / axes.figure.dpi
    at = [points * (axes.transData.transform((x, y))[0] - axes.bbox.x0) for x, y, _ in labels]
    order = np.argsort(at, kind="stable")
    places = spread([at[i] for i in order], [text_width(labels[i][2]) for i in order], points * axes.bbox.width)
    for i, place in zip(order, places, strict=False):
        x, y, text = labels[i]
        _write(axes, x, y, text, (place - at[i], ROW), ha="center", va="bottom")


def spread(at: Sequence[float], widths: Sequence[float], room: float) -> list[float]:
    """The centres nearest to `at` (ascending), in least squares, of labels that stand apart within [0, room].

    Empty where the labels are wider than the room. With the labels' distances taken off, this is isotonic regression.
    """
    from sklearn.isotonic import isotonic_regression

    if not at or sum(widths) + APART * (len(widths) - 1) > room:
        return []
    offsets = np.cumsum([0.0, *((a + b) / 2 + APART for a, b in pairwise(widths))])
    low, high = widths[0] / 2, room - offsets[-1] - widths[-1] / 2
    return list(isotonic_regression(np.asarray(at) - offsets, y_min=low, y_max=high) + offsets)


def around(
    axes: Axes,
    labels: Sequence[Label],
    marks: Sequence[tuple[float, float]],
    lines: Sequence[Segment],
    directions: Sequence[int] = SIDEWAYS,
) -> None:
    """Each label near its mark, where it meets no other label and no mark and few lines.

    Of equally good places the one in the first direction is taken. A label without a place within the axes is left
    out. The figure's layout must be settled.
    """
    pixels = axes.figure.dpi / 72
    room = axes.bbox.padded(DISTANCES[0] * pixels)
    taken = [_box(axes.transData.transform(mark), MARK * pixels) for mark in marks]
    paths = [Path(axes.transData.transform(line)) for line in lines]
    for x, y, text in labels:
        options = []
        for place in product(DISTANCES, directions):
            label = _write(axes, x, y, text, *_beside(*place))
            box = _words(label)
            label.remove()
            if _within(box, room) and not any(box.overlaps(other) for other in taken):
                crossed = sum(path.intersects_bbox(box, filled=False) for path in paths)
                options.append((crossed + FAR * DISTANCES.index(place[0]), len(options), box, place))
        if options:
            *_, box, place = min(options, key=lambda option: option[:2])
            taken.append(box)
            _write(axes, x, y, text, *_beside(*place))


def _within(box: Bbox, room: Bbox) -> bool:
    return room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1


def _beside(distance: float, angle: float) -> tuple[tuple[float, float], str, str]:
    """(offset in points, horizontal and vertical alignment) of a label in a direction from its mark."""
    across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    ha = "left" if across > 0.1 else "right" if across < -0.1 else "center"
    va = "bottom" if up > 0.1 else "top" if up < -0.1 else "center"
    return (distance * across, distance * up), ha, va


def _words(label: Annotation) -> Bbox:
    """The place of a label's words, without the line to its mark."""
    renderer = label.figure.canvas.get_renderer()
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer)


def _box(centre: np.ndarray, half: float) -> Bbox:
    return Bbox([centre - half, centre + half])


def _write(axes: Axes, x: float, y: float, text: str, offset: tuple[float, float], ha: str, va: str) -> Annotation:
    """The label, with a line to its mark where it stands away from it."""
    away = math.hypot(*offset) > DISTANCES[0] + 0.1
    leader = LEADER if away else None
    place = {"xytext": offset, "textcoords": "offset points", "ha": ha, "va": va}
    written = axes.annotate(text, (x, y), arrowprops=leader, **place, **STYLE, zorder=5)
    written.set_in_layout(False)
    return written
