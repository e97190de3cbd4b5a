"""What the code cites of docs/theory is there, and every theorem's argument is found from its source."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_house import FOLDERS, HOUSE
from ufm.theorems import ATLAS, LINE, MODELS, OTHER_ATLAS, OTHER_LOSSES, RIGOROUS, THEOREMS
from ufm.theorems.theorem import here

CHAPTERS = {file.name: file.read_text() for file in sorted((HOUSE / "docs" / "theory").glob("[0-9]*.md"))}
REGISTRY = (
    *THEOREMS,
    *RIGOROUS,
    *ATLAS,
    *LINE,
    *OTHER_LOSSES,
    *OTHER_ATLAS,
    *(t for each in MODELS.values() for t in each),
)

NUMBER = r"\d+(?:\.\d+)?"
LINK = re.compile(rf"\[({NUMBER})\]\(#(theory-[\d-]+)\)")  # from section to section, by the number alone
THEORY = LINK.sub(r"\1", "\n".join(CHAPTERS.values()))
CITATION = re.compile(rf"docs/theory,\s+sections?\s+({NUMBER}(?:(?:,| and|, and)\s+{NUMBER})*)")
MENTION = re.compile(r"docs/theory\b|theory\.md|theory,?\s+sections?\s+\d|ufm/theorems\b(?=[;\"'])")
MADE_UP = r"docs/theory, section\{"  # the f-string of `here`, which the registry's sources show with its numbers


def sections(text):
    """The numbers of the headings of the theory."""
    return set(re.findall(rf"^#+ ({NUMBER})\.? ", text, re.M))


def cited(text):
    """The sections of docs/theory that a text cites."""
    return [number for found in CITATION.findall(text) for number in re.findall(NUMBER, found)]


def unresolved(text, theory=THEORY):
    """What is wrong with a text's citations: sections that do not exist, and mentions without a section."""
    numbers = cited(text)
    bare = len(MENTION.findall(text)) - len(re.findall(MADE_UP, text)) - len(CITATION.findall(text))
    return [number for number in numbers if number not in sections(theory)] + ["no section"] * bare


def arguments(theory):
    """By theorem: the sections that the table of the registry's theorems names."""
    table = re.split(r"\n# \d+\. The theorems of the registry", theory)[1].split("\n# ")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines() if line[:2] == "| "]
    return {name: set(re.findall(NUMBER, where)) for name, where in rows[1:]}


def unargued(theorem, theory=THEORY):
    """Whether a source that is this project's fails to cite sections of docs/theory that its table names."""
    numbers = cited(theorem.source)
    return "this project" in theorem.source and not (numbers and set(numbers) <= arguments(theory)[theorem.name])


def sources():
    return [file for folder in FOLDERS for file in sorted((HOUSE / folder).rglob("*.py"))]


def test_every_citation_in_the_code_names_a_section_that_exists():
    found = {str(file): unresolved(file.read_text()) for file in sources()}
    assert not {file: wrong for file, wrong in found.items() if wrong}
    assert sum(len(cited(file.read_text())) for file in sources()) > 10


@pytest.mark.parametrize("theorem", REGISTRY, ids=lambda theorem: theorem.name)
def test_every_theorem_of_this_project_cites_its_argument(theorem):
    assert not unresolved(theorem.source)
    assert not unargued(theorem)


def test_the_table_lists_every_theorem_and_sections_that_exist():
    found = arguments(THEORY)
    assert set(found) == {theorem.name for theorem in REGISTRY}
    assert all(numbers and numbers <= sections(THEORY) for numbers in found.values())


def test_references_within_the_document_exist():
    """Numbers such as (4.2), "by 4.2" and "section 6.1"; a decimal of the text has a digit before or an e after it."""
    found = re.findall(r"(?:\(|by |of |in |and |sections? )(\d\.\d)(?=[);:,. ]|$)", THEORY, re.M)
    assert len(found) > 20
    assert set(found) <= sections(THEORY)


