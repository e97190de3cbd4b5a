"""The optimiser of a run and the schedule of its learning rate."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from ufm.errors import require


@dataclass(frozen=True)
class OptimizerRecipe:
    """SGD with momentum and weight decay on every parameter; the learning rate falls in steps."""

    batch_size: int = 280
    """samples a step, at most (an epoch is cut into batches as equal as can be)"""
    lr: float = 0.02
    """learning rate of SGD"""
    momentum: float = 0.9
    """momentum of SGD"""
    weight_decay: float = 5e-3
    """weight decay on every parameter: lambda in (lambda/2) |parameter|^2 beside the mean loss"""
    patience: int = 300
    """epochs between two reductions of the learning rate"""
    gamma: float = 0.1
    """the factor of each reduction"""

    def __post_init__(self):
        require(self.batch_size >= 2, f"batch_size must be >= 2, got {self.batch_size}")
        require(self.patience >= 1, f"patience must be >= 1, got {self.patience}")
        for name in ("lr", "gamma"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f"{name} must be a finite number > 0, got {value}")
        require(0 <= self.momentum < 1, f"momentum must lie in [0, 1), got {self.momentum}")
        require(
            math.isfinite(self.weight_decay) and self.weight_decay > 0,
            f"weight_decay must be a finite number > 0 (the theory needs decay), got {self.weight_decay}",
        )


def build_optimizer(recipe: OptimizerRecipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe over all parameters of a model."""
    return torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def learning_rate(recipe: OptimizerRecipe, epoch: int) -> float:
    """The learning rate in an epoch (the first is 1)."""
    return recipe.lr * recipe.gamma ** ((epoch - 1) // recipe.patience)
