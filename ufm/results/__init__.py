"""The language of results: the words for what was found, every result as plain data and back, and as a table."""

from .estimate import Estimate
from .plain import Result, from_plain, plain
from .table import Shown, Table
from .words import PointVerdict, Status

__all__ = ["Estimate", "PointVerdict", "Result", "Shown", "Status", "Table", "from_plain", "plain"]
