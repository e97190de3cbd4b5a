"""The map's figure shows the numbers of its cells, the line d = K - 1, and what was not run."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from figures.theory.traps import traps_figure
from tests.figures.looks import require_readable
from ufm import InputError, Problem
from ufm.losses import BinaryCrossEntropy
from ufm.traps import Cell, Ending, survey
from ufm.traps.grid import Grid, SpheresGrid

LAMBDAS = (2e-4, 2e-3)
GRID = Grid(classes=(3, 5, 6), dims=(1, 2, 4, 5), lambdas=LAMBDAS)


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """Every cell of the grid but one; the traps are real."""
    return [survey(problem, starts=8) for problem in GRID.problems[1:]]


def labels(axes) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axes.texts}


def places(cells, decay, of) -> dict[tuple[int, int], float]:
    """What is to stand at (place of K, place of d) in the panel of one lambda."""
    found = {
        (GRID.classes.index(c.problem.num_classes), GRID.dims.index(c.problem.dim)): of(c)
        for c in cells
        if c.problem.lambda_w == decay
    }
    return {place: value for place, value in found.items() if value is not None}


def test_squares_are_labelled_with_the_cells_numbers(cells):
    panels = traps_figure(cells).figure.axes
    for column, decay in enumerate(LAMBDAS):
        shares, gaps = labels(panels[column]), labels(panels[column + 2])
        assert shares == {p: f"{100 * v:.0f}" for p, v in places(cells, decay, lambda c: c.trapped or None).items()}
        expected = places(cells, decay, lambda c: c.gap)
        assert set(gaps) == set(expected)
        assert all(float(gaps[p]) == pytest.approx(expected[p], rel=0.5) for p in gaps)
    assert labels(panels[0])  # K = 6, d = 2 has traps


def test_the_line_passes_between_k_minus_2_and_k_minus_1(cells):
    panels = traps_figure(cells).figure.axes[:4]
    for axes in panels:
        (line,) = [patch for patch in axes.patches if type(patch).__name__ == "StepPatch"]
        # Below d = 2 of (1, 2, 4, 5) for K = 3, below 4 for K = 5, below 5 for K = 6.
        np.testing.assert_array_equal(line.get_data().values, [0.5, 1.5, 2.5])
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["1", "2", "4", "5"]
    assert [label.get_text() for label in panels[3].get_xticklabels()] == ["3", "5", "6"]


def test_only_what_was_not_run_is_transparent(cells):
    for axes, missing in zip(traps_figure(cells).figure.axes[:4], (1, 0, 1, 0), strict=True):
        alpha = axes.collections[0].get_facecolor().reshape(4, 3, 4)[..., 3]
        assert (alpha == 0).sum() == missing
        assert (alpha[0, 0] == 0) == bool(missing)
        assert axes.patch.get_hatch()


def test_its_table_holds_every_cell(cells):
    drawing = traps_figure(cells)
    assert len(drawing.rows) == len(cells) == 23
    table = [dict(zip(drawing.header, row, strict=True)) for row in drawing.rows]
    for row, cell in zip(table, cells, strict=True):
        assert (row["lambda"], row["K"], row["d"]) == (
            cell.problem.lambda_w,
            cell.problem.num_classes,
            cell.problem.dim,
        )
        assert row[Ending.TRAPPED] == 8 * row["trapped fraction"]
        assert row["worst gap"] == cell.gap
    traps = sum(cell.gap is not None for cell in cells)
    assert f"{traps} of 23 cells have traps, 0 of them from the line" in drawing.caption


def test_it_is_written_four_ways_with_the_same_bytes(cells, tmp_path):
    svg, pdf, png, csv = traps_figure(cells).save(tmp_path, "traps")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert min(imread(png).shape[:2]) > 400
    assert len(csv.read_text().splitlines()) == 24
    again = traps_figure(cells).save(tmp_path / "again", "traps")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in (svg, pdf, png, csv)]


def test_a_map_without_traps_and_a_wide_one_are_drawn(cells):
    quiet = [cell for cell in cells if cell.gap is None]
    assert "0 of" in traps_figure(quiet).caption
    first = quiet[0]
    many = [replace(first, problem=replace(first.problem, dim=dim)) for dim in range(1, 13)]
    assert all(not axes.texts for axes in traps_figure(many).figure.axes)


def test_refuses_no_cells():
    with pytest.raises(InputError, match="no cell to draw"):
        traps_figure([])


def test_it_is_readable(cells):
    require_readable(traps_figure(cells))
    require_readable(traps_figure([cell for cell in cells if cell.problem.lambda_w == LAMBDAS[0]]))


def test_no_words_beside_a_scale_of_colours_overlap(cells):
    figure = traps_figure(cells).figure
    scales = figure.axes[4:]
    assert len(scales) == 2
    for scale in scales:
        label = scale.yaxis.label.get_window_extent()
        ticks = [tick.get_window_extent() for tick in scale.get_yticklabels() if tick.get_text()]
        assert len(ticks) >= 2
        assert not any(label.overlaps(tick) for tick in ticks)
        assert scale.get_window_extent().y0 <= label.y0
        assert label.y1 <= scale.get_window_extent().y1


def test_the_line_of_a_loss_that_a_shift_changes_is_d_equal_k():
    """Binary cross-entropy needs one dimension more; the words say so too."""
    problems = [
        Problem.balanced(K, 1, d, lambda_w=5e-2, lambda_h=5e-2, bias=False, loss=BinaryCrossEntropy())
        for K in (2, 3)
        for d in (1, 2, 3)
    ]
    drawing = traps_figure([survey(problem, starts=1) for problem in problems])
    (line,) = [patch for patch in drawing.figure.axes[0].patches if type(patch).__name__ == "StepPatch"]
    np.testing.assert_array_equal(line.get_data().values, [0.5, 1.5])
    assert "from the line d = K upwards" in drawing.caption
    assert drawing.figure.legends[0].get_texts()[0].get_text() == "d >= K above"


def test_a_map_of_spheres_has_a_column_a_scale_and_the_line_d_equal_k():
    models = SpheresGrid(classes=(3, 4), dims=(2, 3), scale=(2.0, 10.0), per_class=1).problems
    cells = [survey(model, starts=6) for model in models]
    drawing = traps_figure(cells)
    panels = drawing.figure.axes[:4]
    assert [axes.get_title("left") for axes in panels[:2]] == ["scale = 2", "scale = 10"]
    (line,) = [patch for patch in panels[0].patches if type(patch).__name__ == "StepPatch"]
    np.testing.assert_array_equal(line.get_data().values, [0.5, 1.5])
    assert drawing.header[:2] == ("scale", "K")
    assert [row[0] for row in drawing.rows] == [2.0] * 4 + [10.0] * 4
    assert "the model on spheres" in drawing.caption
    require_readable(drawing)
