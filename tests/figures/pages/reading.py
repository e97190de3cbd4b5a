"""A page read by other means than those that wrote it: what it holds, and what is wrong with it."""

import json
import re
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import html5lib

SVG = "{http://www.w3.org/2000/svg}"
NAMESPACE = '"http://www.w3.org/2000/svg"'  # a name, which no browser fetches
REFERENCES = ("src", "href", "srcset", "action", "data", "poster", "background", "{http://www.w3.org/1999/xlink}href")
OUTSIDE = re.compile(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket|import\(")


@dataclass(frozen=True)
class Read:
    """What a page holds: the JSON in it, its marks' items and places, the rows of its table, the links it draws."""

    root: Element
    data: dict[str, Any]
    marks: dict[int, tuple[float, float]]
    rows: dict[int, list[str]]
    links: list[tuple[int, int]]


def read(text: str) -> Read:
    """Parse it, strictly."""
    root = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    (data,) = (one for one in root.iter("script") if one.get("id") == "data")
    drawn = [one for one in root.iter(f"{SVG}g") if "mark" in one.get("class", "").split()]
    lines = [one for one in root.iter(f"{SVG}path") if one.get("class") == "link"]
    (table,) = (one for one in root.iter("table") if one.get("id") == "all")
    return Read(
        root,
        json.loads(data.text or ""),
        {int(one.get("data-item", "")): _place(one) for one in drawn},
        {
            int(r.get("data-item", "")): ["".join(c.itertext()) for c in r]
            for r in table.iter("tr")
            if r.get("data-item")
        },
        [(int(one.get("data-from", "")), int(one.get("data-to", ""))) for one in lines],
    )


def _place(mark: Element) -> tuple[float, float]:
    found = re.fullmatch(r"translate\((\S+) (\S+)\)", mark.get("transform", ""))
    assert found is not None
    return float(found[1]), float(found[2])


def complaints(text: str) -> list[str]:
    """What is wrong with a page that nothing but the page itself tells."""
    page = read(text)
    items = set(range(len(page.data["items"])))
    links = [tuple(link) for link in page.data["links"]]
    found = []
    if set(page.marks) != items:
        found.append("marks and items are not the same")
    if set(page.rows) != items:
        found.append("rows and items are not the same")
    if links != page.links:
        found.append("links are drawn that the numbers do not have, or the reverse")
    if not {end for link in links for end in link} <= items:
        found.append("a link ends nowhere")
    return found + _outside(page.root)


def _outside(root: Element) -> list[str]:
    """What the page takes from elsewhere, or could."""
    found = []
    for one in root.iter():
        if not isinstance(one.tag, str):
            continue
        found += [
            f"{name} = {one.get(name)}" for name in REFERENCES if not (one.get(name) or "#").startswith(("#", "data:"))
        ]
        words = "".join(one.itertext()) if one.tag in ("script", "style") else one.get("style", "")
        found += OUTSIDE.findall(words.replace(NAMESPACE, ""))
    policy = [one.get("content", "") for one in root.iter("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    return found if any("default-src 'none'" in one for one in policy) else [*found, "no policy keeps it to itself"]


def values(page: Read, columns: list[str], name: str) -> list[Any]:
    """A column of the items' values."""
    return [item["values"][columns.index(name)] for item in page.data["items"]]
