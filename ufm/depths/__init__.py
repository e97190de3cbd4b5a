"""The diagram of depth: the rank of the best point of a deep linear model over K, L and lambda, beside the simplex ETF.

cell  one model: its best point with the exact verdict of its Hessian, a lower bound, and the best simplex ETF
grid  the same over the number of classes, the number of factors and the decay, resumable
"""

from ..grids import explore
from .cell import Cell, Frame, survey
from .grid import Grid

__all__ = ["Cell", "Frame", "Grid", "explore", "survey"]
