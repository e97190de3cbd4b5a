"""Pages of the gallery: the `figures.Drawing` that a block of a script ends with is shown, with its caption, and
"docs/theory, section 4.2" leads there.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sections
from sphinx.application import Sphinx
from sphinx_gallery.scrapers import figure_rst

from figures import Drawing

CITED = re.compile(sections.CITED.pattern.replace(" ", r"\s+"))  # a line may end anywhere within


def scraper(block: tuple[str, str, int], variables: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """An image scraper of sphinx-gallery: reST of the Drawing and its caption; empty where the block ends otherwise."""
    _, code, _ = block
    statements = ast.parse(code).body
    shown = variables["example_globals"].get("___")  # what the last expression was
    if not statements or not isinstance(statements[-1], ast.Expr) or not isinstance(shown, Drawing):
        return ""
    path = Path(next(variables["image_path_iterator"]))
    path.write_bytes(shown.bytes("png"))
    return figure_rst([str(path)], settings["src_dir"]) + f"\n{escaped(shown.caption)}\n"


def escaped(text: str) -> str:
    """Plain text as reST that says the same."""
    return re.sub(r"([\\*_`|])", r"\\\1", text)


def _with_links(app: Sphinx, name: str, source: list[str]) -> None:
    if name.startswith("gallery/"):
        source[0] = CITED.sub(lambda found: sections.linked(found, keep=str), source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _with_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
