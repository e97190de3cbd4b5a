"""The optimiser of a run: what it is, what it decays, and how it takes a step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ufm.errors import Setting, require

from .losses import LossRecipe
from .schedules import ScheduleRecipe
from .steps import Step, closure_step, first_order_step


@dataclass(frozen=True)
class OptimizerRecipe(ScheduleRecipe, LossRecipe):
    """What is minimised, by which method, in which steps."""

    optimizer: str = "sgd"
    """sgd, adam, adamw or lbfgs (strong Wolfe)"""
    batch_size: int = 280
    """samples a step, at most (an epoch is cut into batches as equal as can be)"""
    lr: float = 0.02
    """learning rate; for lbfgs the first step length that the line search tries"""
    momentum: float = 0.9
    """momentum of sgd"""
    history_size: int = 10
    """of lbfgs: pairs kept for the curvature"""
    max_iter: int = 20
    """of lbfgs: iterations on each batch, at most"""
    weight_decay: float = 5e-3
    """lambda in (lambda/2) |parameter|^2 beside the mean loss, on every parameter (adamw: decoupled, no penalty)"""
    feature_decay: float = 0.0
    """c in (c/2) mean_i |h_i|^2 beside the mean loss, that is N lambda_h; above 0, weight decay acts on the last layer
    only"""

    def __post_init__(self):
        ScheduleRecipe.__post_init__(self)
        LossRecipe.__post_init__(self)
        known = ", ".join(OPTIMIZERS)
        require(self.optimizer in OPTIMIZERS, f"unknown optimizer {self.optimizer!r}; choose one of: {known}")
        require(self.batch_size >= 2, (Setting("batch_size"), f" must be >= 2, got {self.batch_size}"))
        for name in ("history_size", "max_iter"):
            require(getattr(self, name) >= 1, (Setting(name), f" must be >= 1, got {getattr(self, name)}"))
        require(math.isfinite(self.lr) and self.lr > 0, (Setting("lr"), f" must be a finite number > 0, got {self.lr}"))
        require(0 <= self.momentum < 1, (Setting("momentum"), f" must lie in [0, 1), got {self.momentum}"))
        require(
            math.isfinite(self.weight_decay) and self.weight_decay > 0,
            (
                Setting("weight_decay"),
                f" must be a finite number > 0 (the theory needs decay), got {self.weight_decay}",
            ),
        )
        require(
            0 <= self.feature_decay < math.inf,
            (Setting("feature_decay"), f" must be a finite number >= 0, got {self.feature_decay}"),
        )


Groups = list[dict[str, Any]]


def sgd(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)


def adam(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Weight decay enters the gradient: it is the penalty that the theory has."""
    return torch.optim.Adam(groups, lr=recipe.lr)


def adamw(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Weight decay shrinks the parameters beside the step: no penalty has these fixed points."""
    return torch.optim.AdamW(groups, lr=recipe.lr)


def lbfgs(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """torch's L-BFGS knows no decay: the objective carries the penalty."""
    return torch.optim.LBFGS(
        [parameter for group in groups for parameter in group["params"]],
        lr=recipe.lr,
        max_iter=recipe.max_iter,
        history_size=recipe.history_size,
        line_search_fn="strong_wolfe",
    )


@dataclass(frozen=True)
class Method:
    """build makes the optimiser, step takes one step with it.

    decays      it knows weight decay itself; where it does not, the objective carries the penalty
    tracks      steps update the running statistics of batch normalisation; where not, the epoch's end does
    no_penalty  why its weight decay is not the gradient of lambda/2 |parameter|^2, a sentence; empty where it is
    """

    build: Callable[[Groups, OptimizerRecipe], torch.optim.Optimizer]
    step: Step
    decays: bool = True
    tracks: bool = True
    no_penalty: str = ""


DECOUPLED = "adamw's weight decay is decoupled: it is the gradient of no penalty, as the comparison needs"
OPTIMIZERS: dict[str, Method] = {
    "sgd": Method(sgd, first_order_step),
    "adam": Method(adam, first_order_step),
    "adamw": Method(adamw, first_order_step, no_penalty=DECOUPLED),
    "lbfgs": Method(lbfgs, closure_step, decays=False, tracks=False),
}


def decayed(recipe: OptimizerRecipe, model: nn.Module) -> list[nn.Parameter]:
    """The parameters that weight decay acts on: all that are trained, or the last layer's beside a feature decay."""
    part = model.head if recipe.feature_decay else model
    return [parameter for parameter in part.parameters() if parameter.requires_grad]


def build_optimizer(recipe: OptimizerRecipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe over all trained parameters of a model."""
    shrinking = decayed(recipe, model)
    chosen = {id(parameter) for parameter in shrinking}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    groups = [
        {"params": shrinking, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return OPTIMIZERS[recipe.optimizer].build([group for group in groups if group["params"]], recipe)
