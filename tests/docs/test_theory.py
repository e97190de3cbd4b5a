"""The pages of the theory and of the metrics: the site can write every formula, and every link has its section."""

import re

import pytest

from tests.docs.sites import DOCS
from tests.test_docs import CHAPTERS, LINK, NUMBER

METRICS = (DOCS / "metrics.md").read_text()
INDEX = (DOCS / "theory" / "index.md").read_text()
TEXTS = {**CHAPTERS, "index.md": INDEX, "metrics.md": METRICS}
CODE = re.compile(r"```.*?```|`[^`]*`", re.S)
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.S)
INLINE = re.compile(r"\$([^$]+)\$")
HEADING = re.compile(rf"(?:\((theory-[\d-]+)\)=\n)?^(#+) ({NUMBER})\.? ", re.M)


def formulas(page):
    """(TeX, whether it is displayed) of every formula of a page; a dollar that closes nothing is an error."""
    text = CODE.sub("", page)
    found = [(tex, True) for tex in DISPLAY.findall(text)]
    rest = DISPLAY.sub("", text)
    found += [(tex, False) for tex in INLINE.findall(rest)]
    stray = re.findall(r".{0,40}\$.{0,40}", INLINE.sub("", rest))
    return found + [(f"a dollar alone: {line}", None) for line in stray]


def wrong(page):
    """What of a page's formulas the site cannot write, or Markdown would take."""
    return [tex for tex, display in formulas(page) if display is None or not written(tex, display)]


def written(tex, display):
    """Whether a formula becomes MathML; a bar would end the cell of a table, and blanks the formula itself."""
    from mathml import mathml

    apart = display or (tex == tex.strip() and "|" not in tex)
    try:
        return apart and mathml(tex, display).startswith("<math")
    except ValueError:
        return False


@pytest.mark.parametrize("page", TEXTS)
def test_every_formula_of_a_page_is_written(page):
    assert not wrong(TEXTS[page])


def test_there_are_formulas_on_every_page_but_the_table_of_theorems():
    few = {name for name, text in TEXTS.items() if len(formulas(text)) < 5}
    assert few == {"14_theorems.md"}
    assert sum(len(formulas(text)) for text in TEXTS.values()) > 2000


PLANTED = {
    "an unknown command": r"so $\unknowncommand{x}$ is",
    "an unknown command, displayed": "so\n\n$$\n\\unknowncommand{x}\n$$\n",
    "a brace that nothing closes": r"so $\sqrt{x$ is",
    "a brace that closes nothing": r"so $\frac{1}{2}}$ is",
    "an environment that nothing ends": "so\n\n$$\n\\begin{bmatrix} a & b\n$$\n",
    "a column outside of a table": r"so $a & b$ is",
    "a delimiter that nothing closes": r"so $\left( x$ is",
    "a dollar that nothing closes": "so $x$ is $y",
    "a bar that ends a cell": "so $|x|$ is",
    "a blank, by which a dollar is one": "so $ x$ is",
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_of_a_formula_is_caught(error):
    assert wrong(PLANTED[error])


def test_what_is_right_is_not_reported():
    assert not wrong("so $\\lVert \\tilde{H} \\rVert_2 \\le \\rho$, `$(cat pid)` and\n\n$$\nx^2\n$$\n")


def unmarked(text):
    """The headings of a chapter whose target is missing or has another number."""
    return [number for target, _, number in HEADING.findall(text) if target != "theory-" + number.replace(".", "-")]


def targets(text):
    return {target for target, _, _ in HEADING.findall(text)}


def astray(text):
    """The links to sections that lead to none, or to another one than they say."""
    ends = set().union(*map(targets, CHAPTERS.values()))
    pairs = re.findall(r"\[([^\]]*)\]\(#(theory-[\w-]*)\)", text)
    return [said for said, end in pairs if end not in ends or end != "theory-" + said.replace(".", "-")]


def test_every_heading_has_the_target_of_its_number():
    assert not [number for text in CHAPTERS.values() for number in unmarked(text)]
    assert unmarked(CHAPTERS["04_landscape.md"].replace("(theory-4-2)=", "(theory-4-3)=")) == ["4.2"]
    assert unmarked(CHAPTERS["04_landscape.md"].replace("(theory-4-2)=\n", "")) == ["4.2"]


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_leads_to_the_section_that_it_names(page):
    assert not astray(TEXTS[page])


@pytest.mark.parametrize("link", ["[4.2](#theory-4-3)", "[4.9](#theory-4-9)", "[17](#theory-17)"])
def test_a_planted_link_is_caught(link):
    assert astray(f"by {link}.")


def test_a_page_is_one_section_which_its_name_and_its_place_in_the_contents_tell():
    for name, text in CHAPTERS.items():
        (number,) = (number for _, level, number in HEADING.findall(text) if level == "#")
        assert int(name[:2]) == int(number)
        assert {inner.split(".")[0] for _, _, inner in HEADING.findall(text)} == {number}
    listed = re.search(r"```\{toctree\}\n(?::.*\n)*\n(.*?)```", INDEX, re.S)[1].split()
    assert listed == [name.removesuffix(".md") for name in CHAPTERS]


def unlinked(text):
    """Sections that a text names without a link."""
    return re.findall(r"(?:\(|[Ss]ections? |[Bb]y )(\d+\.\d{1,2})(?=[);:, ]|\.$)", LINK.sub("", text), re.M)


@pytest.mark.parametrize("page", CHAPTERS)
def test_sections_are_named_by_links(page):
    assert not unlinked(CHAPTERS[page])


def test_a_section_without_a_link_is_caught():
    assert unlinked("(4.2), by 10.1, section 3.3.\n") == ["4.2", "10.1", "3.3"]
    assert not unlinked("([4.2](#theory-4-2)), levels (8.13838, 8.16255)")
