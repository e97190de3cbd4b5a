"""The flags that name a model of the theory: what the classifier and the features may be."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .flags import require_unused
from .losses import read_numbers
from .options import Switch

if TYPE_CHECKING:
    from ufm import Problem


@dataclass(frozen=True)
class Entry:
    """A model on the command line.

    made    (problem of the flags, flags of the model) to the model     bias  whether it has a bias unless asked
    flags   those of `ModelFlags` that it has                           idle  those of the problem that do nothing in it
    """

    made: "Callable[[Problem, ModelFlags], Any]"
    flags: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    bias: bool = True


def _nonnegative(problem: "Problem", flags: "ModelFlags") -> Any:
    from ufm.models import Nonnegative

    p = problem
    return Nonnegative(p.class_counts, p.dim, p.lambda_w, p.lambda_h, p.lambda_b, p.bias, p.loss)


def _fixed_classifier(problem: "Problem", flags: "ModelFlags") -> Any:
    from ufm.closed_forms.simplex import unit_frame
    from ufm.models import FixedClassifier

    p = problem
    W = unit_frame(p.num_classes, p.dim) if flags.classifier is None else read_numbers(flags.classifier, "a class")
    return FixedClassifier(W, p.class_counts, p.lambda_h, p.lambda_b, p.bias, p.loss, flags.nonnegative)


MODELS = {
    "free": Entry(lambda problem, flags: problem),
    "nonnegative": Entry(_nonnegative, bias=False),
    "fixed-classifier": Entry(_fixed_classifier, ("classifier", "nonnegative"), ("lambda_w",)),
}

EVERY = "all"  # the models, a line each


@dataclass(frozen=True)
class ModelFlags:
    """What the classifier and the features may be."""

    model: str = "free"
    """free (W and H), nonnegative (H >= 0, as behind a ReLU; no bias unless asked) or fixed-classifier; all: a line
    each"""
    classifier: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """of fixed-classifier: a CSV file of W (K, d), a line a class; a simplex frame of unit rows if not given"""
    nonnegative: Switch = False
    """of fixed-classifier: its features are nonnegative too"""

    @property
    def entry(self) -> Entry:
        """What there is under the model's name. Raises InputError for an unknown one."""
        from ufm.errors import require

        known = [*MODELS, EVERY]
        require(self.model in known, f"unknown model {self.model!r}; choose one of: {', '.join(known)}")
        return MODELS.get(self.model, MODELS["free"])

    def check(self, given: set[str]) -> None:
        """Raise InputError for flags that do nothing in this model."""
        others = {flag for entry in MODELS.values() for flag in entry.flags} - set(self.entry.flags)
        require_unused(given, others | set(self.entry.idle), f"--model {self.model} does not have it")

    def made(self, problem: "Problem") -> Any:
        """The model with the counts, d, decays and loss of a problem; the problem itself for the free one."""
        return self.entry.made(problem, self)
