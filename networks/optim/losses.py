"""Losses of the logits by name, each the mean over a batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from ufm.errors import Setting, require
from validate.runs.minimised import LossFacts

from .class_numbers import ClassWeights, Counts, log_counts, log_prior, require_weights, weights


@dataclass(frozen=True)
class LossRecipe:
    """What the training minimises, weight decay apart."""

    loss: str = "cross-entropy"
    """cross-entropy, mse (on one-hot labels, |z - e_y|^2/2), label-smoothing, focal, bce (a logistic loss a class),
    logit-adjusted (tau log of a class's share of the samples is added to its logit), balanced-softmax (log n_k is) or
    dot-regression (of the own logit alone, with a fixed head and no bias)"""
    class_weights: ClassWeights = None
    """by what the loss of a class's samples is multiplied: balanced (N / (K n_k)), inverse (in proportion to 1 / n_k,
    their mean over the classes 1), or a number for each class; not of balanced-softmax or dot-regression"""
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

    def __post_init__(self):
        object.__setattr__(self, "class_weights", require_weights(self.class_weights))
        require(self.loss in LOSSES, f"unknown loss {self.loss!r}; choose one of: {', '.join(LOSSES)}")
        require(0 <= self.smoothing < 1, (Setting("smoothing"), f" must lie in [0, 1), got {self.smoothing}"))
        for name in ("focusing", "tau"):
            value = getattr(self, name)
            require(0 <= value < math.inf, (Setting(name), f" must be a finite number >= 0, got {value}"))
        for name in ("own_weight", "own_target"):
            value = getattr(self, name)
            require(0 < value < math.inf, (Setting(name), f" must be a finite number > 0, got {value}"))


Each = torch.Tensor | None  # (K,) what is added to the logit of each class, of a loss that has such offsets


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """-log softmax(z)_y."""
    return functional.cross_entropy(logits, labels, reduction="none")


def adjusted(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """Cross-entropy of z + i. Offsets i_k = tau log(n_k/N) are those of logit adjustment (Menon et al. 2021, arXiv
    2007.07314), i_k = log n_k those of balanced softmax (Ren et al. 2020, arXiv 2007.10740)."""
    return functional.cross_entropy(logits + each, labels, reduction="none")


def mean_square(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """1/2 |z - e_y|^2, whose mean is |Z - Y|_F^2 / (2 N) as in Zhou et al. 2022 (arXiv 2203.01238).

    torch's MSELoss, which the code released with Zhu et al. 2021 calls, is 2/K times this.
    Rescaled it is 1/2 [k (z_y - M)^2 + sum of the others' z_j^2], k the own weight and M the own target; Hui and
    Belkin 2021 (arXiv 2006.07322), too, have 2/K times this.
    """
    targets = torch.zeros_like(logits).scatter(1, labels[:, None], recipe.own_target)
    errors = (logits - targets).square()
    if recipe.own_weight != 1:
        errors = errors * torch.ones_like(logits).scatter(1, labels[:, None], recipe.own_weight)
    return errors.sum(1) / 2


def dot_regression(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """(z_y - T)^2 / (2 T), T the own target, sqrt(E_W E_H) in Yang et al. 2022 (arXiv 2203.09081).

    There |h|^2 <= E_H; here a decay holds the features.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return (own - recipe.own_target).square() / (2 * recipe.own_target)


def smoothed(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """Cross-entropy against (1 - s) e_y + s 1/K, s the smoothing (Szegedy et al. 2016, arXiv 1512.00567)."""
    return functional.cross_entropy(logits, labels, label_smoothing=recipe.smoothing, reduction="none")


def focal(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """(1 - p_y)^g (-log p_y), p = softmax(z), g the focusing (Lin et al. 2017, arXiv 1708.02002).

    1 - p_y is taken as the sum of the others and kept above the dtype's smallest normal number, so that the
    gradient stays finite where p_y rounds to 1, for g < 1 too.
    """
    logs = functional.log_softmax(logits, dim=1)
    own = labels[:, None]
    others = logs.exp().scatter(1, own, 0.0).sum(1).clamp_min(torch.finfo(logs.dtype).tiny)
    return -(others**recipe.focusing * logs.gather(1, own).squeeze(1))


def binary(logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, each: Each) -> torch.Tensor:
    """sum_k log(1 + exp(-s_k z_k)), s_k = +1 at the own class and -1 elsewhere.

    One logistic loss a class on one-hot labels (Wightman et al. 2021, arXiv 2110.00476). With torch's
    BCEWithLogitsLoss, which is a mean over the classes too, it is K times that.
    """
    targets = torch.zeros_like(logits).scatter(1, labels[:, None], 1.0)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)


Facts = Callable[[LossRecipe, tuple[float, ...] | None], LossFacts]


def known_as(law: str, *parameters: str) -> Facts:
    """Facts of a loss that theory knows by this name, with settings of the recipe for its parameters."""
    return lambda recipe, each: LossFacts(law, {name: getattr(recipe, name) for name in parameters})


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

    formula     (logits, labels, recipe, each) to the loss of each sample, (m,), with each (K,) what `offsets` gives
    law         (recipe, offsets) to the name and parameters under which theory knows the loss of one sample
    parameters  the settings that it depends on, class_weights where it may have them
    given_w     whether it is for a last layer whose W is given, without a bias
    offsets     (recipe, n_k of each class) to what is added to the logit of each; None where nothing is

    With class weights w the mean is sum_i w_(y_i) loss_i / m, over the samples as in sklearn's class_weight. torch's
    weight= divides by the sum of the batch's weights, which makes the objective another one in every batch, and with
    label smoothing it weighs the classes of a target instead of the sample.
    """

    formula: Callable[[torch.Tensor, torch.Tensor, LossRecipe, Each], torch.Tensor]
    law: Facts
    parameters: tuple[str, ...] = ()
    offsets: Callable[[LossRecipe, Counts], tuple[float, ...] | None] = lambda recipe, counts: None
    given_w: bool = False

    def facts(self, recipe: LossRecipe, counts: Counts) -> LossFacts:
        """What theory may know of the loss on classes of n_k = counts[k] samples."""
        facts, w = self.law(recipe, self.offsets(recipe, counts)), self.weights(recipe, counts)
        return facts if w is None else facts.weighted(w)

    def weights(self, recipe: LossRecipe, counts: Counts) -> tuple[float, ...] | None:
        """The weight of each class; None without any."""
        return weights(recipe.class_weights, counts) if "class_weights" in self.parameters else None

    def prepared(
        self, recipe: LossRecipe, counts: Counts, device: torch.device | str = "cpu"
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """(logits, labels) on the device to the mean; the numbers of the classes are made, and put there, once."""
        found = self.offsets(recipe, counts), self.weights(recipe, counts)
        each, w = (None if one is None else torch.tensor(one, dtype=torch.float64, device=device) for one in found)

        def mean(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            losses = self.formula(logits, labels, recipe, None if each is None else each.to(logits.dtype))
            return losses.mean() if w is None else (w.to(losses.dtype)[labels] * losses).mean()

        return mean

    def __call__(
        self, logits: torch.Tensor, labels: torch.Tensor, recipe: LossRecipe, counts: Counts = ()
    ) -> torch.Tensor:
        return self.prepared(recipe, counts, logits.device)(logits, labels)


# Class-balanced cross-entropy, bce and focal loss are those of Cui et al. 2019 (arXiv 1901.05555), weights beside
# offsets those of Kini et al. 2021 (arXiv 2103.01550). balanced-softmax has the class counts already, and no source
# gives dot-regression weights.
WEIGHTS = ("class_weights",)
LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(cross_entropy, known_as("cross-entropy"), WEIGHTS),
    "mse": Loss(mean_square, rescaled, ("own_weight", "own_target", *WEIGHTS)),
    "label-smoothing": Loss(smoothed, known_as("label-smoothing", "smoothing"), ("smoothing", *WEIGHTS)),
    "focal": Loss(focal, known_as("focal", "focusing"), ("focusing", *WEIGHTS)),
    "bce": Loss(binary, known_as("bce"), WEIGHTS),
    "logit-adjusted": Loss(
        adjusted, shifted, ("tau", *WEIGHTS), offsets=lambda recipe, counts: log_prior(recipe.tau, counts)
    ),
    "balanced-softmax": Loss(adjusted, shifted, offsets=lambda recipe, counts: log_counts(counts)),
    "dot-regression": Loss(dot_regression, on_own, ("own_target",), given_w=True),
}

MIXED = (
    "mixup minimises over features of mixed images, whose labels are shares of two classes; the recorded features are "
    "those of the images themselves, which no step has seen"
)
