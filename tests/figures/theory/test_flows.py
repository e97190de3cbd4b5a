"""The figures of vanishing decay show the numbers that were computed, and theory's beside them."""

import numpy as np
import pytest
import torch

from figures.theory.flows import approach_figure, central_figure, margin_figure
from tests.figures.looks import require_readable
from ufm import InputError
from ufm.flows import approach, central_path, random_features, rate, singular_value, without_decay
from ufm.models import Ridgeless
from ufm.solvers.minimize import random_point

MODEL = Ridgeless((4, 4, 1), 3, 2.0)
FLAT = Ridgeless((1,) * 4, 2)


@pytest.fixture(scope="module")
def found():
    return approach(MODEL, [1e-7, 1e-3, 1e-5])


@pytest.fixture(scope="module")
def flow():
    return without_decay(MODEL, random_point(MODEL.problem(1.0), 0), 100.0, 20)


@pytest.fixture(scope="module")
def path():
    return central_path(random_features(3, 4, 3, 0, 0.5), 3, [0.0, *np.geomspace(1, 1e4, 15)])


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a, b, 0))


def test_cosines_and_angles_are_those_of_the_minimisers_in_order(found):
    left, middle, right = approach_figure(MODEL, found).figure.axes
    ordered, form = [found[1], found[2], found[0]], MODEL.closed_form()
    for axes, part in ((left, "H"), (middle, "W")):
        lines = axes.get_lines()
        for line, theory, (j, k) in zip(lines[::2], lines[1::2], ((0, 1), (0, 2)), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1e-3, 1e-5, 1e-7])
            rows = [getattr(one.point, part) for one in ordered]
            np.testing.assert_allclose(line.get_ydata(), [cosine(row[j], row[k]) for row in rows])
            assert theory.get_ydata()[0] == pytest.approx(cosine(getattr(form, part)[j], getattr(form, part)[k]))
            assert theory.get_linestyle() == "--"
    computed, theory = right.get_lines()
    np.testing.assert_allclose(computed.get_ydata(), [one.distance for one in ordered])
    expected = [1 - np.cos(np.arctan(rate(MODEL) / one.level)) for one in ordered]
    np.testing.assert_allclose(theory.get_ydata(), expected, rtol=1e-6)
    labels = [text.get_text() for text in approach_figure(MODEL, found).figure.legends[0].get_texts()]
    assert labels == ["4, 4", "4, 1", "lambda -> 0, in closed form"]


def test_balanced_classes_are_a_flat_line():
    model = Ridgeless((2, 2, 2), 3)
    drawing = approach_figure(model, approach(model, [1e-3, 1e-6]))
    low, high = drawing.figure.axes[0].get_ylim()
    assert high - low == pytest.approx(0.05)
    assert drawing.figure.axes[2].texts[0].get_text() == "0 at every lambda"
    require_readable(drawing)


def test_the_flow_is_drawn_from_where_it_separates(flow):
    left, middle, right = margin_figure(MODEL, flow).figure.axes
    late = [moment for moment in flow if moment.residual is not None and moment.log_loss < -1]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), [moment.residual for moment in late])
    np.testing.assert_allclose(left.get_lines()[0].get_xdata(), [moment.log_time for moment in late])
    np.testing.assert_allclose(middle.get_lines()[0].get_ydata(), [1 - moment.cosine for moment in late])
    computed, theory = right.get_lines()
    np.testing.assert_allclose(computed.get_ydata(), [-(m.norm**2) / 2 / m.log_loss for m in late])
    assert theory.get_ydata()[0] == pytest.approx(float(MODEL.objective(MODEL.closed_form())))


def test_a_guide_has_the_slope_it_says(flow):
    guide = margin_figure(MODEL, flow).figure.axes[0].get_lines()[1]
    x, y = (np.log(values) for values in guide.get_data())
    np.testing.assert_allclose(np.diff(y) / np.diff(x), -0.5)


def test_below_k_minus_1_dimensions_no_limit_is_drawn():
    start = random_point(FLAT.problem(1.0), 0)
    drawing = margin_figure(FLAT, without_decay(FLAT, start, 30.0, 10))
    assert "no closed form" in drawing.figure.axes[1].texts[0].get_text()
    assert len(drawing.figure.axes[2].get_lines()) == 1
    require_readable(drawing)


def test_the_path_is_drawn_over_its_closed_form(path):
    left, right = central_figure(path, 3, 12).figure.axes
    lines = left.get_lines()
    for j, (marks, theory) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
        np.testing.assert_allclose(marks.get_ydata(), [float(station.values[j]) for station in path[1:]])
        expected = [singular_value(3, 12, float(path[0].values[j]), t) for t in theory.get_xdata()]
        np.testing.assert_allclose(theory.get_ydata(), expected)
        np.testing.assert_allclose(np.interp(marks.get_xdata(), *theory.get_data()), marks.get_ydata(), rtol=1e-2)
    assert float(right.get_lines()[2].get_ydata()[-1]) == pytest.approx(1, abs=0.05)


def test_tables_hold_everything_and_files_are_the_same_again(found, flow, path, tmp_path):
    def drawings():
        return approach_figure(MODEL, found), margin_figure(MODEL, flow), central_figure(path, 3, 12)

    for i, (drawing, other, rows) in enumerate(zip(drawings(), drawings(), (found, flow, path), strict=True)):
        assert len(drawing.rows) == len(rows)
        assert all(len(row) == len(drawing.header) for row in drawing.rows)
        once, again = (one.save(tmp_path / f"{i}", f"{j}", ["svg"]) for j, one in enumerate((drawing, other)))
        assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]
        require_readable(drawing)


def test_nothing_to_draw_is_refused(flow, path):
    for draw, words in (
        (lambda: approach_figure(MODEL, []), "no decay to draw"),
        (lambda: margin_figure(MODEL, flow[:2]), "does not separate"),
        (lambda: central_figure(path[:2], 3, 12), "nothing to draw"),
    ):
        with pytest.raises(InputError, match=words):
            draw()
