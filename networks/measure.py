"""One epoch's measurement: the training Point and every metric, of a model and a data set."""

import dataclasses
from collections.abc import Iterable
from contextlib import contextmanager

import torch

from ufm import Point
from validate import NeuralCollapse, collect, last_layer, neural_collapse, tiers
from validate.metrics.neural_collapse import collapse
from validate.metrics.tiers import TIERS
from validate.statistics.classes import class_statistics

from .data.images import Images
from .distributed import ALONE, Ranks
from .models.build import Classifier

EVALUATION_BATCH = 2048
BY_TIER = {name: f"test_accuracy_{name}" for name in TIERS}
# What depends on the test features once the centres are the training set's; the other metrics are of these alone.
HELD_OUT = ("nc1", "nc1_quotient", "nc1_worst_class", "cdnv", "nearest_center_disagreement", "nearest_center_accuracy")


def batches(data: Images, images: torch.Tensor, labels: torch.Tensor) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """The images of a data set in order, in batches for evaluation."""
    for batch, answers in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        yield data.normalized(batch), answers


def tier_columns(images: Images) -> dict[str, list[int]]:
    """The classes of head, middle and tail of the training set by their columns; none where it is balanced."""
    counts = images.class_counts
    return {BY_TIER[name]: classes for name, classes in (tiers(counts) if min(counts) else {}).items()}


def _by_tier(images: Images, ranks: Ranks, right: torch.Tensor) -> dict[str, float]:
    """The test accuracy of each tier, averaged over its classes; right (m,) are the labels of this process's hits."""
    columns = tier_columns(images)
    if not columns:
        return {}
    hits, asked = (torch.bincount(y, minlength=images.num_classes).double() for y in (right, images.test_labels))
    accuracy = ranks.sum(hits) / asked  # NaN of a class without test images
    return {column: float(accuracy[classes].nanmean()) for column, classes in columns.items()}


@contextmanager
def full_precision():
    """Convolutions in float32 proper: by default cuDNN rounds what enters them to TF32's ten bits of mantissa."""
    cudnn = torch.backends.cudnn
    kept = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
    with cudnn.flags(**kept, allow_tf32=False):
        yield


def training_point(model: Classifier, images: Images, ranks: Ranks = ALONE) -> Point:
    """The last layer with every training feature and label, in eval mode; the same in all processes."""
    shares = batches(images, ranks.share(images.train_images), ranks.share(images.train_labels))
    with full_precision():
        point, _ = ranks.agreed(lambda: collect(model, shares, head=model.head))
    features = ranks.gather(point.H, len(images.train_labels))
    return dataclasses.replace(point, H=features, labels=images.train_labels)


def measure(model: Classifier, images: Images, ranks: Ranks = ALONE) -> tuple[Point, dict[str, float]]:
    """(training Point with labels, the metrics of one epoch), in eval mode, metrics in float64.

    Columns test_... are of the test features: accuracy, and the metrics of HELD_OUT about the training centres.
    Each process runs its share of the data through the model; all of them return the same.
    """
    point = training_point(model, images, ranks)
    test_batches = batches(images, ranks.share(images.test_images), ranks.share(images.test_labels))
    with full_precision():
        test_point, test_labels = ranks.agreed(lambda: collect(model, test_batches, head=model.head))
    hit = test_point.logits.argmax(1) == test_labels
    right = ranks.sum(hit.double().sum())
    gathered = ranks.gather(test_point.H, len(images.test_labels))
    test_point = dataclasses.replace(test_point, H=gathered, labels=images.test_labels)
    centres = class_statistics(point)
    row = dataclasses.asdict(last_layer(point)) | {"test_accuracy": float(right / len(images.test_labels))}
    row |= _by_tier(images, ranks, test_labels[hit])
    row |= dataclasses.asdict(collapse(centres, point.W, point.b))
    row |= _of_test(neural_collapse(test_point, reference=centres))
    return point, {name: float(value) for name, value in row.items()}


def _of_test(found: NeuralCollapse) -> dict[str, float]:
    return {f"test_{name}": getattr(found, name) for name in HELD_OUT}
