"""The strip and the animation show the flow's own points, in one scale, with theory's simplex at the end."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

import ufm
from figures.theory.film import Film, filmstrip_figure, write_animation
from tests.figures.looks import require_readable
from ufm import InputError, Point, Problem
from ufm.losses import MeanSquare, SoftCrossEntropy
from ufm.solvers.flow import Frame, gradient_flow
from ufm.solvers.minimize import random_point

PROBLEM = Problem.balanced(3, 4, 2, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)


@pytest.fixture(scope="module")
def frames():
    return gradient_flow(PROBLEM, random_point(PROBLEM), 6)


def test_every_frame_is_a_panel_of_its_points(frames):
    drawing = filmstrip_figure(PROBLEM, frames)
    assert len(drawing.figure.axes) == 6
    scale = (4 * 2e-3 / 5e-3) ** 0.5
    for axes, frame in zip(drawing.figure.axes, frames, strict=True):
        dashed, *pairs = axes.lines
        assert dashed.get_linestyle() == "--"
        for k, (row, features) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
            np.testing.assert_array_equal(row.get_xydata(), [[0, 0], frame.point.W[k].tolist()])
            own = frame.point.H[PROBLEM.labels == k]
            np.testing.assert_allclose(features.get_xydata(), scale * own.numpy())
            assert row.get_color() == features.get_color()
    assert len({line.get_marker() for line in drawing.figure.axes[0].lines[2::2]}) == 3


def test_features_meet_the_rows_at_the_corners_of_the_simplex(frames):
    film = Film.of(PROBLEM, frames)
    last = frames[-1].point
    np.testing.assert_allclose(film.frame, last.W, atol=2e-3)
    np.testing.assert_allclose(film.scale * last.H, last.W[PROBLEM.labels], atol=5e-3)
    assert not np.allclose(film.frame, frames[0].point.W, atol=0.1)


def test_the_simplex_may_be_a_mirror_image():
    """The orbit of the minimiser is all of O(2): a reflection must not be taken for a misfit."""
    best = ufm.global_minimizer(PROBLEM)
    mirrored = best.rotated(torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64))
    film = Film.of(PROBLEM, [Frame(0.0, mirrored, 0.0)])
    np.testing.assert_allclose(film.frame, mirrored.W, atol=1e-12)


def test_without_a_closed_form_there_is_no_simplex():
    problem = Problem.balanced(5, 1, 2, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)
    frames = gradient_flow(problem, random_point(problem), 2)
    drawing = filmstrip_figure(problem, frames)
    assert "Dashed" not in drawing.caption
    assert len(drawing.figure.axes[0].lines) == 10


def test_points_and_their_labels_in_any_order(frames):
    first = frames[0].point
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = Frame(0.0, Point(first.W, first.H[order], first.b, PROBLEM.labels[order]), 0.0)
    a, b = (filmstrip_figure(PROBLEM, [frame]).figure.axes[0] for frame in (frames[0], shuffled))
    for one, other in zip(a.lines[1:], b.lines[1:], strict=True):
        assert {tuple(xy) for xy in one.get_xydata()} == {tuple(xy) for xy in other.get_xydata()}


def test_it_is_readable(frames):
    require_readable(filmstrip_figure(PROBLEM, frames))


def test_the_animation_moves_and_repeats_to_the_byte(frames, tmp_path):
    path = write_animation(PROBLEM, frames, tmp_path / "a.gif")
    with Image.open(path) as image:
        assert image.n_frames == len(frames)
        pictures = []
        for i in range(image.n_frames):
            image.seek(i)
            pictures.append(np.asarray(image.convert("L")))
    assert all((a != b).any() for a, b in pairwise(pictures))
    assert write_animation(PROBLEM, frames, tmp_path / "b.gif").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.gif", "b.gif"]


def test_refuses_what_is_not_in_the_plane():
    problem = Problem.balanced(3, 2, 3, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
    with pytest.raises(InputError, match="it needs d = 2, got d = 3"):
        filmstrip_figure(problem, [Frame(0.0, random_point(problem), 0.0)])


def test_the_minimiser_of_another_loss_is_not_called_a_simplex():
    problem = Problem.balanced(3, 2, 2, lambda_w=2e-2, lambda_h=2e-2, lambda_b=1e-2, loss=MeanSquare())
    drawing = filmstrip_figure(problem, gradient_flow(problem, random_point(problem), 3))
    assert "the minimiser of the closed form" in drawing.caption
    assert "minimiser of theory" in [text.get_text() for text in drawing.figure.legends[0].get_texts()]


def test_types_that_are_not_classes_are_not_drawn():
    loss = SoftCrossEntropy([[1, 0], [0, 1], [0.5, 0.5]])
    problem = Problem((1, 1, 1), 2, 2e-2, 2e-2, 1e-2, loss=loss)
    with pytest.raises(InputError, match="types are the classes"):
        filmstrip_figure(problem, gradient_flow(problem, random_point(problem), 3))
