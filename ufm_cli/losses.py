"""The flags that name a loss of the theory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .flags import require_unused

if TYPE_CHECKING:
    from ufm.losses import Loss

FLAGS: dict[str, tuple[str, ...]] = {  # those that each loss has, class weights apart, which all have
    "cross-entropy": (),
    "label-smoothing": ("smoothing",),
    "soft-cross-entropy": ("targets",),
    "logit-adjusted": ("offsets", "scales"),
    "mse": ("targets", "own_weight", "own_target"),
    "bce": ("targets",),
    "focal": ("focusing",),
}
IN_UFM = {"own_weight": "weight", "own_target": "target"}  # flags that `ufm.losses` calls otherwise
A_CLASS = {"offsets", "scales", "class_weights"}  # flags of a number a class
Numbers = Annotated[tuple[float, ...], tyro.conf.arg(metavar="X1 X2 ...")]


@dataclass(frozen=True)
class UnweightedFlags:
    """The loss of the logits, without class weights."""

    loss: str = "cross-entropy"
    """cross-entropy, label-smoothing, soft-cross-entropy, logit-adjusted, mse, bce or focal"""
    smoothing: float = 0.1
    """of label-smoothing: the part of the label spread evenly over all classes"""
    focusing: float = 2.0
    """of focal: the power of (1 - p_y)"""
    offsets: Numbers = ()
    """of logit-adjusted: what is added to the logit of each class"""
    scales: Numbers = ()
    """of logit-adjusted: what the logit of each class is multiplied by"""
    targets: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """of soft-cross-entropy, mse or bce: a CSV file of the targets (T, K), a line a type of sample"""
    own_weight: float = 1.0
    """of mse: k, the weight of the own class's squared error"""
    own_target: float = 1.0
    """of mse: M, the own logit's target"""

    @property
    def flags(self) -> Mapping[str, tuple[str, ...]]:
        """The flags that each loss has."""
        return FLAGS

    def check(self, given: set[str]) -> None:
        """Raise InputError for an unknown loss, and for flags of another one."""
        from ufm.errors import require

        require(self.loss in self.flags, f"unknown loss {self.loss!r}; choose one of: {', '.join(self.flags)}")
        others = {flag for flags in self.flags.values() for flag in flags} - set(self.flags[self.loss])
        require_unused(given, others, f"--loss {self.loss} does not have it")
        if self.targets is not None:
            require_unused(given, {"K"}, "--targets says how many classes there are")

    def unweighted(self) -> "Loss":
        """The loss. Raises InputError for settings that it cannot have, and for targets that cannot be read."""
        from ufm.errors import require
        from ufm.losses import of_plain

        given: dict[str, Any] = {IN_UFM.get(name, name): getattr(self, name) for name in FLAGS[self.loss]}
        given = {name: value for name, value in given.items() if value not in ((), None)}
        if self.targets is not None:
            given["targets"] = read_numbers(self.targets, "a type of sample")
        needed = {"soft-cross-entropy": "--targets FILE", "logit-adjusted": "--offsets or --scales"}.get(self.loss)
        require(needed is None or bool(given), f"--loss {self.loss} needs {needed}")
        return of_plain({"name": self.loss} | given)


@dataclass(frozen=True)
class LossFlags(UnweightedFlags):
    """The loss of the logits."""

    class_weights: Numbers = ()
    """the weight of each class, by which the loss of its samples is multiplied"""

    def made(self) -> "Loss":
        """The loss with its weights. Raises InputError as `unweighted`, and for weights that it cannot have."""
        from ufm.losses import Weighted

        loss = self.unweighted()
        return Weighted(loss, self.class_weights) if self.class_weights else loss


def read_numbers(file: Path, line: str) -> list[list[float]]:
    """The numbers in a CSV file, a row a line; InputError where it is none. `line` says what a line is."""
    import csv

    from ufm.errors import InputError

    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = [[float(word) for word in row] for row in csv.reader(lines) if row]
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} must hold numbers, separated by commas, a line {line} ({error})") from error
    if not rows or len({len(row) for row in rows}) != 1:
        raise InputError(f"{file} must have a line {line}, with as many numbers in each")
    return rows


def said(plain: Any) -> str:
    """A loss in words, out of its plain data: "label-smoothing, smoothing 0.1"; tables by their shapes."""
    if isinstance(plain, str):
        return plain
    if "loss" in plain:  # one that is weighted
        return f"{said(plain['loss'])}, class weights {_short(plain['weights'])}"
    settings = {name: value for name, value in plain.items() if name != "name"}
    return ", ".join([plain["name"], *(f"{name} {_short(value)}" for name, value in settings.items())])


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} x {len(value[0])}"
    return " ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"
