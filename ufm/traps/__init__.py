"""Local minimisers that are not global: how often descents end in them, and for which K, d and lambda.

descents   where the descents of one problem end, `survey`
grid       the same over K, d and lambda, or the scale of spheres, resumable
codes      the one-vs-rest distance of an end, and that of softmax codes, which is the largest, where it is known
code_search  a search for softmax codes where it is not
"""

from .descents import TOL, Cell, End, Ending, survey
from .grid import Grid, SpheresGrid

__all__ = ["TOL", "Cell", "End", "Ending", "Grid", "SpheresGrid", "survey"]
