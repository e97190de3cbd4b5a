"""Moments of a stream: what is merged, and what is refused."""

import pytest
import torch

from ufm import InputError
from validate.statistics.classes import ClassStatistics
from validate.statistics.moments import Moments


def moments(scatter: bool) -> Moments:
    found = Moments.zero(2, 3, scatter=scatter)
    found.update(torch.eye(3), torch.tensor([0, 1, 1]))
    return found


def test_two_parts_are_the_whole():
    whole, merged = Moments.zero(2, 3), moments(True)
    whole.update(torch.eye(3).repeat(2, 1), torch.tensor([0, 1, 1]).repeat(2))
    merged.merge(moments(True))
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(merged, name), value)


def test_a_scatter_that_the_other_part_lacks_is_missed_before_anything_is_merged():
    kept = moments(True)
    with pytest.raises(InputError, match="the other moments have no scatter"):
        kept.merge(moments(False))
    assert kept.counts.tolist() == [1, 2]
    kept = moments(False)
    kept.merge(moments(True))
    assert kept.counts.tolist() == [2, 4]


def test_statistics_of_one_pass_need_the_scatter():
    with pytest.raises(InputError, match="the moments have no scatter"):
        ClassStatistics.of_moments(moments(False))
