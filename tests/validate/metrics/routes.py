"""Features of classes, drawn; the three routes of the metrics; two sets of numbers that agree."""

from dataclasses import asdict

import pytest
import torch

from ufm import Point
from validate import NeuralCollapseMetric, batch_neural_collapse, neural_collapse

DECISIONS = {"nearest_center_disagreement", "nearest_center_accuracy"}


def draw(counts, d=5, noise=0.4, dtype=torch.float64, seed=0):
    """A point whose features lie about 2 w_k, with so many samples of each class, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    K = len(counts)
    W, b = torch.randn(K, d, generator=generator).double() + 0.3, 0.1 * torch.randn(K, generator=generator).double()
    H = 2 * W[labels] + noise * torch.randn(len(labels), d, generator=generator).double() + 0.7
    return Point(W.to(dtype), H.to(dtype), b.to(dtype)), labels


def of_point(point, labels, **asked):
    return asdict(neural_collapse(point, labels, **asked))


def of_batches(point, labels, **asked):
    batches = list(zip(point.H.split(7), labels.split(7), strict=True))
    return asdict(batch_neural_collapse(batches, point.W, point.b, **asked))


def streamed(point, labels, **asked):
    layer = torch.nn.Linear(point.dim, point.num_classes, dtype=point.W.dtype)
    layer.weight.data, layer.bias.data = point.W.clone(), point.b.clone()
    metric = NeuralCollapseMetric(point.num_classes, head=layer, **asked)
    for H, y in zip(point.H.split(7), labels.split(7), strict=True):
        metric.update(H, y)
    return {name: float(value) for name, value in metric.compute().items()}


ROUTES = [of_point, of_batches, streamed]


def agree(found, expected, rel=1e-9, without=frozenset()):
    for name, value in expected.items():
        if name not in without:
            assert found[name] == pytest.approx(value, rel=rel, abs=1e-13), name
