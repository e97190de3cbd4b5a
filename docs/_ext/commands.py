"""The directive `commands`: a section for every command of `ufm`, with its flags as the command itself has them."""

import importlib
import re
import warnings
from argparse import Action, ArgumentParser
from collections.abc import Iterator
from typing import Any

import tyro
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from ufm_cli.commands import COMMANDS

WIDTHS = (30, 56, 14)
DEFAULT = re.compile(r"\s*\(default: (.*?)\)$|\s*\(required\)$|\s*\(repeatable\)$", re.S)


def parser(name: str) -> ArgumentParser:
    """The parser of a command, made of its dataclass as `ufm_cli.main` does."""
    command = importlib.import_module(f"ufm_cli.commands.{name}").Command
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # tyro has no other way to a parser
        return tyro.extras.get_parser(command, prog=f"ufm {name}", config=(tyro.conf.OmitArgPrefixes,))


def groups(name: str) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """(title, description, rows of flags, meaning and default) of every group of a command's flags."""
    for group in parser(name)._action_groups:
        rows = [row(action) for action in group._group_actions if "--help" not in action.option_strings]
        if rows:
            title = (group.title or "").removesuffix(" options").rpartition(".")[2].replace("_", " ")
            yield title, group.description or "", rows


def row(action: Action) -> tuple[str, str, str]:
    """("--seed INT", "of the random starts", "0")"""
    said = str(action.help or "")
    default = DEFAULT.search(said)
    value = action.metavar if isinstance(action.metavar, str) else ""
    flags = [flag for flag in action.option_strings if not re.fullmatch(r"--\w", flag)]
    names = ", ".join(f"{flag} {value}".strip() for flag in flags) or value
    meaning = " ".join(DEFAULT.sub("", said).split())
    shown = "" if default is None or default[1] in (None, "None", "False") else default[1]
    return names, meaning, {"True": "yes"}.get(shown, shown)


class Commands(Directive):
    """A section a command."""

    def run(self) -> list[nodes.Node]:
        labels = self.state.document.settings.env.domains["std"].data
        page = self.state.document.settings.env.docname
        made: list[nodes.Node] = []
        for name, line in COMMANDS.items():
            label = f"ufm-{name}"
            labels["labels"][label] = page, label, f"ufm {name}"
            labels["anonlabels"][label] = page, label
            made.append(_section(name, label, line))
        return made


def _section(name: str, label: str, line: str) -> nodes.section:
    section = nodes.section("", nodes.title("", f"ufm {name}"), ids=[label], names=[label])
    section += nodes.paragraph("", f"{line[0].upper()}{line[1:]}.")
    for paragraph in re.split(r"\n\s*\n", (parser(name).description or "").strip()):
        section += _paragraph(paragraph)
    for title, description, rows in groups(name):
        if title not in ("options", "arguments", "positional arguments", ""):
            section += nodes.rubric("", title.capitalize())
        if description:
            section += _paragraph(description)
        section += _table(rows)
    return section


def _paragraph(text: str) -> nodes.paragraph:
    return nodes.paragraph("", " ".join(text.split()))


def _table(rows: list[tuple[str, str, str]]) -> nodes.table:
    table = nodes.table("", classes=["flags"])
    group = nodes.tgroup("", cols=len(WIDTHS))
    table += group
    for width in WIDTHS:
        group += nodes.colspec("", colwidth=width)
    group += nodes.thead("", _row(map(nodes.Text, ("flag", "meaning", "default"))))
    cells = ((nodes.literal("", flag), nodes.Text(meaning), _value(value)) for flag, meaning, value in rows)
    group += nodes.tbody("", *map(_row, cells))
    return table


def _value(value: str) -> nodes.Node:
    return nodes.literal("", value) if value else nodes.Text("")


def _row(cells: Any) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
