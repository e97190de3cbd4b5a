"""Pictures of a point keep the angles and lengths of its rows, or say how much of them they hold."""

import numpy as np
import pytest
import torch

from figures.pages.scene import scene
from ufm import Point


def point_of(W: np.ndarray, H: np.ndarray) -> Point:
    return Point(torch.from_numpy(W), torch.from_numpy(H), torch.zeros(len(W), dtype=torch.float64))


def places(tips, count) -> np.ndarray:
    """Row by row, from the tips."""
    found = np.full((count, len(tips[0].at)), np.nan)
    for tip in tips:
        found[[k - 1 for k in tip.rows]] = tip.at
    return found


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gram_matrices_are_kept_up_to_three_axes(rank):
    rng = np.random.default_rng(rank)
    basis = rng.standard_normal((rank, 7))
    W, H = rng.standard_normal((5, rank)) @ basis, rng.standard_normal((5, rank)) @ basis
    found = scene(point_of(W, H), rank)
    rows, features = places(found.rows, 5), places(found.features, 5)
    np.testing.assert_allclose(rows @ rows.T, W @ W.T, atol=1e-12)
    unit = np.linalg.norm(W, axis=1).max() / np.linalg.norm(H, axis=1).max()
    np.testing.assert_allclose(rows @ features.T, unit * W @ H.T, atol=1e-12)
    assert np.linalg.norm(features, axis=1).max() == pytest.approx(np.linalg.norm(W, axis=1).max())
    assert (found.rank, found.share) == (rank, 1.0)


def test_beyond_three_axes_the_leading_ones_are_drawn_and_their_share_is_said():
    W = np.random.default_rng(0).standard_normal((6, 5))
    found = scene(point_of(W, W), 5)
    sizes = np.linalg.eigvalsh(W.T @ W)[::-1]
    assert found.share == pytest.approx(sizes[:3].sum() / sizes.sum())
    rows = places(found.rows, 6)
    np.testing.assert_allclose(np.linalg.eigvalsh(rows.T @ rows)[::-1], sizes[:3])


def test_equal_rows_are_one_tip_and_the_origin_has_no_axes():
    W = np.array([[1.0, 0.0], [-2.0, 1.0], [1.0, 0.0]])
    assert [tip.rows for tip in scene(point_of(W, W), 2).rows] == [(1, 3), (2,)]
    found = scene(point_of(0 * W, 0 * W), 0)
    assert [(tip.rows, tip.at) for tip in found.rows] == [((1, 2, 3), ())]


def test_the_same_point_gives_the_same_picture_whatever_the_signs_of_its_axes():
    W = np.random.default_rng(1).standard_normal((4, 3))
    flipped = W * [-1.0, 1.0, -1.0]
    one, other = (places(scene(point_of(x, x), 3).rows, 4) for x in (W, flipped))
    np.testing.assert_allclose(one, other, atol=1e-12)
