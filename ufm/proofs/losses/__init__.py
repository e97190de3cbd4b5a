"""The losses that proofs take, in balls: a file a loss, as in `ufm.losses`, and the table of them.

row   what a proof asks of a loss
"""

from collections.abc import Sequence

from flint import arb

from ...losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LabelSmoothing,
    LogitAdjusted,
    Loss,
    MeanSquare,
    SoftCrossEntropy,
    Weighted,
)
from ...losses.untied import Untied
from .binary_cross_entropy import BinaryCrossEntropyRow
from .focal import FocalRow
from .logit_adjusted import LogitAdjustedRow
from .mean_square import MeanSquareRow
from .row import Row
from .soft_cross_entropy import CrossEntropyRow, LabelSmoothingRow, SoftCrossEntropyRow
from .weighted import WeightedRow

ENCLOSED: dict[type, type[Row]] = {
    CrossEntropy: CrossEntropyRow,
    LabelSmoothing: LabelSmoothingRow,
    SoftCrossEntropy: SoftCrossEntropyRow,
    LogitAdjusted: LogitAdjustedRow,
    MeanSquare: MeanSquareRow,
    BinaryCrossEntropy: BinaryCrossEntropyRow,
    Focal: FocalRow,
    Weighted: WeightedRow,
}

__all__ = ["ENCLOSED", "Row", "is_enclosed", "row", "shift"]


def is_enclosed(loss: Loss) -> bool:
    """Whether the loss itself is in the table: what a class of the user's inherits from one of it may be changed."""
    tied = _tied(loss)
    return type(tied) in ENCLOSED and (not isinstance(tied, Weighted) or type(tied.loss) in ENCLOSED)


def row(loss: Loss, logits: Sequence[arb], t: int) -> Row:
    """The loss l_t at a row of logits."""
    inner = _tied(loss)
    return ENCLOSED[type(inner)](inner, logits, loss.types[t] if isinstance(loss, Untied) else t)


def shift(loss: Loss, num_classes: int) -> list[arb] | None:
    """s (K,) with l_t(z + c s) = l_t(z) for all c; None where there is none."""
    inner = _tied(loss)
    inner = inner.loss if isinstance(inner, Weighted) else inner  # a weight is in no way of a shift
    return ENCLOSED[type(inner)].shift(inner, num_classes)


def _tied(loss: Loss) -> Loss:
    return loss.inner if isinstance(loss, Untied) else loss
