"""What the tests of searches over ranges share: problems, their atlases, and systems."""

from functools import cache

import ufm
from ufm import Problem
from ufm.completeness.ranges.system import System

THREE = Problem.balanced(3, 2, 1, lambda_w=0.1, lambda_h=0.05, bias=False)
FOUR = Problem.balanced(4, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False)
SYSTEMS = {
    "a line": System((2, 2, 2, 2), 0.1, 0.05, None, rank=1),
    "a plane": System((1, 1, 1, 1), 0.1, 0.1, None, rank=2),
    "a plane of unequal classes, smoothed": System((1, 4, 2, 2), 0.1, 0.1, None, 0.2, rank=2),
    "a line, with a bias": System((3, 1, 1, 2), 0.1, 0.05, 0.1, 0.1, rank=1),
    "a plane, with a bias": System((1, 1, 3, 2), 0.1, 0.1, 0.0, rank=2),
    "of K = 5": System((1, 1, 1, 1, 1), 0.1, 0.1, None, rank=3),
}


@cache
def atlas(problem: Problem):
    return ufm.explore(problem, until_quiet=5)
