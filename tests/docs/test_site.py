"""The site as it is built, offline: no warning, every page, mathematics as MathML, and links that lead somewhere."""

import configparser
import html
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.sites import DOCS, HOUSE, STRICT, build
from ufm_cli.commands import COMMANDS
from ufm_cli.main import main

ANCHOR = re.compile(r"""<[^>]*?\s(?:id|name)="([^"]+)\"""")
LINK = re.compile(r"""<a\s[^>]*?href="([^"]*)\"""")
LOADED = re.compile(r"""<(?:script|img|iframe|source|video|audio)\s[^>]*?src="([^"]+)\"""")
STYLES = re.compile(r"""<link\s(?![^>]*rel="(?:next|prev|index|search)")[^>]*?href="([^"]+)\"""")
OUTSIDE = re.compile(r"(?:https?:)?//")
MATH = re.compile(r"<math\b.*?</math>", re.S)
TAG = re.compile(r"<[^>]+>")


@pytest.fixture(scope="module")
def pages(built):
    """The text of every page, by its path below the site."""
    folder, _ = built
    return {file.relative_to(folder): file.read_text() for file in sorted(folder.rglob("*.html"))}


def sources() -> list[Path]:
    """The pages written by hand."""
    left_out = {"_build", "_ext", "gallery"}
    return [file.relative_to(DOCS) for file in DOCS.rglob("*.md") if not left_out & set(file.relative_to(DOCS).parts)]


def test_it_builds_without_a_warning(built):
    assert built[1] == "0\n"


def test_every_page_is_there_and_in_the_navigation(pages):
    navigation = re.search(r'<div class="sidebar-tree">(.*?)</div>', pages[Path("index.html")], re.S)[1]
    listed = {Path(urlsplit(link).path or "index.html") for link in LINK.findall(navigation)} | {Path("index.html")}
    written = {page.with_suffix(".html") for page in sources()}
    assert len(written) > 15
    assert written <= set(pages)
    assert written <= listed


def test_nothing_is_loaded_from_elsewhere(pages, built):
    loaded = {address for page in pages.values() for kind in (LOADED, STYLES) for address in kind.findall(page)}
    assert len(loaded) > 5
    assert not [address for address in loaded if OUTSIDE.match(address)]
    styles = [file.read_text() for file in built[0].rglob("*.css")]
    assert styles
    assert not [found for style in styles for found in re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style)]


def test_every_local_link_leads_somewhere(pages, built):
    known = {(built[0] / page).resolve(): set(map(html.unescape, ANCHOR.findall(text))) for page, text in pages.items()}
    links = {(page, html.unescape(link)) for page, text in pages.items() for link in LINK.findall(text)}
    local = [(page, link, urlsplit(link)) for page, link in links if not urlsplit(link).scheme]
    assert len(local) > 1000
    lost = []
    for page, link, parts in local:
        here = (built[0] / page).resolve()
        there = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        if not there.is_file() or (parts.fragment and unquote(parts.fragment) not in known.get(there, ())):
            lost.append((str(page), link))
    assert not lost


def formulas() -> int:
    """How many formulas the pages written by hand have."""
    texts = [re.sub(r"```.*?```|`[^`\n]*`", "", (DOCS / page).read_text(), flags=re.S) for page in sources()]
    return sum(len(re.findall(r"\$\$.+?\$\$|(?<![\\$])\$[^$]+?\$", text, re.S)) for text in texts)


def test_formulas_are_mathml(pages):
    shown = [formula for page in pages.values() for formula in MATH.findall(page)]
    assert len(shown) >= formulas() > 1
    assert not [formula for formula in shown if re.search(r"[\\$&]", html.unescape(TAG.sub("", formula)))]
    assert not [page for page, text in pages.items() if "MathJax" in text]


def test_the_reference_has_every_public_name(pages):
    from public_names import public

    entries = {anchor for page in pages.values() for anchor in ANCHOR.findall(page)}
    missing = [name for name, found in public() if callable(found) and not entries & {name, named(found)}]
    assert not missing


def named(found) -> str:
    return f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"


def test_the_reference_has_every_command_and_flag(pages, capsys):
    sections = re.split(r'<section id="ufm-(\w+)">', pages[Path("reference/command.html")])
    shown = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert list(shown) == list(COMMANDS)
    for name, section in shown.items():
        assert main([name, "--help"]) == 0
        flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", capsys.readouterr().out)) - {"--help"}
        assert flags <= set(re.findall(r"--[a-z][\w-]+", TAG.sub("", section))), name


PLANTED = {  # what is written, and what the builder says of it
    "a page that is not there": ("[there](nowhere.md)", "nowhere.md"),
    "a section that is not there": ("[there](#no-such-heading)", "no-such-heading"),
    "a paper that is not there": ("{cite:t}`nobody1999nothing`", "nobody1999nothing"),
    "a command of LaTeX that is not there": (r"$\nosuchcommand{x}$", "nosuchcommand"),
    "a definition in LaTeX": (r"$\newcommand{\half}{1/2} \half$", r"not known: \newcommand"),
    "a font that is lost": (r"$\mathds{1}$", r"not known: \mathds"),
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
FEW = "-Dextensions=myst_parser,sphinxcontrib.bibtex,citations,typeset,local_links"


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """What the builder says of a site of a page with every planted error, beside a sound page."""
    source = tmp_path_factory.mktemp("spoiled") / "source"
    source.mkdir()
    (source / "index.md").write_text(SOUND + "\n```{toctree}\nspoiled\n```\n")
    (source / "spoiled.md").write_text("# Spoiled\n\n" + "\n\n".join(text for text, _ in PLANTED.values()) + "\n")
    return build(source.parent / "out", source, FEW)


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_fails_the_build(error, spoiled):
    _, said = PLANTED[error]
    assert spoiled.returncode != 0
    assert any(said in line and "WARNING" in line for line in spoiled.stderr.splitlines()), spoiled.stderr


def test_the_sound_page_beside_it_has_no_warning(spoiled):
    assert "index.md" not in spoiled.stderr


def test_make_builds_it_as_strictly_as_the_tests():
    makefile = (HOUSE / "Makefile").read_text()
    settings = re.search(r"^SPHINX := (.*)$", makefile, re.M)[1].split()
    assert {flag for flag in STRICT if flag.startswith("--")} - {"--quiet", "--builder"} <= set(settings)
    assert "\t$(SPHINX) -b html docs docs/_build/html\n" in makefile


def test_the_tests_have_what_the_site_needs():
    extras = configparser.ConfigParser()
    extras.read(HOUSE / "setup.cfg")
    needs = {name: set(text.split()) for name, text in extras["options.extras_require"].items()}
    assert needs["docs"] <= needs["test"]
    assert len(needs["docs"]) == 5
