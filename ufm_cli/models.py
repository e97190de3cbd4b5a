"""The flags that name a model of the theory: what the classifier and the features may be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from .flags import names, require_unused
from .losses import LossFlags, read_numbers
from .options import ProblemFlags, Switch


@dataclass(frozen=True)
class Entry:
    """A model on the command line.

    made    (flags of the problem, flags of the model) to the model     bias  whether it has a bias unless asked
    flags   those of `ModelFlags` that it has                           idle  those of the problem that do nothing in it
    """

    made: "Callable[[ProblemFlags, ModelFlags], Any]"
    flags: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    bias: bool = True


LOSS = ("lambda_b", *sorted(names(LossFlags)))


def _nonnegative(asked: ProblemFlags, flags: "ModelFlags") -> Any:
    from ufm.models import Nonnegative

    p = asked.problem()
    return Nonnegative(p.class_counts, p.dim, p.lambda_w, p.lambda_h, p.lambda_b, p.bias, p.loss)


def _fixed_classifier(asked: ProblemFlags, flags: "ModelFlags") -> Any:
    from ufm.closed_forms.simplex import unit_frame
    from ufm.models import FixedClassifier

    p = replace(asked, lambda_h=asked.lambda_h or 1.0).problem()  # what a decay of 0 means is the model's to say
    W = unit_frame(p.num_classes, p.dim) if flags.classifier is None else read_numbers(flags.classifier, "a class")
    return FixedClassifier(W, p.class_counts, asked.lambda_h, p.lambda_b, p.bias, p.loss, flags.nonnegative)


def _spheres(asked: ProblemFlags, flags: "ModelFlags") -> Any:
    from ufm.models import Spheres

    problem = asked.problem()
    return Spheres(problem.class_counts, problem.dim, flags.scale, problem.loss)


def _deep_linear(asked: ProblemFlags, flags: "ModelFlags") -> Any:
    from ufm.models import DeepLinear

    problem = asked.problem()
    return DeepLinear(problem.class_counts, problem.dim, flags.depth, flags.decay, problem.loss)


def _ridgeless(asked: ProblemFlags, flags: "ModelFlags") -> Any:
    from ufm.errors import require
    from ufm.models import Ridgeless

    problem = asked.problem()
    require(not problem.bias, "the ridgeless limit is one of models without a bias; leave --bias out")
    return Ridgeless(problem.class_counts, problem.dim, problem.lambda_w / problem.lambda_h)


NO_DECAYS = ("lambda_w", "lambda_h", "lambda_b", "bias", "no_bias")  # nor a bias


MODELS = {
    "free": Entry(lambda asked, flags: asked.problem()),
    "nonnegative": Entry(_nonnegative, bias=False),
    "fixed-classifier": Entry(_fixed_classifier, ("classifier", "nonnegative"), ("lambda_w",)),
    "spheres": Entry(_spheres, ("scale",), NO_DECAYS, bias=False),
    "deep-linear": Entry(_deep_linear, ("depth", "decay"), NO_DECAYS, bias=False),
    "ridgeless": Entry(_ridgeless, (), LOSS, bias=False),
}

EVERY = "all"  # the models, a line each


@dataclass(frozen=True)
class ModelFlags:
    """What the classifier and the features may be."""

    model: str = "free"
    """free (W and H), nonnegative (H >= 0, as behind a ReLU; no bias unless asked), fixed-classifier, spheres (unit
    rows of W and H), deep-linear (factors in place of W), or ridgeless (decays that vanish at the ratio of --lambda-w
    and --lambda-h: the largest margin); all: a line each"""
    classifier: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """of fixed-classifier: a CSV file of W (K, d), a line a class; a simplex frame of unit rows if not given"""
    nonnegative: Switch = False
    """of fixed-classifier: its features are nonnegative too"""
    scale: float = 5.0
    """of spheres: logits are cosines times it (one over the temperature)"""
    depth: int = 3
    """of deep-linear: how many factors the logits have, the features included"""
    decay: float = 2e-3
    """of deep-linear: weight decay of every factor"""

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
        if self.classifier is not None:
            require_unused(given, {"d"}, "--classifier says how many columns W has")

    def made(self, asked: ProblemFlags) -> Any:
        """The model with the counts, d, decays and loss that are asked; the problem itself for the free one."""
        return self.entry.made(asked, self)
