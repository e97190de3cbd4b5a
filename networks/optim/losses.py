"""Losses of the logits by name, each the mean over a batch."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from ufm.errors import Setting, require


@dataclass(frozen=True)
class LossRecipe:
    """What the training minimises, weight decay apart."""

    loss: str = "cross-entropy"
    """cross-entropy, mse (on one-hot labels, |z - e_y|^2/2), label-smoothing, focal or bce (a logistic loss a class)"""
    smoothing: float = 0.1
    """of label-smoothing: the part of the label spread evenly over all classes"""
    focusing: float = 2.0
    """of focal: the power of (1 - p_y)"""

    def __post_init__(self):
        require(self.loss in LOSSES, f"unknown loss {self.loss!r}; choose one of: {', '.join(LOSSES)}")
        require(0 <= self.smoothing < 1, (Setting("smoothing"), f" must lie in [0, 1), got {self.smoothing}"))
        require(
            0 <= self.focusing < float("inf"),
            (Setting("focusing"), f" must be a finite number >= 0, got {self.focusing}"),
        )


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe) -> torch.Tensor:
    """mean -log softmax(z)_y."""
    return functional.cross_entropy(logits, labels)


def mean_square(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe) -> torch.Tensor:
    """mean 1/2 |z - e_y|^2, that is |Z - Y|_F^2 / (2 N) as in Zhou et al. 2022 (arXiv 2203.01238).

    torch's MSELoss, which the code released with Zhu et al. 2021 calls, is 2/K times this.
    """
    targets = torch.zeros_like(logits).scatter(1, labels[:, None], 1.0)
    return (logits - targets).square().sum(1).mean() / 2


def smoothed(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe) -> torch.Tensor:
    """Cross-entropy against (1 - s) e_y + s 1/K, s the smoothing (Szegedy et al. 2016, arXiv 1512.00567)."""
    return functional.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)


def focal(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe) -> torch.Tensor:
    """mean (1 - p_y)^g (-log p_y), p = softmax(z), g the focusing (Lin et al. 2017, arXiv 1708.02002).

    1 - p_y is taken as the sum of the others and kept above the dtype's smallest normal number, so that the
    gradient stays finite where p_y rounds to 1, for g < 1 too.
    """
    logs = functional.log_softmax(logits, dim=1)
    own = labels[:, None]
    others = logs.exp().scatter(1, own, 0.0).sum(1).clamp_min(torch.finfo(logs.dtype).tiny)
    return -(others**recipe.focusing * logs.gather(1, own).squeeze(1)).mean()


def binary(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe) -> torch.Tensor:
    """mean sum_k log(1 + exp(-s_k z_k)), s_k = +1 at the own class and -1 elsewhere.

    One logistic loss a class on one-hot labels (Wightman et al. 2021, arXiv 2110.00476). With torch's
    BCEWithLogitsLoss, which is a mean over the classes too, it is K times that.
    """
    targets = torch.zeros_like(logits).scatter(1, labels[:, None], 1.0)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1).mean()


@dataclass(frozen=True)
class Loss:
    """mean(logits (m, K), labels (m,), recipe) is the mean loss of a batch, 0-d.

    law         the name under which theory knows the loss of one sample (`validate.runs.minimised`)
    parameters  the settings that it depends on
    """

    mean: Callable[[torch.Tensor, torch.Tensor, LossRecipe], torch.Tensor]
    law: str
    parameters: tuple[str, ...] = ()

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe) -> torch.Tensor:
        return self.mean(logits, labels, recipe)


LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(cross_entropy, "cross-entropy"),
    "mse": Loss(mean_square, "mse"),
    "label-smoothing": Loss(smoothed, "label-smoothing", ("smoothing",)),
    "focal": Loss(focal, "focal", ("focusing",)),
    "bce": Loss(binary, "bce"),
}
