"""Losses of the logits by name, each the mean over a batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from ufm.errors import Setting, require
from validate.runs.minimised import WEIGHTED, LossFacts

from .class_numbers import ClassWeights, Counts, log_counts, log_prior, require_weights, weights


@dataclass(frozen=True)
class LossRecipe:
    """What the training minimises, weight decay apart."""

    loss: str = "cross-entropy"
    """cross-entropy, mse (on one-hot labels, |z - e_y|^2/2), label-smoothing, focal, bce (a logistic loss a class),
    logit-adjusted (tau log of a class's share of the samples is added to its logit), balanced-softmax (log n_k is) or
    dot-regression (of the own logit alone, with a fixed head and no bias)"""
    class_weights: ClassWeights = None
    """of cross-entropy: the weight of a class's samples: balanced (N / (K n_k)), inverse (in proportion to 1 / n_k,
    their mean over the classes 1), or a number for each class"""
    smoothing: float = 0.1
    """of label-smoothing: the part of the label spread evenly over all classes"""
    focusing: float = 2.0
    """of focal: the power of (1 - p_y)"""
    own_weight: float = 1.0
    """of mse: k, the weight of the own class's squared error"""
    own_target: float = 1.0
    """of mse: M, the own logit's target; of dot-regression: T in (z_y - T)^2 / (2 T)"""
    tau: float = 1.0
    """of logit-adjusted: how much of the log of a class's share is added to its logit"""
    mixup: float = 0.0
    """alpha: a step sees mixtures of two images of its batch, in shares s and 1 - s with s from Beta(alpha, alpha), and
    their losses mixed likewise; 0: no mixtures"""

    def __post_init__(self):
        object.__setattr__(self, "class_weights", require_weights(self.class_weights))
        require(self.loss in LOSSES, f"unknown loss {self.loss!r}; choose one of: {', '.join(LOSSES)}")
        require(0 <= self.smoothing < 1, (Setting("smoothing"), f" must lie in [0, 1), got {self.smoothing}"))
        for name in ("focusing", "tau", "mixup"):
            value = getattr(self, name)
            require(0 <= value < math.inf, (Setting(name), f" must be a finite number >= 0, got {value}"))
        for name in ("own_weight", "own_target"):
            value = getattr(self, name)
            require(0 < value < math.inf, (Setting(name), f" must be a finite number > 0, got {value}"))


Each = torch.Tensor | None  # (K,) the number that each class has, of a loss whose classes have one


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """mean w_y (-log softmax(z)_y), w_k the weight of class k, 1 by default.

    The sum is divided by the number of samples, as in sklearn's class_weight. torch's weight= divides by the sum of the
    batch's weights, which makes the objective another one in every batch.
    """
    if each is None:
        return functional.cross_entropy(logits, labels)
    return (each[labels] * functional.cross_entropy(logits, labels, reduction="none")).mean()


