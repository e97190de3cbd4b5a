"""The page of the record, README.md: claim by claim what was run at each scale, and what came out."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from ufm.errors import require
from ufm.storage.files import read_json, write_text

from .claims import CLAIMS, claims_at
from .grid import CELLS, SCALES
from .trained import FITTED

TEMPLATE = Path(__file__).with_name("page.md")


def write_page(results: Path) -> None:
    """Write results/README.md out of what the folders of the scales hold."""
    scales = {name: _recorded(results / name) for name in SCALES if (results / name / "claims.json").is_file()}
    others = sorted(page.parent.name for page in results.glob("*/README.md"))
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"number": _number, "made_with": _made_with, "percent": lambda value: f"{value:.2%}"}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    outcomes = {
        key: {name: scale["claims"][key] for name, scale in scales.items() if key in scale["claims"]} for key in CLAIMS
    }
    record = {"scales": scales, "outcomes": outcomes, "others": others}
    page = template.render(claims=CLAIMS, fitted=FITTED, all_scales=SCALES, **record)
    write_text(results / "README.md", page.rstrip() + "\n")


def _recorded(folder: Path) -> dict[str, Any]:
    """What the record has at one scale: claims, cells, by claim figures and summary, and notes made by hand."""
    drawn = {file.stem for file in (folder / "figures").glob("*.svg")}
    configs = {cell: folder / "cells" / cell / "config.json" for cell in CELLS}
    cells = {cell: read_json(file) for cell, file in configs.items() if file.is_file()}
    claims = recorded_claims(folder)
    made = {key: [_made_with(cells[cell]) for cell in claim["cells"] if cell in cells] for key, claim in claims.items()}
    notes, there = folder / "notes.md", claims_at(folder.name)
    return {
        "claims": claims,
        "cells": cells,
        "trained": {key: " and ".join(dict.fromkeys(found)) for key, found in made.items()},
        "figures": {key: [name for name in there[key].figures if f"{key}-{name}" in drawn] for key in there},
        "summaries": {key: _table(folder / f"{key}-summary.csv") for key in there},
        "criteria": {key: claim.criterion for key, claim in there.items()},
        "notes": notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
    }


def recorded_claims(folder: Path) -> dict[str, Any]:
    """The newest outcome of each claim in claims.json; InputError for a file that is not a record of claims."""
    file = folder / "claims.json"
    found = read_json(file) if file.is_file() else {"claims": {}}
    claims = found.get("claims") if isinstance(found, dict) else None
    require(isinstance(claims, dict), f"{file} is not a record of claims; remove it and judge the claims again")
    return claims


def _made_with(made: Mapping[str, Any]) -> str:
    """torch and hardware, of a cell's config.json or of what judged a claim."""
    machine = made.get("machine")
    if machine is None:
        hardware = "a machine that config.json does not name"
    else:
        hardware = machine["gpu"] or f"{machine['threads']} thread(s) of {machine['cpus']} CPU cores"
    return f"torch {made['versions']['torch']} on {hardware}"


def _table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV, numbers to three digits; none without a file."""
    if not file.is_file():
        return []
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    return [{name: _three_digits(text) for name, text in row.items()} for row in rows]


def _three_digits(text: str) -> str:
    try:
        return text if text.isdigit() else f"{float(text):.3g}"
    except ValueError:
        return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
