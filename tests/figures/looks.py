"""What a reader needs of every figure: no text below 7 points, nothing cut off at its edges, no words over others."""

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.text import Text

from figures.drawing.drawing import ONE_COLUMN, TWO_COLUMNS, Drawing, house_style

SMALLEST = 7  # points, at the size of print


def require_readable(drawing: Drawing) -> None:
    """Assert it of one drawing."""
    figure = drawing.figure
    with house_style():
        figure.draw_without_rendering()
        edges = figure.get_tightbbox()
        written = [text for axes in figure.axes for text in axes.texts if text.get_text()]
        boxes = [text.get_window_extent().transformed(figure.dpi_scale_trans.inverted()) for text in written]
    assert figure.get_figwidth() in (ONE_COLUMN, TWO_COLUMNS)
    for box in (edges, *boxes):
        assert min(box.x0, box.y0) > -0.02, box
        assert box.x1 < figure.get_figwidth() + 0.02, box
        assert box.y1 < figure.get_figheight() + 0.02, box
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}
    assert min(sizes) >= SMALLEST


def require_apart(axes: Axes) -> None:
    """Assert that no two labels within the axes overlap."""
    axes.figure.draw_without_rendering()
    written = [text for text in axes.texts if text.get_text()]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in written]  # without the line to its mark
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not a.overlaps(b), (one, other)
