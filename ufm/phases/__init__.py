"""The phase diagram of imbalance: which groups of equal classes are one point at the certified minimiser.

cell  one problem: its minimiser, its certificate, how far apart the classes of each group are, and what theory says
grid  the same over the minority's size and lambda, resumable
"""

from ..grids import explore
from .cell import Cell, Party, survey, survey_all
from .grid import Grid

__all__ = ["Cell", "Grid", "Party", "explore", "survey", "survey_all"]
