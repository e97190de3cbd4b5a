"""The phase diagram's figure shows its cells' numbers and theory's thresholds, and is empty of claims it lacks."""

from dataclasses import replace

import numpy as np
import pytest

from figures import phase_figure
from tests.figures.looks import require_readable
from ufm import InputError
from ufm.phases import Grid, survey

GRID = Grid((1, 3, 10), (5e-3, 2e-2, 6e-2), majority=2, minority=2, per_class=10)


@pytest.fixture(scope="module")
def cells():
    return [survey(problem) for problem in GRID.problems]


def test_the_figure_shows_every_cell_and_the_curves_of_theory(cells):
    drawing = phase_figure(cells)
    require_readable(drawing)
    (axes,) = drawing.figure.axes
    assert len(axes.collections) == len(cells)
    minority, majority = axes.lines
    for line, count in ((minority, lambda r: 10 * r), (majority, lambda r: 10.0)):
        ratios, decays = line.get_data()
        expected = [np.sqrt(count(r)) / (10 * (2 + 2 * r)) for r in ratios]
        np.testing.assert_allclose(decays, expected, rtol=1e-12)
    assert max(minority.get_xdata()) <= 1
    assert f"0 of {len(cells)} cells contradict it" in drawing.caption
    rows = dict(zip(drawing.header, np.array(drawing.rows).T, strict=True))
    assert list(rows["minority_merged"]) == [int(cell.parties[-1].merged) for cell in cells]
    assert list(rows["lambda"]) == [cell.problem.lambda_w for cell in cells]


def test_a_minimiser_that_is_not_certified_has_a_cross_and_an_unknown_threshold_no_curve(cells):
    silent = [replace(c, certified=False, parties=tuple(replace(p, ratio=None) for p in c.parties)) for c in cells]
    drawing = phase_figure(silent)
    assert len(drawing.figure.axes[0].lines) == len(cells)
    assert all(line.get_marker() == "x" for line in drawing.figure.axes[0].lines)
    assert "No threshold is known" in drawing.caption


def test_without_cells_there_is_no_figure():
    with pytest.raises(InputError):
        phase_figure([])
