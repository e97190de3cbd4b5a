"""Labels of a row stand apart, in order, as near to their marks as can be."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

from figures.drawing.drawing import house_style, new_figure
from figures.drawing.labels import APART, around, in_a_row, spread, text_width
from tests.figures.looks import require_apart

ROWS = {
    "far apart": ([10, 60, 110], [8, 8, 8], 150),
    "one place": ([50, 50, 50, 50], [4, 9, 4, 9], 100),
    "at the left edge": ([0, 1, 2, 70], [8, 8, 8, 8], 100),
    "at the right edge": ([20, 98, 99], [8, 14, 8], 100),
    "two crowds": ([20, 21, 24, 60, 61], [8, 8, 8, 8, 8], 90),
    "one": ([3], [10], 20),
}


@pytest.mark.parametrize(("at", "widths", "room"), ROWS.values(), ids=ROWS)
def test_labels_of_a_row_are_spread_as_little_as_can_be(at, widths, room):
    """The same by a solver of quadratic programs that knows nothing of isotonic regression."""
    centres = spread(at, widths, room)
    gaps = [
        {"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - (widths[i] + widths[i + 1]) / 2 - APART}
        for i in range(len(at) - 1)
    ]
    bounds = [(width / 2, room - width / 2) for width in widths]
    start = np.linspace(0, room, len(at))
    best = minimize(lambda x: ((x - at) ** 2).sum(), start, bounds=bounds, constraints=gaps, tol=1e-12)
    assert best.success or best.status == 8  # no step goes further down at this tolerance: rounding says which
    np.testing.assert_allclose(centres, best.x, atol=1e-4)


def test_a_row_without_room_has_no_labels():
    assert spread([1, 2, 3], [8, 8, 8], 28) == []
    assert len(spread([1, 2, 3], [8, 8, 8], 29)) == 3
    assert spread([], [], 10) == []


@pytest.fixture
def axes():
    with house_style():
        figure = new_figure(3.3, 2.0)
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        figure.draw_without_rendering()
        yield axes


def test_a_rows_labels_are_drawn_apart_in_the_order_of_their_marks(axes):
    marks = [(x, 0.5, str(round(1000 * x))) for x in (0.52, 0.5, 0.51, 0.9)]
    in_a_row(axes, marks)
    require_apart(axes)
    left_to_right = sorted(axes.texts, key=lambda text: text.get_window_extent().x1)
    assert [text.get_text() for text in left_to_right] == ["500", "510", "520", "900"]
    assert all(a.xy[0] < b.xy[0] for a, b in pairwise(left_to_right))


def test_on_an_inverted_axis_as_well(axes):
    axes.invert_xaxis()
    in_a_row(axes, [(x, 0.5, str(round(1000 * x))) for x in (0.5, 0.51, 0.52)])
    require_apart(axes)
    places = [text.get_window_extent().x0 for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["520", "510", "500"]
    assert places == sorted(places)


def test_a_label_keeps_clear_of_marks_labels_and_lines(axes):
    marks = [(0.5, 0.5), (0.56, 0.5), (0.5, 0.58)]
    around(axes, [(*mark, "word") for mark in marks], marks, [])
    require_apart(axes)
    assert len(axes.texts) == 3
    around(axes, [(0.1, 0.1, "free")], [(0.1, 0.1)], [((0.1, 0.1), (0.3, 0.1))])
    assert axes.texts[-1].xyann[0] <= 0  # not to the right, where a line goes


def test_a_label_without_a_place_is_left_out(axes):
    crowd = [(x, y) for x in np.linspace(0, 1, 40) for y in np.linspace(0, 1, 40)]
    around(axes, [(0.5, 0.5, "word")], crowd, [])
    assert not axes.texts


def test_widths_are_those_of_drawn_text(axes):
    written = axes.text(0.5, 0.5, "76,505", fontsize=7)
    assert text_width("76,505") == pytest.approx(written.get_window_extent().width * 72 / axes.figure.dpi, rel=0.1)
