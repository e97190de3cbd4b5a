"""The site as it is built, offline: no warning, every page, mathematics as MathML, and links that lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import html5lib
import pytest

from tests.docs.sites import DOCS, build
from ufm_cli.commands import COMMANDS
from ufm_cli.main import main

HTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
OUTSIDE = re.compile(r"(?:https?:)?//")


@pytest.fixture(scope="module")
def pages(built):
    """The tree of every page, by its path below the site."""
    folder, _ = built
    return {
        file.relative_to(folder): html5lib.parse(file.read_text(), treebuilder="etree")
        for file in sorted(folder.rglob("*.html"))
    }


def sources() -> list[Path]:
    """The pages written by hand."""
    left_out = {"_build", "_ext", "gallery"}
    return [file.relative_to(DOCS) for file in DOCS.rglob("*.md") if not left_out & set(file.relative_to(DOCS).parts)]


def test_it_builds_without_a_warning(built):
    assert built[1] == "0\n"


def test_every_page_is_there_and_in_the_navigation(pages):
    navigation = pages[Path("index.html")].findall(f".//*[@class='sidebar-tree']//{HTML}a")
    listed = {Path(urlsplit(link.get("href")).path or "index.html") for link in navigation} | {Path("index.html")}
    written = {page.with_suffix(".html") for page in sources()}
    assert len(written) > 15
    assert written <= set(pages)
    assert written <= listed


def loads(tree) -> list[str]:
    """What a browser fetches to show a page."""
    found = []
    for element in tree.iter():
        tag = str(element.tag).removeprefix(HTML)
        if tag == "link" and not set((element.get("rel") or "").split()) <= {"next", "prev", "index", "search"}:
            found.append(element.get("href"))
        elif tag in ("script", "img", "iframe", "source", "video", "audio"):
            found.append(element.get("src"))
    return [address for address in found if address]


def test_nothing_is_loaded_from_elsewhere(pages, built):
    loaded = {address for tree in pages.values() for address in loads(tree)}
    assert len(loaded) > 5
    assert not [address for address in loaded if OUTSIDE.match(address)]
    styles = [file.read_text() for file in built[0].rglob("*.css")]
    assert styles
    assert not [found for style in styles for found in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style)]


def anchors(tree) -> set[str]:
    return {element.get(name) for element in tree.iter() for name in ("id", "name") if element.get(name)}


def test_every_local_link_leads_somewhere(pages, built):
    known = {(built[0] / page).resolve(): anchors(tree) for page, tree in pages.items()}
    looked, lost = 0, []
    for page, tree in pages.items():
        here = (built[0] / page).resolve()
        for link in tree.iter(f"{HTML}a"):
            parts = urlsplit(link.get("href", ""))
            if parts.scheme or parts.netloc:
                continue
            there = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            looked += 1
            if not there.is_file() or (parts.fragment and unquote(parts.fragment) not in known.get(there, ())):
                lost.append((str(page), link.get("href")))
    assert looked > 1000
    assert not lost


def formulas() -> int:
    """How many formulas the pages written by hand have, at least: pairs of dollars outside of code."""
    texts = [re.sub(r"```.*?```|`[^`\n]*`", "", (DOCS / page).read_text(), flags=re.S) for page in sources()]
    return sum(len(re.findall(r"\$\$.+?\$\$|(?<![\\$])\$[^$\n]+\$", text, re.S)) for text in texts)


def test_formulas_are_mathml(pages):
    shown = sum(len(list(tree.iter(f"{MATHML}math"))) for tree in pages.values())
    assert shown >= formulas() >= 1
    for page, tree in pages.items():
        assert not tree.findall(".//*[@class='MathJax']"), page
        said = "".join("".join(element.itertext()) for element in tree.iter(f"{MATHML}math"))
        assert not re.search(r"[\\$&]", said), page


def test_the_reference_has_every_public_name(pages):
    from public_names import public

    entries = {key for tree in pages.values() for key in anchors(tree)}
    missing = [name for name, found in public() if callable(found) and not entries & {name, named(found)}]
    assert not missing


def named(found) -> str:
    return f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"


def test_the_reference_has_every_command_and_flag(pages, capsys):
    shown = pages[Path("reference/command.html")]
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", capsys.readouterr().out)) - {"--help"}
        section = next(element for element in shown.iter(f"{HTML}section") if element.get("id") == f"ufm-{name}")
        assert flags <= set(re.findall(r"--[a-z][\w-]+", "".join(section.itertext()))), name


PLANTED = {  # what is written, and what the builder says of it
    "a page that is not there": ("[there](nowhere.md)", "nowhere.md"),
    "a section that is not there": ("[there](#no-such-heading)", "no-such-heading"),
    "a paper that is not there": ("{cite:t}`nobody1999nothing`", "nobody1999nothing"),
    "a command of LaTeX that is not there": (r"$\nosuchcommand{x}$", "nosuchcommand"),
    "a formula that is cut off": (r"$\frac{1}{2$", "braces"),
    "an environment that is not there": ("$$\\begin{nosuch} a \\end{nosuch}$$", "nosuch"),
    "a label that is not there": ("{ref}`section-99.9`", "section-99.9"),
    "a picture that is not there": ("![a picture](nowhere.svg)", "nowhere.svg"),
    "a link in HTML": ('<a href="lost.html">lost</a>', "leads nowhere by lost.html"),
    "a script from elsewhere": ('<script src="https://example.org/a.js"></script>', "loads https://example.org/a.js"),
}
SOUND = """# A page

Zhu et al. are {cite:t}`zhu2021geometric`. See [below](#below).

## Below

$\\lVert W \\rVert^2$ and

$$
\\begin{aligned} a &= b \\\\ &\\le c \\end{aligned}
$$

```{bibliography}
```
"""
FEW = "extensions=myst_parser,sphinxcontrib.bibtex,typeset,local_links"


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """What the builder says of a site of a page with every planted error, beside a sound page."""
    source = tmp_path_factory.mktemp("spoiled") / "source"
    source.mkdir()
    (source / "index.md").write_text(SOUND + "\n```{toctree}\nspoiled\n```\n")
    (source / "spoiled.md").write_text("# Spoiled\n\n" + "\n\n".join(text for text, _ in PLANTED.values()) + "\n")
    return little(source)


def little(source: Path):
    """A build of a little site with the settings of the large one, but for what documents the code."""
    settings = (FEW, f"bibtex_bibfiles={DOCS / 'references.bib'}", f"html_static_path={DOCS / '_static'}")
    return build(source.parent / "out", source, *(f"-D{setting}" for setting in settings))


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_fails_the_build(error, spoiled):
    _, said = PLANTED[error]
    assert spoiled.returncode != 0
    assert any(said in line and "WARNING" in line for line in spoiled.stderr.splitlines()), spoiled.stderr


def test_the_sound_page_beside_it_has_no_warning(spoiled):
    assert "index.md" not in spoiled.stderr
