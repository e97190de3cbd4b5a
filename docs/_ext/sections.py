"""Links from docstrings to the theory: in "docs/theory, sections 4.2 and 9.1" each number leads to its section.

The pages of docs/theory/ name their sections (theory-4-2)=. What is not there stays text; a test looks for that.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import prose
from sphinx.application import Sphinx

THEORY = Path(__file__).parents[1] / "theory"
NUMBER = r"\d+(?:\.\d+)?"
CITED = re.compile(rf"\bdocs/theory(?:\.md)?, (sections? {NUMBER}(?:(?:,| and|, and| to) {NUMBER})*)")


@cache
def labels() -> frozenset[str]:
    return frozenset(
        found for page in THEORY.glob("*.md") for found in re.findall(r"^\((theory-[\d-]+)\)=$", page.read_text(), re.M)
    )


def linked(found: re.Match[str], keep: prose.Keep) -> str:
    def link(number: re.Match[str]) -> str:
        label = f"theory-{number[0].replace('.', '-')}"
        return keep(f":ref:`{number[0]} <{label}>`") if label in labels() else number[0]

    return f"theory, {re.sub(NUMBER, link, found[1])}"


def setup(app: Sphinx) -> dict[str, Any]:
    prose.LINKS.append((CITED, linked))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
