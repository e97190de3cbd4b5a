"""What an error says on the command line: settings as flags of the command that was asked, calls as commands."""

import dataclasses
import shlex
from functools import partial

from ufm.errors import Call, InputError, Setting

NAMES = {  # arguments in Python whose flags have other names, with these
    "num_classes": ("K", "classes"),
    "per_class": ("n",),
    "dim": ("d", "dims"),
    "lambda_w": ("lambdas",),
    "lambda_h": ("lambdas",),
    "decay": ("lambdas",),
    "depth": ("depths",),
    "weights": ("class_weights",),
    "weight": ("own_weight",),
    "target": ("own_target",),
}
COMMANDS = {  # functions in Python, with what does the same on the command line
    "networks.train": ("train",),
    "networks.remeasure": ("validate",),
    "ufm.models.Ridgeless": ("verify", "--model", "ridgeless"),
    "ufm.verify": ("verify", "--json", "FILE"),
}


def as_flags(error: InputError, command: type) -> str:
    """The error's line as one says it to this command; what it has no flag for keeps its name in Python."""
    return error.said(partial(_said, there=names(command)))


def _said(word: Setting | Call, there: set[str]) -> str:
    if isinstance(word, Call):
        settings = [part for setting in word.settings for part in flag(setting)]
        return shlex.join(["ufm", *COMMANDS[word.function], *settings]) if word.function in COMMANDS else str(word)
    if word.value is False and f"no_{word.name}" in there:  # a switch that stands there as --no-name alone
        return shlex.join(flag(Setting(f"no_{word.name}", True)))
    known = [name for name in (word.name, *NAMES.get(word.name, ())) if name in there]
    return shlex.join(flag(dataclasses.replace(word, name=known[0]))) if known else str(word)


def flag(setting: Setting) -> list[str]:
    """-K, --lambda-w; with a value --epochs 3, --force, --no-bias, --milestones 60 120."""
    name, value = setting.name.replace("_", "-"), setting.value
    name = f"-{name}" if len(name) == 1 else f"--no-{name}" if value is False else f"--{name}"
    if value is ... or isinstance(value, bool):
        return [name]
    return [name, *map(str, value if isinstance(value, list | tuple) else [value])]


def names(command: type) -> set[str]:
    """The names of a command's flags, those of its groups among them."""
    fields = dataclasses.fields(command)
    groups = [field.type for field in fields if dataclasses.is_dataclass(field.type)]
    return {field.name for field in fields}.union(*map(names, groups))


def require_unused(given: set[str], flags: set[str], reason: str) -> None:
    """Raise InputError if any of the flags is among those that were given: the reason is why it would do nothing."""
    from ufm.errors import require

    idle = ", ".join(f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}" for name in sorted(given & flags))
    require(not idle, f"{idle} would do nothing here: {reason}; leave it out")
