"""Pages of the gallery show the `figures.Drawing` that a block of a script ends with."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

from figures import Drawing


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
