"""The picture of the landscape shows every point and every connection of an atlas, reproducibly."""

from collections import Counter

import pytest

import ufm
from figures.landscape import landscape_figure


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
