"""What a run minimised, as facts: theory reads these and needs no name of an optimiser, a loss or a head.

(1/N) sum_i loss(W h_i + b, y_i) + lambda_w/2 |W|^2 + lambda_h/2 |H|^2 + lambda_b/2 |b|^2
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ufm import InputError
from ufm.errors import require
from ufm.losses import GIVEN, LOSSES, Loss, Weighted, of_plain
from ufm.results import Result

Classifier = Literal["free", "fixed", "of unit rows", "following the features"]
FOLLOWING = "following the features"
BALANCE = "balance"
WEIGHTED = "weighted-"  # before the name of a loss that has a weight a class, among its parameters as `weights`


@dataclass(frozen=True)
class LossFacts:
    """The loss of one sample's logits: its name (`ufm.losses` has the same) and its parameters by name.

    A parameter is a number, or a list of one a class. A loss with a weight a class is WEIGHTED and its name.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether theory has a loss of that name."""
        return self.name.removeprefix(WEIGHTED) in LOSSES | GIVEN

    def weighted(self, weights: Sequence[float]) -> "LossFacts":
        """The same with these weights, one a class."""
        return LossFacts(WEIGHTED + self.name, {"weights": list(weights)} | dict(self.parameters))

    @property
    def of_theory(self) -> Loss:
        """The loss of that name in theory. Raises InputError where it has none, or not with these parameters."""
        given = dict(self.parameters)
        if not self.name.startswith(WEIGHTED):
            return of_plain({"name": self.name} | given)
        require("weights" in given, f"the loss {self.name!r} needs weights, and has {sorted(given)}")
        weights = given.pop("weights")
        return Weighted(of_plain({"name": self.name.removeprefix(WEIGHTED)} | given), weights)

    @property
    def said(self) -> str:
        """In words: "focal (focusing 2)", "logit-adjusted (offsets -0.7 ... -2.3)"."""
        given = ", ".join(f"{name} {_short(value)}" for name, value in self.parameters.items())
        return self.name + (f" ({given})" if given else "")


def _short(value: Any) -> str:
    """A number, or the first and the last of a list."""
    if isinstance(value, list | tuple):
        return " ... ".join(_short(one) for one in dict.fromkeys((*value[:1], *value[-1:])))
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class HeadFacts:
    """What the last layer W h + b may be.

    W             "free", "fixed" (it stays where it began), "of unit rows" or FOLLOWING (a rule sets it by them;
                  nothing is minimised over it)
    bias          whether there is a b
    frame         of a fixed simplex frame: where it lies ("standard" or "rotated"); None: standard where d >= K allows
                  it, and None of any other W
    feature_norm  |h| where all features have one norm, else None
    """

    W: Classifier = "free"
    bias: bool = True
    frame: str | None = None
    feature_norm: float | None = None

    def __post_init__(self) -> None:
        known = get_args(Classifier)
        require(self.W in known, f"W must be one of {', '.join(known)}; got {self.W!r}")


@dataclass(frozen=True)
class Minimised(Result):
    """The objective that a training minimised over the last layer, or why there is none.

    lambda_w, lambda_h, lambda_b   coefficients of half the squared norms; None where no penalty acts on the variable
    implied_by  what implies lambda_h where features have no penalty: BALANCE, lambda_w |W|^2 = lambda_h |H|^2, where
                weight decay acts on the layers before W too; None where nothing does
    reasons     why no unconstrained feature model describes the training, each a sentence; empty where one may
    """

    loss: LossFacts
    head: HeadFacts
    lambda_w: float | None
    lambda_h: float | None
    lambda_b: float | None
    implied_by: str | None = None
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lambda_w", "lambda_h", "lambda_b"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and 0 <= value <= sys.float_info.max
            short = repr(value)[:40]
            require(value is None or number, f"{name} must be a finite number >= 0 or None, got {short}")

    @property
    def formula(self) -> str:
        """The objective in one line, with its numbers."""
        decays = {"W": self.lambda_w, "H": self.lambda_h, "b": self.lambda_b}
        penalties = [f"{value:g}/2 |{variable}|^2" for variable, value in decays.items() if value]
        formula = " + ".join([f"mean {self.loss.said}", *penalties])
        return formula + (f", and lambda_h implied by {self.implied_by}" if self.implied_by else "")

    @classmethod
    def from_plain(cls, data: Any) -> "Minimised":
        """What `plain` gave; InputError where it is something else."""
        try:
            return super().from_plain(data)
        except InputError as error:
            raise InputError(f"the record of what was minimised is damaged ({error})") from error
