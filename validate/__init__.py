"""Metrics and analyses of a Point, whether it came from a network or from the theory."""

from importlib import import_module
from typing import Any

from .layerwise.layer import Layer, Layers
from .layerwise.layers import layers
from .loops.callbacks import CollapseRecorder
from .loops.collect_tokens import collect_tokens
from .loops.contexts import Contexts, collect_contexts
from .loops.tokens import Tokens
from .metrics.alignment import Alignment, alignment
from .metrics.by_group import by_group
from .metrics.definitions import Definitions
from .metrics.frames import Frames, frames
from .metrics.generalized import GeneralizedCollapse, generalized_collapse
from .metrics.hyperspherical import Hyperspherical, hyperspherical
from .metrics.last_layer import LastLayer, last_layer
from .metrics.multilabel import MultilabelCollapse, TagwiseAverage, multilabel_collapse
from .metrics.neural_collapse import NeuralCollapse, batch_neural_collapse, neural_collapse
from .metrics.per_class import per_class
from .metrics.regression import RegressionCollapse, regression_collapse
from .metrics.tiers import tiers
from .models.causal import TokenFeatures
from .models.collect import Features, collect
from .runs.minimised import HeadFacts, LossFacts, Minimised
from .runs.run import Run
from .statistics.estimate import Estimate
from .statistics.moments import Moments
from .theory.compare import Comparison, NotComparable, compare
from .theory.compare_run import compare_run, not_covered
from .theory.locate import Neighbourhood, locate
from .theory.nearer import Deviation, Deviations, nearer
from .theory.on_spheres import OnSpheres, compare_on_spheres, compare_run_on_spheres
from .theory.theorems import theorems

__all__ = [
    "Alignment",
    "CollapseCallback",
    "CollapseRecorder",
    "CollapseTrainerCallback",
    "Comparison",
    "Contexts",
    "Definitions",
    "Detection",
    "Deviation",
    "Deviations",
    "Estimate",
    "Features",
    "Frames",
    "GeneralizedCollapse",
    "HeadFacts",
    "Hyperspherical",
    "LastLayer",
    "Layer",
    "Layers",
    "LossFacts",
    "Minimised",
    "Moments",
    "MultilabelCollapse",
    "Neighbourhood",
    "NeuralCollapse",
    "NeuralCollapseMetric",
    "NotComparable",
    "OnSpheres",
    "OutOfDistribution",
    "RegressionCollapse",
    "Run",
    "TagwiseAverage",
    "TokenFeatures",
    "Tokens",
    "alignment",
    "batch_neural_collapse",
    "by_group",
    "collect",
    "collect_contexts",
    "collect_tokens",
    "compare",
    "compare_on_spheres",
    "compare_run",
    "compare_run_on_spheres",
    "frames",
    "generalized_collapse",
    "hyperspherical",
    "last_layer",
    "layers",
    "locate",
    "multilabel_collapse",
    "nearer",
    "neural_collapse",
    "not_covered",
    "out_of_distribution",
    "per_class",
    "regression_collapse",
    "theorems",
    "tiers",
]


# What imports a library that takes a while, or may not be there, waits until it is asked for.
LATER = {
    "CollapseCallback": "loops.lightning",
    "CollapseTrainerCallback": "loops.trainer",
    "Detection": "metrics.out_of_distribution",
    "NeuralCollapseMetric": "loops.streaming",
    "OutOfDistribution": "metrics.out_of_distribution",
    "out_of_distribution": "metrics.out_of_distribution",
}


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(import_module(f".{LATER[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
