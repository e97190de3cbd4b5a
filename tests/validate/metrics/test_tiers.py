"""Head, middle and tail: thirds of log n_k, the same for profiles that are geometric, stepped, or in any order."""

import numpy as np
import pytest

from ufm import InputError
from validate import tiers

CASES = {
    "geometric": ([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], ([0, 1, 2], [3, 4, 5], [6, 7, 8, 9])),
    "stepped": ([100] * 3 + [10] * 2, ([0, 1, 2], [], [3, 4])),
    "another order": ([10, 1000, 100, 90, 1000], ([1, 4], [2, 3], [0])),
    "nearly equal": ([100, 51, 80], ([], [], [])),
    "twice as many": ([100, 50], ([0], [], [1])),
}


@pytest.mark.parametrize(("counts", "expected"), CASES.values(), ids=CASES)
def test_thirds_of_log_n(counts, expected):
    found = tiers(counts)
    assert tuple(found.get(name, []) for name in ("head", "middle", "tail")) == expected
    assert all(found.values())


def test_against_numpy_at_random_counts():
    draw = np.random.default_rng(0)
    for counts in np.exp(draw.uniform(0, 8, (20, 12))).astype(int) + 1:
        bounds = np.linspace(np.log(counts.max()), np.log(counts.min()), 4)
        found = tiers(counts.tolist())
        for i, name in enumerate(("head", "middle", "tail")):
            inside = (np.log(counts) <= bounds[i]) & (np.log(counts) > bounds[i + 1] if i < 2 else True)
            assert found.get(name, []) == np.flatnonzero(inside).tolist()


def test_thirds_of_n_are_other_groups():
    """Planted: without the logarithm only the first two of ten geometric classes are the head."""
    counts = CASES["geometric"][0]
    linear = [k for k, n in enumerate(counts) if n > counts[0] - (counts[0] - counts[-1]) / 3]
    assert tiers(counts)["head"] != linear


@pytest.mark.parametrize("counts", [[], [3, 0]])
def test_refuses_classes_without_samples(counts):
    with pytest.raises(InputError, match="tiers need samples of every class"):
        tiers(counts)
