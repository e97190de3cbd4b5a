"""Docstrings as reStructuredText. Ours are plain text: prose, formulas set in, tables of names, examples.

A block (lines without an empty one between) becomes what the first entry of KINDS that knows it says. What stands in
single backticks is code, *so* is emphasised, and nothing else of it is markup.
"""

import re
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx

NAME = r"[\w.*\[\]-]+"
NAMES = rf"{NAME}(?:(?:,| or| and) {NAME})*"
NAMED = re.compile(rf"({NAMES},?) {{2,}}(\S.*)")  # a row of a table: what, and what it is
SAID = re.compile(r"(\S[^.;]{0,40}?) {3,}(\S.*)")  # the same, where what it is about is more than names
NEXT = re.compile(rf" {{3,}}({NAMES}) {{2,}}(?=\S)")  # another row in the same line
ITEM = re.compile(r"(?:[*-]|\d+\.|\[\d+\]) ")
CODE = re.compile(r"`([^`\n]+)`")
EMPHASIS = re.compile(r"(?<![\w*\\(|])\*([A-Za-z][^*|=]*[\w.,:)])\*(?![\w*])")

Keep = Callable[[str], str]  # takes markup, and gives what stands for it until the rest is escaped
LINKS: list[tuple[re.Pattern[str], Callable[[re.Match[str], Keep], str]]] = []  # what other extensions make links of
CODES: list[Callable[[str], str | None]] = []  # what code of theirs is a link


def rst(lines: list[str]) -> list[str]:
    """A docstring's lines, as autodoc has them (nothing is set in), as lines of reStructuredText."""
    made: list[str] = []
    for filled, group in groupby(lines, lambda line: bool(line.strip())):
        if filled:
            made += [*_block([line.rstrip() for line in group]), ""]
    return made


def _block(block: list[str]) -> list[str]:
    return next(make(block) for knows, make in KINDS if knows(block))


def _is_example(block: list[str]) -> bool:
    return block[0].startswith(">>> ")


def _is_formula(block: list[str]) -> bool:
    return all(line.startswith(" ") for line in block) and not ITEM.match(block[0].lstrip())


def _formula(block: list[str]) -> list[str]:
    least = min(len(line) - len(line.lstrip()) for line in block)
    return ["::", "", *("   " + line[least:] for line in block)]


def _is_list(block: list[str]) -> bool:
    return bool(ITEM.match(block[0].lstrip()))


def _list(block: list[str]) -> list[str]:
    """Items, each a paragraph of its own, marked as they are."""
    items: list[list[str]] = []
    for line in block:
        if ITEM.match(line.lstrip()) or not items:
            items.append([])
        items[-1].append(line.strip())
    return [line for item in items for line in (*(_marked(" ".join(item))), "")]


def _marked(item: str) -> list[str]:
    mark, text = item.split(" ", 1)
    shown = f"{mark} " if mark[0] in "*-" or mark[0].isdigit() else ""
    return [shown + markup(text if shown else item)]


def _is_table(block: list[str]) -> bool:
    return any(NAMED.match(line) or SAID.match(line) for line in block)


def _table(block: list[str]) -> list[str]:
    """A row's names, and what they are; a line that has neither begins a paragraph."""
    made: list[str] = []
    for names, text in _rows(block):
        if names and text:
            made += [_term(names), f"   {markup(' '.join(text))}"]
        else:
            made += ["", *_paragraph(text or [names]), ""]
    return made


def _term(names: str) -> str:
    if not re.fullmatch(f"{NAMES},?", names):
        return escaped(names)
    return ", ".join(f"``{name}``" for name in re.split(r",? (?:or |and )?", names.rstrip(",")) if name)


