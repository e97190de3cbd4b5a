"""The pictures of an atlas show every point, connection and eigenvalue, reproducibly."""

from collections import Counter

import pytest
from matplotlib.text import Text

import ufm
from figures.theory.landscape import landscape_figure
from figures.theory.spectra import spectra_figure
from tests.figures.looks import require_apart, require_readable


@pytest.fixture(scope="module")
def atlas():
    problem = ufm.Problem.balanced(3, 2, 3, lambda_w=2e-3, lambda_h=2e-3, lambda_b=1e-2)
    return ufm.explore(problem, until_quiet=50, connect=True)


def test_every_point_and_connection_is_drawn(atlas):
    drawing = landscape_figure(atlas)
    kinds = Counter(row[0] for row in drawing.rows)
    edges = {(line.start, line.end) for line in atlas.descents}
    assert kinds == {"point": 4, "descent": len(edges)}
    (axes,) = drawing.figure.axes
    drawn = [xy for line in axes.lines for xy in zip(*line.get_data(), strict=True)]
    for point in atlas.points:
        assert any(abs(x - point.index) < 0.5 and y == point.level for x, y in drawn)
    arrows = [note for note in axes.texts if note.arrow_patch is not None]
    assert len(arrows) == len(edges)
    assert all(note.xyann[1] > note.xy[1] for note in arrows)  # every arrow leads down


def test_the_same_atlas_gives_the_same_bytes(atlas, tmp_path):
    first = [path.read_bytes() for path in landscape_figure(atlas).save(tmp_path / "a", "landscape")]
    second = [path.read_bytes() for path in landscape_figure(atlas).save(tmp_path / "b", "landscape")]
    assert first == second


def test_every_eigenvalue_of_every_point_is_in_its_row(atlas):
    spectra = [ufm.spectrum(atlas.problem, point.point) for point in atlas.points]
    drawing = spectra_figure(atlas, spectra)
    for i, levels in enumerate(levels.merged() for levels in spectra):
        rows = [row for row in drawing.rows if row[0] == i]
        assert [row[3] for row in rows] == levels.values.tolist()
        assert sum(row[4] for row in rows) == atlas.problem.num_variables
    negative, zero, positive = drawing.figure.axes
    assert negative.get_xlabel() == "negative: -eigenvalue"
    drawn = {i: [] for i in range(len(spectra))}
    for axes, sign in ((negative, -1), (zero, 0), (positive, 1)):
        for dots in axes.collections:
            for x, y in dots.get_offsets().tolist():
                drawn[int(y)].append(sign * x)
    for i, levels in enumerate(spectra):
        near = levels.merged().values
        assert sorted(drawn[i]) == pytest.approx(
            [0.0 if abs(value) <= levels.tolerance else float(value) for value in near]
        )


def test_numbers_over_a_row_are_its_multiplicities(atlas):
    """Those above 1, each tied by a line to its own marker."""
    spectra = [ufm.spectrum(atlas.problem, point.point) for point in atlas.points]
    for axes, side in zip(spectra_figure(atlas, spectra).figure.axes, (-1, 0, 1), strict=True):
        for i, levels in enumerate(levels.merged() for levels in spectra):
            values = [0.0 if abs(value) <= levels.tolerance else value for value in levels.values.tolist()]
            pairs = zip(values, levels.multiplicities.tolist(), strict=True)
            expected = {abs(value): count for value, count in pairs if count > 1 and (value > 0) - (value < 0) == side}
            written = {text.xy[0]: int(text.get_text()) for text in axes.texts if text.xy[1] == i}
            assert written == pytest.approx(expected)
        assert all(text.arrow_patch is not None for text in axes.texts)
        require_apart(axes)


def test_words_beside_points_are_apart_and_on_none(atlas):
    """Those of each point with equal classes, and of no other."""
    (axes,) = landscape_figure(atlas).figure.axes
    written = [text for text in axes.texts if text.get_text()]
    assert sorted(text.get_text() for text in written) == ["2+1", "3"]
    require_apart(axes)
    centres = axes.transData.transform([xy for line in axes.lines for xy in zip(*line.get_data(), strict=True)])
    for text in written:
        box = Text.get_window_extent(text)
        assert not any(box.contains(*centre) for centre in centres)


def test_of_many_points_the_lowest_are_drawn_and_all_are_in_the_table(atlas, monkeypatch):
    monkeypatch.setattr("figures.theory.spectra.ROWS", 2)
    spectra = [ufm.spectrum(atlas.problem, point.point) for point in atlas.points]
    drawing = spectra_figure(atlas, spectra)
    titles = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert titles == ["f = 0.03884\nminimiser", "f = 0.1109\nindex 2"]
    assert {row[0] for row in drawing.rows} == {0, 1, 2, 3}
    assert "The 2 highest of the 4 points are in the table alone" in drawing.caption


def test_they_are_readable(atlas):
    require_readable(landscape_figure(atlas))
    require_readable(spectra_figure(atlas, [ufm.spectrum(atlas.problem, point.point) for point in atlas.points]))
