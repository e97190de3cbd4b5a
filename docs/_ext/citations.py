"""What a text cites, and which entry of the one bibliography it is.

A citation is "Zhu et al. 2021", "Tirer and Bruna, ICML 2022 (arXiv 2202.08087)" or "arXiv 2105.02375": names with a
year, an arXiv identifier, or both. Each has to be exactly one entry of docs/references.bib.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import prose
from docutils import nodes
from pybtex.database import Person, parse_file
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

FILE = Path(__file__).parents[1] / "references.bib"

ARXIV = r"\d{4}\.\d{4,5}"
ID = rf"\[?arXiv:? ?({ARXIV})\]?(?:\(https?:[^)]*\))?"
FAMILY = r"[A-Z][\w'’-]+"
SEVERAL = rf"{FAMILY}(?: et al\.|(?:, {FAMILY})*,? and {FAMILY})"
TITLE = r'"[^"]{3,150}",?'
VENUE = r"(?:[A-Z][\w.]*|of|on|the|in|for|and|\d+),?"
YEAR = r"(?:19|20)\d\d"
DATED = (  # several names may have a venue before the year; one has the year beside it, or a title between
    rf"(?:({SEVERAL})(?:'s)?,? \(?(?:{TITLE} )?(?:{VENUE} ){{0,7}}?"
    rf"|({FAMILY})(?:'s)?,? (?:{TITLE} (?:{VENUE} ){{0,7}}?)?)\(?({YEAR})\b"
)
CITED = re.compile(rf"(?<![\w.])(?:{DATED}(?:\)?,? \(?{ID})?|(?:({SEVERAL})(?:'s)?,? \(?)?\b{ID})\)?")
NO_AUTHORS = {"PNAS", "NeurIPS", "NIPS", "ICML", "ICLR", "CVPR", "EUSIPCO", "BIT", "Computers", "Numerica", "JMLR"}


@dataclass(frozen=True)
class Entry:
    """An entry of the bibliography: its authors' family names in letters of ASCII."""

    key: str
    families: tuple[str, ...]
    year: str
    arxiv: str


@dataclass(frozen=True)
class Citation:
    """What a text says of a paper; "" for what it does not."""

    text: str
    authors: str
    year: str
    arxiv: str


class Unresolved(ValueError):
    """A citation that is no entry, or several."""


@cache
def bibliography(file: Path = FILE) -> tuple[Entry, ...]:
    """The entries of a BibTeX file."""
    return tuple(
        Entry(
            key,
            tuple(_family(person) for person in entry.persons.get("author", entry.persons.get("editor", []))),
            entry.fields["year"],
            entry.fields.get("eprint", ""),
        )
        for key, entry in parse_file(str(file), "bibtex").entries.items()
    )


def _family(person: Person) -> str:
    return plain(" ".join([*person.prelast_names, *person.last_names]))


def plain(name: str) -> str:
    """A name without what BibTeX and languages put on its letters."""
    name = re.sub(r"\\[`'^\"~=.uvHcdbk]\s*|[{}]|\\(?=[a-zA-Z])", "", name).replace("ø", "o").replace("ł", "l")
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))


def cited(text: str) -> Iterator[Citation]:
    """The citations of a text, one after the other."""
    flat = re.sub(r"\s+", " ", text)
    for found in CITED.finditer(flat):
        citation = _citation(found)
        if citation.arxiv or citation.authors not in NO_AUTHORS:
            yield citation


def _citation(found: re.Match[str]) -> Citation:
    several, one, year, arxiv, alone, bare = found.groups()
    authors = re.sub("['’]s$", "", several or one or alone or "")
    return Citation(found[0], authors, year or "", arxiv or bare or "")


def resolve(citation: Citation, entries: Iterable[Entry]) -> Entry:
    """The entry that a citation is; Unresolved says why there is not exactly one."""
    found = [entry for entry in entries if _agrees(citation, entry)]
    if len(found) != 1:
        raise Unresolved(f"{citation.text!r} is {', '.join(entry.key for entry in found) or 'no entry'}")
    return found[0]


def _agrees(citation: Citation, entry: Entry) -> bool:
    same = not citation.arxiv or citation.arxiv == entry.arxiv
    dated = not citation.year or citation.year == entry.year
    return same and dated and (not citation.authors or _wrote(citation.authors, entry.families))


def _wrote(authors: str, families: tuple[str, ...]) -> bool:
    if authors.endswith(" et al."):
        return len(families) > 2 and plain(authors.removesuffix(" et al.")) == families[0]
    return tuple(re.split(r",? and |, ", plain(authors))) == families


def _linked(found: re.Match[str], keep: prose.Keep) -> str:
    """In a docstring: a link to the entry. What is not one is no citation here; a test looks for those."""
    try:
        entry = resolve(_citation(found), bibliography())
    except Unresolved:
        return found[0]
    closes = found[0].count(")") - found[0].count("(")  # a bracket that was opened before stays outside
    text = found[0][: len(found[0]) - max(closes, 0)]
    return keep(f":any:`{prose.escaped(text)} <{PREFIX}{entry.key}>`") + ")" * closes


PREFIX = "cite:"


def _round() -> BracketStyle:
    return BracketStyle(left="(", right=")")


@dataclass
class RoundBrackets(AuthorYearReferenceStyle):
    """Zhu et al. (2021), as the docstrings would write it."""

    bracket_parenthetical: BracketStyle = field(default_factory=_round)
    bracket_textual: BracketStyle = field(default_factory=_round)
    bracket_author: BracketStyle = field(default_factory=_round)
    bracket_label: BracketStyle = field(default_factory=_round)
    bracket_year: BracketStyle = field(default_factory=_round)


def _to_entry(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
    """The link from a docstring's citation to where the bibliography has it."""
    if not node["reftarget"].startswith(PREFIX):
        return None
    key = node["reftarget"].removeprefix(PREFIX)
    for citation in env.domains["cite"].citations:  # type: ignore[attr-defined]
        if citation.key == key:
            page = citation.bibliography_key.docname
            text = nodes.inline("", content.astext())
            return make_refnode(app.builder, node["refdoc"], page, citation.citation_id, text)
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    prose.LINKS.append((CITED, _linked))
    register_plugin("sphinxcontrib.bibtex.style.referencing", "round_brackets", RoundBrackets)
    app.connect("missing-reference", _to_entry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
