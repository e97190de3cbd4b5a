"""Losses of the logits, one a file: formula, value, slope, curvature and exact convex conjugate."""

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InputError, require
from .binary_cross_entropy import BinaryCrossEntropy
from .cross_entropy import CrossEntropy
from .dot_regression import DotRegression
from .focal import Focal
from .label_smoothing import LabelSmoothing
from .logit_adjusted import LogitAdjusted
from .loss import Loss
from .mean_square import MeanSquare
from .soft_cross_entropy import SoftCrossEntropy
from .weighted import Weighted

LOSSES: dict[str, Callable[..., Loss]] = {  # by the name that records have
    loss.name: loss
    for loss in (
        CrossEntropy,
        LabelSmoothing,
        SoftCrossEntropy,
        LogitAdjusted,
        MeanSquare,
        BinaryCrossEntropy,
        Focal,
        Weighted,
    )
}

GIVEN: dict[str, Callable[..., Loss]] = {DotRegression.name: DotRegression}  # for a W that is given, with no proofs

__all__ = ["GIVEN", "LOSSES", "DotRegression", "Loss", "of_plain", *(loss.__name__ for loss in LOSSES.values())]


def of_plain(plain: Any) -> Loss:
    """The loss that `to_plain` described: a name, or a mapping with name and settings. InputError for what is none."""
    settings = dict(plain) if isinstance(plain, Mapping) else {"name": plain}
    name = settings.pop("name", None)
    settings |= {"loss": of_plain(settings["loss"])} if "loss" in settings else {}
    known = isinstance(name, str) and name in (LOSSES | GIVEN)
    require(known, f"unknown loss {name!r}; choose one of: {', '.join(LOSSES)}")
    try:
        return (LOSSES | GIVEN)[str(name)](**settings)
    except TypeError as error:
        raise InputError(f"the settings of the loss {name!r} are not {sorted(settings)} ({error})") from error