def _rows(block: list[str]) -> list[tuple[str, list[str]]]:
    """(names, lines of what they are); without names: lines of prose."""
    columns = {row.start(2) for line in block if (row := NAMED.match(line) or SAID.match(line))}
    rows: list[tuple[str, list[str]]] = []
    for line in block:
        if line.startswith(" ") and rows:
            rows[-1][1].append(line.strip())
        elif row := NAMED.match(line):
            rows += _parted(row[1], row[2])
        elif column := next(filter(partial(_is_tight, line), columns), None):
            rows += _parted(line[:column].rstrip(), line[column:])
        elif row := SAID.match(line):
            rows += _parted(row[1], row[2])
        elif "," in line and re.fullmatch(NAMES, line):  # what they are begins in the next line
            rows.append((line, []))
        elif rows and not rows[-1][0]:
            rows[-1][1].append(line)
        else:
            rows.append(("", [line]))
    return rows


def _parted(names: str, text: str) -> list[tuple[str, list[str]]]:
    """A line's row, and those that follow in the same line."""
    first, *others = NEXT.split(text)
    return [(names, [first]), *((name, [said]) for name, said in zip(others[::2], others[1::2], strict=True))]


def _is_tight(line: str, column: int) -> bool:
    """Whether what a row is about ends just before the column in which other rows say what they are.

    Two spaces before it, or names and one space.
    """
    names, apart, text = line[: column - 1], line[column - 2 : column], line[column : column + 1]
    named = bool(re.fullmatch(NAMES, names)) and names[0].islower()
    return text.strip() != "" and (apart == "  " or (apart.endswith(" ") and named))


def _has_list(block: list[str]) -> bool:
    return any(line.startswith(" ") and ITEM.match(line.lstrip()) for line in block)


def _before_list(block: list[str]) -> list[str]:
    first = next(i for i, line in enumerate(block) if line.startswith(" ") and ITEM.match(line.lstrip()))
    return [*_paragraph(block[:first]), *_list(block[first:])]


def _paragraph(block: list[str]) -> list[str]:
    """Prose; lines that are set in are a formula of it."""
    made: list[str] = []
    for inner, group in groupby(block, lambda line: line.startswith("    ")):
        lines = list(group)
        made += [*(_formula(lines) if inner else [_begun(markup(" ".join(map(str.strip, lines))))]), ""]
    return made


def _begun(text: str) -> str:
    """No list and no directive begins here."""
    return f"\\{text}" if re.match(r"[-+*•] |\.\. |(?:\w|\d+|[ivx]+)[.)] |\(\w+\) |:\w+: ", text) else text


KINDS: tuple[tuple[Callable[[list[str]], bool], Callable[[list[str]], list[str]]], ...] = (
    (_is_example, list),
    (_is_list, _list),
    (_is_formula, _formula),
    (_has_list, _before_list),
    (_is_table, _table),
    (lambda block: True, _paragraph),
)


def markup(text: str) -> str:
    """A line of prose, in which code, emphasis and the links of other extensions are marked, and the rest escaped."""
    made: list[str] = []

    def kept(piece: str) -> str:
        made.append(piece)
        return f"\0{len(made) - 1}\0"

    text = CODE.sub(lambda found: kept(_code(found[1])), text)
    for pattern, link in LINKS:
        text = pattern.sub(lambda found, link=link: link(found, kept), text)
    text = EMPHASIS.sub(lambda found: found[0] if "\0" in found[1] else kept(f"*{escaped(found[1])}*"), text)
    text = re.sub(r"(?<=\S)(\0\d+\0)", r"\0\0\1", escaped(text))  # markup has to be set off from what is beside it
    text = re.sub(r"(\0\d+\0)(?=\S)", r"\1\0\0", text)
    return re.sub(r"\0(\d+)\0", lambda found: made[int(found[1])], text).replace("\0\0", "\\ ")


def _code(text: str) -> str:
    return next(filter(None, (link(text) for link in CODES)), None) or f"``{text}``"


def escaped(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what == "module":  # autodoc takes off what all lines but the first are set in by, as where these are formulas
        lines[:] = (obj.__doc__ or "").splitlines()
    lines[:] = rst(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
