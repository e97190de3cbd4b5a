"""The diagram of depth shows its cells' numbers, theory's border, and marks what is certified."""

from dataclasses import replace

import numpy as np
import pytest

from figures import depth_figure
from tests.figures.looks import require_readable
from ufm import InputError, PointVerdict
from ufm.depths import Grid, survey

GRID = Grid((2, 3, 4), (2, 3, 4), (2e-3, 2e-2), rounds=1)


@pytest.fixture(scope="module")
def cells():
    return [survey(problem) for problem in GRID.problems]


def written(axes):
    return {tuple(np.round(text.get_position()).astype(int)): text.get_text() for text in axes.texts}


def test_the_figure_shows_every_cell(cells):
    drawing = depth_figure(cells)
    require_readable(drawing)
    panels = [axes for axes in drawing.figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 4
    ranks, excess = written(panels[0]), written(panels[2])
    for cell in cells[:9]:
        place = (cell.problem.free.num_classes - 2, cell.problem.depth - 2)
        assert ranks[place] == str(cell.rank)
        assert (place in excess) == bool(cell.excess)
    assert excess == {(2, 2): "9"}  # K = 4, L = 4
    rows = dict(zip(drawing.header, np.array(drawing.rows, dtype=object).T, strict=True))
    assert list(rows["rank"]) == [cell.rank for cell in cells]
    assert list(rows["f"]) == [cell.value for cell in cells]
    assert list(rows["f at the ETF"]) == [cell.etf.value for cell in cells]
    assert "0 cells contradict theory" in drawing.caption


def test_the_border_is_around_what_theory_says(cells):
    """One cell, K = 4 and L = 4, in the corner: four segments in each panel."""
    panels = [axes for axes in depth_figure(cells).figure.axes if axes.get_label() != "<colorbar>"]
    for axes in panels:
        segments = [line for line in axes.lines if len(line.get_xdata()) == 2]
        corners = {(x, y) for line in segments for x, y in zip(*line.get_data(), strict=True)}
        assert corners == {(1.5, 1.5), (2.5, 1.5), (1.5, 2.5), (2.5, 2.5)}


def test_marks_say_what_is_certified_and_what_is_not(cells):
    def marks(cells):
        axes = depth_figure(cells).figure.axes[0]
        return [line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1]

    certified = sum(cell.verdict == PointVerdict.GLOBAL_MINIMIZER for cell in cells[:9])
    assert marks(cells) == ["o"] * certified
    assert certified >= 5
    assert marks([replace(cell, verdict=PointVerdict.DEGENERATE) for cell in cells]) == ["x"] * 9


def test_without_cells_there_is_no_figure():
    with pytest.raises(InputError):
        depth_figure([])
