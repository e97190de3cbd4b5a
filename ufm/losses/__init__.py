"""Losses of the logits, one a file: value, slope, curvature and convex conjugate, each a few tensor lines."""

from .cross_entropy import CrossEntropy
from .loss import Loss

__all__ = ["CrossEntropy", "Loss"]
