"""What tells runs apart: the fewest settings that do, and those that differ along with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from validate import Run

# Of config.json: what made the run, and what follows from the settings.
NOT_SETTINGS = ("recipe", "versions", "git", "machine", "model", "lambda_h", "command", "summary")
INCIDENTAL = ("data_dir", "keep", "device", "tensorboard", "compile", "channels_last")  # where and how, not what
FIRST = (
    *("data", "random_labels", "label_noise", "imbalance", "per_class", "model", "optimizer", "loss", "head"),
    *("feature_dim", "width", "depth", "weight_decay", "feature_decay", "bias", "schedule", "augment", "batch_size"),
    *("lr", "epochs"),
)
LAST = ("seed", *INCIDENTAL)


def settings(run: Run) -> dict[str, str]:
    """What config.json asks of a run, by name, as people read it."""
    config = run.config
    asked = {name: value for name, value in config.items() if name not in NOT_SETTINGS} | config.get("recipe", {})
    return {name: in_words(value) for name, value in asked.items()}


def in_words(value: Any) -> str:
    """A setting's value as people read it."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(in_words(item) for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def differing(asked: Sequence[Mapping[str, str]]) -> list[str]:
    """The settings that are not the same everywhere, those that matter most first."""
    names = dict.fromkeys(name for one in asked for name in one)
    found = [name for name in names if len({one.get(name) for one in asked}) > 1]
    return sorted(found, key=_importance)


def _importance(name: str) -> int:
    if name in LAST:
        return len(FIRST) + 1 + LAST.index(name)
    return FIRST.index(name) if name in FIRST else len(FIRST)


@dataclass(frozen=True)
class Labels:
    """Names for runs: the fewest differing settings that tell them apart.

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

    Of the sets of settings that tell all runs apart, together with the settings `axis` that a figure shows otherwise,
    the smallest is taken, and of those the one that matters most. Where no set does, runs are labelled by name.
    """
    asked, names = [settings(run) for run in runs], names_of(runs)
    found = differing(asked)
    fixed = [name for name in about if name in found]
    others = [name for name in found if name not in (*fixed, *axis)]
    subsets = ([*fixed, *more] for size in range(len(others) + 1) for more in combinations(others, size))
    shown = next((subset for subset in subsets if _apart(asked, [*axis, *subset])), None if not axis else fixed)
    facts = tuple(
        {"run": name} | {item: one.get(item, "not recorded") for item in found}
        for name, one in zip(names, asked, strict=True)
    )
    listed = shown or ([] if axis else ["run"])
    texts = tuple(", ".join(fact[item] for item in listed) for fact in facts)
    along = tuple(item for item in found if item not in (*listed, *axis))
    return Labels(", ".join(listed), texts, facts, along)


def _apart(asked: Sequence[Mapping[str, str]], names: Sequence[str]) -> bool:
    return len({tuple(one.get(name) for name in names) for one in asked}) == len(asked)


def names_of(runs: Sequence[Run]) -> list[str]:
    """The runs' names, or their paths where two have one name."""
    names = [run.name for run in runs]
    return [run.name if names.count(run.name) == 1 else str(run.path) for run in runs]
