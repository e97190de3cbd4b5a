"""Metrics and analyses of a Point, whether it came from a network or from the theory."""

from .collect import collect
from .compare import Comparison, compare, compare_run, not_covered
from .layer import LastLayer, last_layer
from .metrics import NeuralCollapse, neural_collapse
from .record import Run

__all__ = [
    "Comparison",
    "LastLayer",
    "NeuralCollapse",
    "Run",
    "collect",
    "compare",
    "compare_run",
    "last_layer",
    "neural_collapse",
    "not_covered",
]
