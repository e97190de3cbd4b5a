"""Losses of the logits, one a file: value, slope, curvature and convex conjugate, each a few tensor lines."""

from ..errors import require
from .cross_entropy import CrossEntropy
from .loss import Loss

LOSSES: dict[str, type[Loss]] = {"cross-entropy": CrossEntropy}  # by the name that records have

__all__ = ["LOSSES", "CrossEntropy", "Loss", "named"]


def named(name: str) -> Loss:
    """The loss of that name. Raises InputError for an unknown one."""
    require(name in LOSSES, f"unknown loss {name!r}; choose one of: {', '.join(LOSSES)}")
    return LOSSES[name]()
