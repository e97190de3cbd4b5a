"""Metrics and analyses of a Point, whether it came from a network or from the theory."""

from typing import Any

from .callbacks import CollapseRecorder
from .classes import per_class
from .collect import Features, collect
from .compare import Comparison, NotComparable, compare, compare_run, not_covered
from .estimate import Estimate
from .generalized import GeneralizedCollapse, generalized_collapse
from .layer import LastLayer, last_layer
from .metrics import NeuralCollapse, batch_neural_collapse, neural_collapse
from .neighbourhood import Neighbourhood, locate
from .record import Run
from .verdicts import theorems

__all__ = [
    "CollapseRecorder",
    "Comparison",
    "Estimate",
    "Features",
    "GeneralizedCollapse",
    "LastLayer",
    "Neighbourhood",
    "NeuralCollapse",
    "NeuralCollapseMetric",
    "NotComparable",
    "Run",
    "batch_neural_collapse",
    "collect",
    "compare",
    "compare_run",
    "generalized_collapse",
    "last_layer",
    "locate",
    "neural_collapse",
    "not_covered",
    "per_class",
    "theorems",
]


def __getattr__(name: str) -> Any:
    """torchmetrics takes a while to import, so it waits until its metric is asked for."""
    if name == "NeuralCollapseMetric":
        from .streaming import NeuralCollapseMetric

        return NeuralCollapseMetric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
