"""Metrics and analyses of a Point, whether it came from a network or from the theory."""

from .collect import collect
from .compare import Comparison, compare
from .metrics import NeuralCollapse, neural_collapse
from .record import Run

__all__ = ["Comparison", "NeuralCollapse", "Run", "collect", "compare", "neural_collapse"]
