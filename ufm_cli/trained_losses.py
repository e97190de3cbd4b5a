"""The flags that name the loss that a saved point was trained with: those of training, and those of the theory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from networks.optim.class_numbers import Counts, weights
from networks.optim.losses import LOSSES, LossRecipe

from .flags import require_unused
from .losses import FLAGS, UnweightedFlags

if TYPE_CHECKING:
    from ufm.losses import Loss

OF_TRAINING = {name: loss.parameters for name, loss in LOSSES.items()}
OF_POINTS = {name: (*FLAGS.get(name, ()), *OF_TRAINING.get(name, ())) for name in OF_TRAINING | FLAGS}
OWN_NUMBERS = ("offsets", "scales", "targets")  # flags of theory that say what training finds by the class counts


@dataclass(frozen=True)
class TrainedLossFlags(LossRecipe, UnweightedFlags):
    """The loss that the point was trained with."""

    loss: str = "cross-entropy"
    """cross-entropy, label-smoothing, soft-cross-entropy, logit-adjusted (by --tau, or --offsets and --scales),
    balanced-softmax, mse, bce, focal or dot-regression (with --classifier fixed --no-bias)"""

    def __post_init__(self) -> None:
        if self.loss in LOSSES:  # `check` refuses what is a loss of nobody
            super().__post_init__()

    @property
    def flags(self) -> Mapping[str, tuple[str, ...]]:
        return OF_POINTS

    @property
    def needs_given_w(self) -> bool:
        """Whether the loss is for a W that is given, without a bias."""
        return self.loss in LOSSES and LOSSES[self.loss].given_w

    def check(self, given: set[str]) -> None:
        super().check(given)
        for flag in OWN_NUMBERS:
            if flag in given:
                require_unused(given, {"tau"}, f"--{flag} says what it would")

    def trained(self, counts: Counts) -> "Loss":
        """The loss on n_k = counts[k] samples of each class. Raises InputError for what it cannot have."""
        from ufm.losses import Weighted

        if self.loss in LOSSES and not any(getattr(self, flag) for flag in OWN_NUMBERS):
            return LOSSES[self.loss].facts(self, counts).of_theory
        loss, each = self.unweighted(), weights(self.class_weights, counts)
        return loss if each is None else Weighted(loss, each)
