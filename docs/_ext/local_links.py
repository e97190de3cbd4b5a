"""After the build: every link within the site leads to a file that is there, and to an anchor on it.

Sphinx checks references as it resolves them; this looks at what was written, whoever wrote it. It also refuses what a
page would load from elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

LOG = getLogger(__name__)
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "object": "data", "link": "href"}
NOT_LOADED = {"canonical", "next", "prev", "search", "index", "author", "license"}  # of <link rel=...>


@dataclass
class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what a browser loads to show it."""

    text: str
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.anchors |= {has[name] for name in ("id", "name") if name in has}
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
        elif LOADED.get(tag, "") in has and not set(has.get("rel", "").split()) & NOT_LOADED:
            self.loaded.append(has[LOADED[tag]])


def wrong(folder: Path) -> Iterator[str]:
    """A line for every link and every file loaded that leads nowhere, and for all that is loaded from elsewhere."""
    pages = {file: Page(file.read_text()) for file in sorted(folder.rglob("*.html"))}
    for file, page in pages.items():
        said = file.relative_to(folder)
        for link in page.loaded:
            if urlsplit(link).scheme not in ("", "data") or link.startswith("//"):
                yield f"{said} loads {link} from elsewhere"
        for link in {*page.links, *page.loaded}:
            if not _leads(link, file, pages):
                yield f"{said} leads nowhere by {link}"


def _leads(link: str, file: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    anchored = not parts.fragment or there not in pages or unquote(parts.fragment) in pages[there].anchors
    return there.is_file() and anchored


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for line in wrong(Path(app.outdir).resolve()):
            LOG.warning("%s", line)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
