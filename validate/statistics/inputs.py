"""What a caller hands to the metrics, told apart from what looks like it."""

from typing import Any

import torch

from ufm import Point
from ufm.errors import require


def measurable(point: Any) -> Point:
    """The point, of which no tensor tracks gradients. Raises InputError where it is something else."""
    require(
        isinstance(point, Point),
        f"metrics are of a ufm.Point, got {type(point).__name__}; ufm.Point(W, H, b) makes one, and "
        "validate.collect(model, loader) those of a model, with its labels",
    )
    return point.detach()


def labelled(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(features, labels) of a batch. Raises InputError where it is no such pair of tensors."""
    pair = isinstance(batch, list | tuple) and len(batch) == 2
    require(
        pair and all(isinstance(part, torch.Tensor) for part in batch),
        f"batches must be pairs of tensors (features (m, d), labels (m,)), got one of {_said(batch)}; "
        "of a single batch: [(features, labels)]",
    )
    return batch[0], batch[1]


def _said(batch: Any) -> str:
    if isinstance(batch, list | tuple):
        return f"({', '.join(type(part).__name__ for part in batch[:4])})"
    return type(batch).__name__
