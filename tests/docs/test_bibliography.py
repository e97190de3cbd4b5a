"""What the code, the registry and the pages cite is one entry each of docs/references.bib, and every entry is cited."""

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

from tests.docs.sites import DOCS, HOUSE
from tests.test_docs import REGISTRY
from tests.test_house import FOLDERS

PAGES = [HOUSE / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("[gt]*/*.md"))]


def said(file: Path) -> list[str]:
    """The strings (adjacent ones joined) and comments (lines joined) of a Python file."""
    text = file.read_text()
    strings = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    return [*(string for string in strings if isinstance(string, str)), " ".join(comments)]


@cache
def texts() -> dict[str, list[str]]:
    """By where it stands: what may cite."""
    code = {str(file.relative_to(HOUSE)): said(file) for name in FOLDERS for file in (HOUSE / name).rglob("*.py")}
    registry = {f"theorem {theorem.name}": [theorem.source] for theorem in REGISTRY}
    pages = {str(page.relative_to(HOUSE)): [without_links(page.read_text())] for page in PAGES}
    return code | registry | pages


def without_links(text: str) -> str:
    """A page without its code and the addresses of its links."""
    return re.sub(r"```.*?```|\]\(https?:[^)]*\)", " ", text, flags=re.S)


def unresolved(text: str) -> list[str]:
    from citations import Unresolved, bibliography, cited, resolve

    wrong = []
    for citation in cited(text):
        try:
            resolve(citation, bibliography())
        except Unresolved as error:
            wrong.append(str(error))
    return wrong


def test_every_citation_is_one_entry():
    found = {place: [line for part in parts for line in unresolved(part)] for place, parts in texts().items()}
    assert not {place: wrong for place, wrong in found.items() if wrong}


def test_arxiv_identifiers_are_all_seen():
    """Counted by another expression: what looks like an identifier is one of the bibliography's."""
    from citations import bibliography

    known = {entry.arxiv for entry in bibliography()} - {""}
    seen = {number for parts in texts().values() for part in parts for number in re.findall(r"\b\d{4}\.\d{5}\b", part)}
    assert len(seen) > 40
    assert {number for number in seen if re.match(r"(?:1[5-9]|2[0-6])(?:0[1-9]|1[0-2])\.", number)} <= known


def test_every_entry_is_cited():
    from citations import bibliography, cited, resolve

    keys = {
        resolve(citation, bibliography()).key
        for parts in texts().values()
        for part in parts
        for citation in cited(part)
    }
    everything = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\b[a-z]+\d{4}[a-z]+\b", everything))
    assert not {entry.key for entry in bibliography()} - keys - named


def test_entries_are_told_apart():
    from citations import bibliography

    entries = bibliography()
    identifiers = [entry.arxiv for entry in entries if entry.arxiv]
    assert len(identifiers) == len(set(identifiers)) > 40
    assert all(re.fullmatch(rf"[a-z]+{entry.year}[a-z]+", entry.key) for entry in entries)
    assert all(entry.key.startswith(re.sub(r"\W", "", entry.families[0]).lower()) for entry in entries)


READ = {
    "Zhu et al. 2021 (arXiv 2105.02375), Theorem 3.1": [("Zhu et al.", "2021", "2105.02375")],
    "(Papyan, Han and Donoho, PNAS 2020)": [("Papyan, Han and Donoho", "2020", "")],
    "Papyan, Han and Donoho\n    (PNAS 2020) call it so": [("Papyan, Han and Donoho", "2020", "")],
    'Rump, "Verification methods", Acta Numerica 2010': [("Rump", "2010", "")],
    "(Jiang et al., arXiv 2310.05351)": [("Jiang et al.", "", "2310.05351")],
    "as in arXiv\n    2105.02375:": [("", "", "2105.02375")],
    "Krawczyk 1969; Neumaier 1990": [("Krawczyk", "1969", ""), ("Neumaier", "1990", "")],
    "Wu\n    and Papyan 2024": [("Wu and Papyan", "2024", "")],
    "in NeurIPS 2021, from epoch 2000": [],
}


@pytest.mark.parametrize("text", READ)
def test_citations_are_read(text):
    from citations import cited

    assert [(c.authors, c.year, c.arxiv) for c in cited(text)] == READ[text]


PLANTED = {
    "an identifier that no entry has": "see arXiv 2199.99999",
    "names that no entry has": "Nobody and Noone 2021",
    "another year": "Zhu et al. 1999",
    "another's identifier": "Zhu et al. 2021 (arXiv 2008.08186)",
    "one author of several": "Papyan 2020",
    "two papers of one name and year": "Zhou et al. 2022",
    "one of many": "Zhu et al. 2021, and Nobody et al. 2020 (arXiv 2199.99999)",
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_citation_is_caught(error):
    assert len(unresolved(PLANTED[error])) == 1
