"""The language of results: the words for what was found, and every result as plain data and back."""

from .estimate import Estimate
from .plain import Result, from_plain, plain
from .words import PointVerdict, Status

__all__ = ["Estimate", "PointVerdict", "Result", "Status", "from_plain", "plain"]