def adjusted(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """Cross-entropy of z + i. Offsets i_k = tau log(n_k/N) are those of logit adjustment (Menon et al. 2021, arXiv
    2007.07314), i_k = log n_k those of balanced softmax (Ren et al. 2020, arXiv 2007.10740)."""
    return functional.cross_entropy(logits + each, labels)


def mean_square(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """mean 1/2 |z - e_y|^2, that is |Z - Y|_F^2 / (2 N) as in Zhou et al. 2022 (arXiv 2203.01238).

    torch's MSELoss, which the code released with Zhu et al. 2021 calls, is 2/K times this.
    Rescaled it is mean 1/2 [k (z_y - M)^2 + sum of the others' z_j^2], k the own weight and M the own target; Hui and
    Belkin 2021 (arXiv 2006.07322), too, have 2/K times this.
    """
    targets = torch.zeros_like(logits).scatter(1, labels[:, None], recipe.own_target)
    errors = (logits - targets).square()
    if recipe.own_weight != 1:
        errors = errors * torch.ones_like(logits).scatter(1, labels[:, None], recipe.own_weight)
    return errors.sum(1).mean() / 2


def dot_regression(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """mean (z_y - T)^2 / (2 T), T the own target, sqrt(E_W E_H) in Yang et al. 2022 (arXiv 2203.09081).

    There |h|^2 <= E_H; here a decay holds the features.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return (own - recipe.own_target).square().mean() / (2 * recipe.own_target)


def smoothed(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """Cross-entropy against (1 - s) e_y + s 1/K, s the smoothing (Szegedy et al. 2016, arXiv 1512.00567)."""
    return functional.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)


def focal(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """mean (1 - p_y)^g (-log p_y), p = softmax(z), g the focusing (Lin et al. 2017, arXiv 1708.02002).

    1 - p_y is taken as the sum of the others and kept above the dtype's smallest normal number, so that the
    gradient stays finite where p_y rounds to 1, for g < 1 too.
    """
    logs = functional.log_softmax(logits, dim=1)
    own = labels[:, None]
    others = logs.exp().scatter(1, own, 0.0).sum(1).clamp_min(torch.finfo(logs.dtype).tiny)
    return -(others**recipe.focusing * logs.gather(1, own).squeeze(1)).mean()


def binary(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """mean sum_k log(1 + exp(-s_k z_k)), s_k = +1 at the own class and -1 elsewhere.

    One logistic loss a class on one-hot labels (Wightman et al. 2021, arXiv 2110.00476). With torch's
    BCEWithLogitsLoss, which is a mean over the classes too, it is K times that.
    """
    targets = torch.zeros_like(logits).scatter(1, labels[:, None], 1.0)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1).mean()


Facts = Callable[[LossRecipe, tuple[float, ...] | None], LossFacts]


def known_as(law: str, *parameters: str) -> Facts:
    """Facts of a loss that theory knows by this name, with settings of the recipe for its parameters."""
    return lambda recipe, each: LossFacts(law, {name: getattr(recipe, name) for name in parameters})


def weighted(recipe: LossRecipe, each: tuple[float, ...] | None) -> LossFacts:
    return LossFacts("cross-entropy") if each is None else LossFacts(WEIGHTED, {"weights": list(each)})


def rescaled(recipe: LossRecipe, each: tuple[float, ...] | None) -> LossFacts:
    plain = recipe.own_weight == recipe.own_target == 1
    return LossFacts("mse", {} if plain else {"weight": recipe.own_weight, "target": recipe.own_target})


def on_own(recipe: LossRecipe, each: tuple[float, ...] | None) -> LossFacts:
    return LossFacts("dot-regression", {"target": recipe.own_target})


def shifted(recipe: LossRecipe, each: tuple[float, ...] | None) -> LossFacts:
    return LossFacts("logit-adjusted", {"offsets": list(each or ())})


@dataclass(frozen=True)
class Loss:
    """The mean loss of a batch, 0-d, of logits (m, K) and labels (m,): `prepared` for a recipe, or called with one.

    formula     (logits, labels, recipe, each) to the mean, with each (K,) what `numbers` gives
    law         (recipe, numbers) to the name and parameters under which theory knows the loss of one sample
    parameters  the settings that it depends on
    given_w     whether it is for a last layer whose W is given, without a bias
    numbers     (recipe, n_k of each class) to a number a class; None where the loss has none
    """

    formula: Callable[[torch.Tensor, torch.Tensor, LossRecipe, Each], torch.Tensor]
    law: Facts
    parameters: tuple[str, ...] = ()
    numbers: Callable[[LossRecipe, Counts], tuple[float, ...] | None] = lambda recipe, counts: None
    given_w: bool = False

    def facts(self, recipe: LossRecipe, counts: Counts) -> LossFacts:
        """What theory may know of the loss on classes of n_k = counts[k] samples."""
        return self.law(recipe, self.numbers(recipe, counts))

    def prepared(
        self, recipe: LossRecipe, counts: Counts, device: torch.device | str = "cpu"
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """(logits, labels) on the device to the mean; the numbers of the classes are made, and put there, once."""
        found = self.numbers(recipe, counts)
        if found is None:
            return lambda logits, labels: self.formula(logits, labels, recipe, None)
        each = torch.tensor(found, dtype=torch.float64, device=device)
        return lambda logits, labels: self.formula(logits, labels, recipe, each.to(logits.dtype))

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, counts: Counts = ()
    ) -> torch.Tensor:
        return self.prepared(recipe, counts, logits.device)(logits, labels)


LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(
        cross_entropy, weighted, ("class_weights",), lambda recipe, counts: weights(recipe.class_weights, counts)
    ),
    "mse": Loss(mean_square, rescaled, ("own_weight", "own_target")),
    "label-smoothing": Loss(smoothed, known_as("label-smoothing", "smoothing"), ("smoothing",)),
    "focal": Loss(focal, known_as("focal", "focusing"), ("focusing",)),
    "bce": Loss(binary, known_as("bce")),
    "logit-adjusted": Loss(adjusted, shifted, ("tau",), lambda recipe, counts: log_prior(recipe.tau, counts)),
    "balanced-softmax": Loss(adjusted, shifted, numbers=lambda recipe, counts: log_counts(counts)),
    "dot-regression": Loss(dot_regression, on_own, ("own_target",), given_w=True),
}

MIXED = (
    "mixup minimises over features of mixed images, whose labels are shares of two classes; the recorded features are "
    "those of the images themselves, which no step has seen"
)
