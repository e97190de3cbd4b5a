"""What tells runs apart: the settings that matter most, and those that differ along with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from validate import Run

from ..pages.words import in_words

# Of config.json: what made the run, and what follows from the settings.
NOT_SETTINGS = ("recipe", "versions", "git", "machine", "model", "minimised", "lambda_h", "command", "summary")
PLACE = "data_dir"  # of one machine: it says nothing to another one's reader
# How, not what.
INCIDENTAL = ("keep", "device", "tensorboard", "compile", "channels_last", "rearrange")
FIRST = (
    *("data", "random_labels", "label_noise", "imbalance", "per_class", "model", "optimizer", "loss", "head"),
    *(
        "frame",
        "feature_dim",
        "width",
        "depth",
        "weight_decay",
        "feature_decay",
        "bias",
        "schedule",
        "augment",
        "batch_size",
    ),
    *("lr", "epochs"),
)
MISSING = "-"  # a setting that a run does not have
LAST = ("seed", *INCIDENTAL)
ONLY_UNDER = {  # settings without effect under other values of another one
    "frame": ("head", ("etf",)),
    "temperature": ("head", ("normalized", "projected")),
    "decay_head": ("head", ("linear", "normalized", "projected")),
    "smoothing": ("loss", ("label-smoothing",)),
    "focusing": ("loss", ("focal",)),
    "own_weight": ("loss", ("mse",)),
    "own_target": ("loss", ("mse", "dot-regression")),
    "tau": ("loss", ("logit-adjusted",)),
    "class_weights": ("loss", ("cross-entropy", "mse", "label-smoothing", "focal", "bce", "logit-adjusted")),
    "patience": ("schedule", ("step",)),
    "milestones": ("schedule", ("milestones",)),
    "gamma": ("schedule", ("step", "milestones")),
    "momentum": ("optimizer", ("sgd",)),
    "history_size": ("optimizer", ("lbfgs",)),
    "max_iter": ("optimizer", ("lbfgs",)),
}


def settings(run: Run) -> dict[str, str]:
    """What config.json asks of a run, by name, as people read it; without PLACE and what has no effect."""
    asked = {name: value for name, value in run.config.items() if name not in NOT_SETTINGS} | run.recipe
    return {name: in_words(value) for name, value in asked.items() if name != PLACE and _has_effect(name, asked)}


def _has_effect(name: str, asked: Mapping[str, Any]) -> bool:
    other, values = ONLY_UNDER.get(name, (None, ()))
    return other not in asked or asked[other] in values


def differing(asked: Sequence[Mapping[str, str]]) -> list[str]:
    """The settings that are not the same everywhere, those that matter most first.

    A run that does not have a setting (it is older, or the setting has no effect there) does not differ in it.
    """
    names = dict.fromkeys(name for one in asked for name in one)
    found = [name for name in names if len({one[name] for one in asked if name in one}) > 1]
    return sorted(found, key=_importance)


def _importance(name: str) -> int:
    if name in LAST:
        return len(FIRST) + 1 + LAST.index(name)
    return FIRST.index(name) if name in FIRST else len(FIRST)


@dataclass(frozen=True)
class Labels:
    """Names for runs: the settings that matter most and tell them apart.

    title   the names of those settings ("optimizer"), or "run" where none tells them apart
    texts   their values, one text a run ("sgd", "adam", ...)
    facts   by run: its name and every setting that differs
    along   the settings that differ and are not in the labels
    """

    title: str
    texts: tuple[str, ...]
    facts: tuple[dict[str, str], ...]
    along: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What differs beside the labels, for a caption; empty when nothing does."""
        few = len(set(self.texts)) == len(self.texts) <= 4
        listed = [f"{name} " + " | ".join(fact[name] for fact in self.facts) if few else name for name in self.along]
        where = "in the order of the legend" if few else "listed in the table beside"
        return f" Also differing ({where}): {', '.join(listed)}." if listed else ""


def label(runs: Sequence[Run], about: Sequence[str] = (), axis: Sequence[str] = ()) -> Labels:
    """Labels of runs; the settings `about` are among them wherever they differ.

    Of the settings that differ, from the one that matters most on, each is taken that tells runs apart which those
    before it (and the settings `axis`, which a figure shows otherwise) do not. Runs that all of them leave alike are
    labelled by name.
    """
    asked, names = [settings(run) for run in runs], names_of(runs)
    found = differing(asked)
    shown = [name for name in about if name in found]
    for name in found:
        if name not in axis and _kinds(asked, [*axis, *shown, name]) > _kinds(asked, [*axis, *shown]):
            shown.append(name)
    if not axis and _kinds(asked, shown) < len(runs):
        shown = ["run"]
    facts = tuple(
        {"run": name} | {item: one.get(item, MISSING) for item in found} for name, one in zip(names, asked, strict=True)
    )
    texts = tuple(", ".join(fact[item] for item in shown) for fact in facts)
    return Labels(", ".join(shown), texts, facts, tuple(item for item in found if item not in (*shown, *axis)))


def _kinds(asked: Sequence[Mapping[str, str]], names: Sequence[str]) -> int:
    """How many of the runs these settings tell apart."""
    return len({tuple(one.get(name) for name in names) for one in asked})


def names_of(runs: Sequence[Run]) -> list[str]:
    """The runs' names, or their paths where two have one name."""
    names = [run.name for run in runs]
    return [run.name if names.count(run.name) == 1 else str(run.path) for run in runs]
