"""The directive `names`: what the docstrings say of each name listed, one or a pattern a line.

Of a module it is the module's own docstring.
"""

import inspect
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx


def directive(name: str) -> list[str]:
    """The directive of autodoc that documents a name."""
    found = _object(name)
    if inspect.ismodule(found):
        return [f".. automodule:: {name}", "   :no-members:", "   :no-index:"]
    if inspect.isclass(found):
        return [f".. autoclass:: {name}", "   :members:"]
    if inspect.isroutine(found):
        return [f".. autofunction:: {name}"]
    return [f".. autodata:: {name}", "   :no-value:"]


def named(pattern: str) -> list[str]:
    """The name itself; of a pattern, such as figures.*_page, the public names of its module that fit."""
    if not set(pattern) & set("*?["):
        return [pattern]
    room, _, last = pattern.rpartition(".")
    return [f"{room}.{name}" for name in import_module(room).__all__ if fnmatchcase(name, last)]


def _object(name: str) -> Any:
    """What a dotted name is, the modules on the way imported."""
    room, _, last = name.rpartition(".")
    if not room:
        return import_module(name)
    outer = _object(room)
    try:
        return getattr(outer, last)
    except AttributeError:
        return import_module(name)


class Names(Directive):
    """The names of its lines, in their order."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines = ["```{eval-rst}"]
        for line in filter(None, map(str.strip, self.content)):
            for name in named(line):
                lines += [*directive(name), ""]
        made = nodes.Element()
        self.state.nested_parse(StringList([*lines, "```"], source=""), self.content_offset, made)
        return made.children


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("names", Names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