def test_sections_are_numbered_one_after_the_other():
    numbers = [tuple(map(int, n.split("."))) for n in re.findall(rf"^#+ ({NUMBER})\.? ", THEORY, re.M)]
    assert numbers == sorted(numbers)
    chapters = [n[0] for n in numbers if len(n) == 1]
    assert chapters == list(range(1, len(chapters) + 1))
    assert len(chapters) > 10


PLANTED = {
    "a section that does not exist": 'see (docs/theory, section 4.9)."""',
    "one of several": "docs/theory, sections 3 and 31",
    "one after a line's end": "as in docs/theory,\n    section 32.",
    "no section": "the argument is in docs/theory",
    "a page by its old name": "below f everywhere (docs/theory.md, section 3)",
    "a section without its folder, after a line's end": "below f everywhere (theory,\n    section 3)",
    "another document's numbering": "below f everywhere (theory section 3)",
    "the old source": '"this project; argument in ufm/theorems"',
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_citation_is_caught(error):
    assert unresolved(PLANTED[error])


def test_citations_are_read():
    assert cited("docs/theory, section 4.2") == ["4.2"]
    assert cited("docs/theory, sections 3 and 4") == ["3", "4"]
    assert cited("docs/theory,\n    sections 9.1, 9.2 and 9.3") == ["9.1", "9.2", "9.3"]
    assert not unresolved("docs/theory, section 3.\n")


@pytest.mark.parametrize("source", ["this project", here("4.9"), here("3.2"), here("4.2", "3.2")])
def test_a_planted_source_is_caught(source):
    (theorem,) = (theorem for theorem in THEOREMS if theorem.name == "landscape, d >= K - 1")
    assert unargued(replace(theorem, source=source))


# The table of folders.

LISTED = re.findall(r"^\| `([\w/]+)/` \|", (HOUSE / "docs" / "rooms.md").read_text(), re.M)


def missing_rooms(listed):
    """Packages of the rooms that a list of folders leaves out."""
    packages = {str(file.parent.relative_to(HOUSE)) for file in sources() if file.name == "__init__.py"}
    return packages - set(listed)


def test_the_table_lists_every_room_and_no_other():
    assert not missing_rooms(LISTED)
    assert all((HOUSE / folder).is_dir() for folder in LISTED)


def test_a_room_left_out_is_caught():
    assert missing_rooms(folder for folder in LISTED if folder != "ufm/spectra") == {"ufm/spectra"}


TEX = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.S)


def is_ours(file):
    """Whether a page of the site is written, not made when the site is built."""
    return not {"_build", "gallery"} & set(file.relative_to(HOUSE / "docs").parts)


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES = DOCUMENTS + [str(file.relative_to(HOUSE)) for file in sorted((HOUSE / "docs").rglob("*.md")) if is_ours(file)]


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_the_documents_exist(page):
    """In backticks, with a slash and an ending, not of a run (which has its own page)."""
    text = (HOUSE / page).read_text()
    rooms = "|".join([*FOLDERS, "docs", "tests", "benchmarks"])
    for path in re.findall(rf"`((?:{rooms})/[\w./]+\.(?:py|md))`", text):
        assert Path(HOUSE / path).exists() or path == "benchmarks/results.md", path


def eaten(text):
    """Emphasis and struck text of a page that has parts of formulas in it: pairs of _, * or ~ that Markdown took.

    What stands between dollars is TeX, which the site takes before Markdown does.
    """
    markdown = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parts = re.findall(r"<(?:em|s)>(.*?)</(?:em|s)>", markdown.render(TEX.sub("TeX", text)), re.S)
    return [part for part in parts if re.search(r"[|{}=^_]|&[lg]t;", part)]


@pytest.mark.parametrize("page", PAGES)
def test_no_formula_is_read_as_markup(page):
    assert not eaten((HOUSE / page).read_text())


def test_a_formula_that_markdown_takes_is_caught():
    assert eaten("<L, Z> >= -|L|_2 |Z|_*, as above")
    assert eaten("$x$, -|L|_2 |Z|_*, as above")
    assert not eaten("the *norm $\\lVert L \\rVert_2 \\ge x_*$* of $y_*$")
    assert not eaten("`|L|_2 |Z|_*` and an *emphasis*")
