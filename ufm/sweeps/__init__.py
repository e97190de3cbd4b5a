"""Many small problems at once: the stack of their objectives, Newton's method on it, and the sweep."""

from .sweep import sweep

__all__ = ["sweep"]
