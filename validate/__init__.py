"""Metrics and analyses of a Point, whether it came from a network or from the theory."""

from importlib import import_module
from typing import Any

from .layerwise.layer import Layer, Layers
from .layerwise.layers import layers
from .loops.callbacks import CollapseRecorder
from .loops.collect_tokens import collect_tokens
from .loops.contexts import Contexts, collect_contexts
from .loops.tokens import Tokens
from .metrics.generalized import GeneralizedCollapse, generalized_collapse
from .metrics.last_layer import LastLayer, last_layer
from .metrics.neural_collapse import NeuralCollapse, batch_neural_collapse, neural_collapse
from .metrics.per_class import per_class
from .models.causal import TokenFeatures
from .models.collect import Features, collect
from .runs.minimised import HeadFacts, LossFacts, Minimised
from .runs.run import Run
from .statistics.estimate import Estimate
from .theory.compare import Comparison, NotComparable, compare
from .theory.compare_run import compare_run, not_covered
from .theory.locate import Neighbourhood, locate
from .theory.nearer import Deviation, nearer
from .theory.on_spheres import OnSpheres, compare_on_spheres, compare_run_on_spheres
from .theory.theorems import theorems

__all__ = [
    "CollapseCallback",
    "CollapseRecorder",
    "CollapseTrainerCallback",
    "Comparison",
    "Contexts",
    "Deviation",
    "Estimate",
    "Features",
    "GeneralizedCollapse",
    "HeadFacts",
    "LastLayer",
    "Layer",
    "Layers",
    "LossFacts",
    "Minimised",
    "Neighbourhood",
    "NeuralCollapse",
    "NeuralCollapseMetric",
    "NotComparable",
    "OnSpheres",
    "Run",
    "TokenFeatures",
    "Tokens",
    "batch_neural_collapse",
    "collect",
    "collect_contexts",
    "collect_tokens",
    "compare",
    "compare_on_spheres",
    "compare_run",
    "compare_run_on_spheres",
    "generalized_collapse",
    "last_layer",
    "layers",
    "locate",
    "nearer",
    "neural_collapse",
    "not_covered",
    "per_class",
    "theorems",
]


# What imports a library that takes a while, or may not be there, waits until it is asked for.
LATER = {
    "NeuralCollapseMetric": "streaming",
    "CollapseCallback": "lightning",
    "CollapseTrainerCallback": "trainer",
}


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(import_module(f".loops.{LATER[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
