"""How the critical points of balanced cross-entropy on a line (d = 1) change with rho or lambda_b.

path      the problems along which is gone            curve    one curve of critical points, by arclength
branches  a curve cut at its events: folds, pitchforks, crossings
looks     atlases at some places of the path, kept in a file
diagram   the whole critical set along a path, from atlases, with Euler sums between its events
"""

from .diagram import Branch, Diagram, Event, diagram, kept_diagram
from .path import Path

__all__ = ["Branch", "Diagram", "Event", "Path", "diagram", "kept_diagram"]
