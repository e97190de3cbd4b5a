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

    mixup: float = 0.0
    """alpha: a step sees mixtures of two images of its batch, in shares s and 1 - s with s from Beta(alpha, alpha), and
    their losses mixed likewise; 0: no mixtures"""
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
    """lambda in (lambda/2) |parameter|^2 beside the mean loss, on every parameter (adamw: decoupled, no penalty); may
    be 0"""
    decay_backbone: float | None = None
    """lambda of the weights of the layers before the last, in place of weight_decay"""
    decay_biases: float | None = None
    """lambda of normalisation layers and biases (parameters of one axis), b of the last layer among them, likewise"""
    decay_head: float | None = None
    """lambda of W, the last layer's weights, likewise"""
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
        for name in ("mixup", "weight_decay", "decay_backbone", "decay_biases", "decay_head", "feature_decay"):
            value = getattr(self, name)
            good = value is None or 0 <= value < math.inf
            require(good, (Setting(name), f" must be a finite number >= 0, got {value}"))
        require(
            not self.feature_decay or self.decay_backbone is None,
            ("beside ", Setting("feature_decay"), " the layers before the last have no decay"),
            ("leave ", Setting("decay_backbone"), " out"),
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
    alone       steps stand alone: a change of the parameters in between makes nothing wrong that the next one uses
    no_penalty  why its weight decay is not the gradient of lambda/2 |parameter|^2, a sentence; empty where it is
    """

    build: Callable[[Groups, OptimizerRecipe], torch.optim.Optimizer]
    step: Step
    decays: bool = True
    tracks: bool = True
    alone: bool = True
    no_penalty: str = ""


DECOUPLED = "adamw's weight decay is decoupled: it is the gradient of no penalty, as the comparison needs"
OPTIMIZERS: dict[str, Method] = {
    "sgd": Method(sgd, first_order_step),
    "adam": Method(adam, first_order_step),
    "adamw": Method(adamw, first_order_step, no_penalty=DECOUPLED),
    "lbfgs": Method(lbfgs, closure_step, decays=False, tracks=False, alone=False),
}


@dataclass(frozen=True)
class Decays:
    """lambda of each group of parameters: of the last layer W and b, of what comes before it weights and the rest.

    biases  of those layers, and their normalisation: parameters of one axis
    """

    weights: float
    biases: float
    W: float
    b: float


def decays_of(recipe: OptimizerRecipe) -> Decays:
    """What a recipe asks: one lambda for all but where a group has its own; beside a feature decay W and b alone."""
    asked = (recipe.decay_backbone, recipe.decay_biases, recipe.decay_head)
    backbone, biases, head = (recipe.weight_decay if one is None else one for one in asked)
    before = (0.0, 0.0) if recipe.feature_decay else (backbone, biases)
    return Decays(*before, W=head, b=biases)


def by_decay(recipe: OptimizerRecipe, model: nn.Module) -> dict[float, list[nn.Parameter]]:
    """All trained parameters by their lambda, the largest first, those of each in the model's order."""
    decays, last = decays_of(recipe), {id(parameter) for parameter in model.head.parameters()}
    found: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            weights, rest = (decays.W, decays.b) if id(parameter) in last else (decays.weights, decays.biases)
            found.setdefault(weights if parameter.dim() > 1 else rest, []).append(parameter)
    return dict(sorted(found.items(), reverse=True))


def build_optimizer(recipe: OptimizerRecipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe over all trained parameters of a model."""
    groups = [{"params": shrinking, "weight_decay": decay} for decay, shrinking in by_decay(recipe, model).items()]
    return OPTIMIZERS[recipe.optimizer].build(groups, recipe)
