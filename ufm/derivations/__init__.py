"""The closed forms derived by sympy from the objective, apart from the numerical side, so that each checks the other.

symbolic      the table of results, `derive`, and how each is reached
equivariant   second forms for a number of classes that stays a symbol; stationary: the scale of the minimiser
formulas      one result: its text, LaTeX and JSON, and its numbers for a problem
"""

from .formulas import SYMBOLS, Result, characteristic, latex
from .symbolic import TOPICS, derive

__all__ = ["SYMBOLS", "TOPICS", "Result", "characteristic", "derive", "latex"]
