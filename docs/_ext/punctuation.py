"""Punctuation stays with the formula beside it: a browser may end a line before and after every formula.

What touches an inline formula, "(" before it or ")," after it, is wrapped with it in a span that does not break.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

BEFORE = re.compile(r"\S{1,12}\Z")  # not before a line's end, which is a space
AFTER = re.compile(r"^\S{1,12}")


def _keep(app: Sphinx, doctree: nodes.document, page: str) -> None:
    for formula in list(doctree.findall(nodes.math)):
        keep(formula)


def keep(formula: nodes.math) -> None:
    """Wrap a formula with the ends of the text beside it that touch it."""
    row = formula.parent
    before, after = _cut(row, row.index(formula) - 1, BEFORE), _cut(row, row.index(formula) + 1, AFTER)
    if before or after:
        place = row.index(formula)
        row.remove(formula)
        row.insert(place, nodes.inline("", nodes.Text(before), formula, nodes.Text(after), classes=["unbroken"]))


def _cut(row: nodes.Element, place: int, end: re.Pattern[str]) -> str:
    """The end of the text at a place of a row, which is taken from it; "" if there is no text, or none that touches."""
    text = row[place] if 0 <= place < len(row) else None
    found = end.search(text) if isinstance(text, nodes.Text) else None
    if text is None or found is None:
        return ""
    row[place] = nodes.Text(end.sub("", text))  # by its place: texts are equal where their letters are
    return found[0]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-resolved", _keep)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
