"""Charts: points that hide none of each other, ticks that can be read, arrows between marks."""

import math
import re

import numpy as np
import pytest

from figures.pages.chart import arrow, box, disc, swarm, ticks


def nearest(xs, heights) -> float:
    places = np.array(list(zip(xs, heights, strict=True)))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    return float((apart + np.diag(np.full(len(places), np.inf))).min())


@pytest.mark.parametrize("seed", range(3))
def test_no_two_points_of_a_swarm_are_nearer_than_asked(seed):
    rng = np.random.default_rng(seed)
    heights = [*rng.uniform(0, 300, 60), *[150.0] * 9, *rng.uniform(149, 151, 12)]
    xs = swarm(heights, 20.0)
    assert nearest(xs, heights) > 20.0 - 1e-6
    assert nearest([0.0] * len(heights), heights) < 1e-9  # without it they hide each other


def test_points_that_do_not_touch_stay_on_the_line():
    assert swarm([0.0, 30.0, 60.0], 20.0) == [0.0, 0.0, 0.0]
    assert sorted(swarm([5.0, 5.0, 5.0], 20.0)) == [-20.0, 0.0, 20.0]


@pytest.mark.parametrize(("low", "high"), [(1e-3, 2.0), (1.0, 1.2), (0.4, 3.0), (1e-12, 1e-2)])
def test_ticks_are_within_and_a_few(low, high):
    found = ticks(low, high)
    assert all(low <= value <= high for value in found)
    assert 3 <= len(found) <= 15
    assert found == sorted(set(found))


def test_an_arrow_ends_clear_of_both_marks():
    numbers = [float(x) for x in re.findall(r"-?\d+\.?\d*", arrow((0.0, 0.0), (100.0, 50.0), 10.0))]
    start, end = numbers[:2], numbers[4:6]
    assert math.hypot(*start) == pytest.approx(10.0, abs=0.1)
    assert math.hypot(end[0] - 100, end[1] - 50) == pytest.approx(11.0, abs=0.1)


def test_outlines_are_closed():
    assert all(outline.startswith("M") and outline.endswith("z") for outline in (disc(3.0), box(2.0, 4.0)))
