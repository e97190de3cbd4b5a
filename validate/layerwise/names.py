"""Which modules of a model are measured, by names and patterns."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from ufm import InputError

INPUT = ":input"  # after a name: what the module sees, in place of what it says
LISTED = 6  # names in a message


@dataclass(frozen=True)
class Watched:
    """A module whose output, or input, is a layer's features."""

    name: str
    module: nn.Module

    @property
    def sees(self) -> bool:
        """Whether the features are the module's input."""
        return self.name.endswith(INPUT)


def choose(model: nn.Module, names: Iterable[str]) -> list[Watched]:
    """The modules that names and patterns mean, each once.

    A pattern is matched part by part, as a path is by a glob: "layer*" has layer1 and not layer1.0, "blocks.*.mlp" has
    that of every block, "**.relu" has every relu at any depth. A module that has several names is found by each, and
    measured once. Raises InputError for a pattern that matches nothing.
    """
    modules = {name: module for name, module in model.named_modules(remove_duplicate=False) if name}
    found: dict[tuple[nn.Module, str], Watched] = {}
    for asked in [names] if isinstance(names, str) else names:
        if not isinstance(asked, str):
            raise InputError(f"names are names of modules, such as {', '.join(list(modules)[:LISTED])}; got {asked!r}")
        pattern, end = (asked.removesuffix(INPUT), INPUT) if asked.endswith(INPUT) else (asked, "")
        there = [name for name in modules if matches(name.split("."), pattern.split("."))]
        if not there:
            near = get_close_matches(pattern, modules, LISTED, 0.4) or list(modules)[:LISTED]
            raise InputError(f"no module of the model is named {pattern!r}; near it are {', '.join(near) or 'none'}")
        for name in there:
            found.setdefault((modules[name], end), Watched(name + end, modules[name]))
    return list(found.values())


def matches(parts: list[str], patterns: list[str]) -> bool:
    """Whether each part of a name fits its pattern; "**" fits any number of parts."""
    if not patterns:
        return not parts
    first, rest = patterns[0], patterns[1:]
    if first == "**":
        return any(matches(parts[i:], rest) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], first) and matches(parts[1:], rest)
