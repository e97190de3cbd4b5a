"""The closed forms derived by sympy from the objective, apart from the numerical side, so that each checks the other.

symbolic      the tables of results, `derive`, and how each is reached for cross-entropy; the other losses are
              mean_square, label_smoothing and binary_cross_entropy, which start from f of `family`
equivariant   second forms for a number of classes that stays a symbol; stationary: the scale of the minimiser
formulas      one result: its text, LaTeX and JSON, and its numbers for a problem
"""

from .formulas import SYMBOLS, Result, characteristic, latex
from .symbolic import LOSSES, SYMBOLS_OF, TOPICS, derive

__all__ = ["LOSSES", "SYMBOLS", "SYMBOLS_OF", "TOPICS", "Result", "characteristic", "derive", "latex"]
