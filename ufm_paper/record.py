"""The record: what a scale's runs and claims gave, small enough for version control."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures.drawing.drawing import Drawing
from figures.runs.comparison import comparison_figures
from figures.runs.ratios import ratios_of
from networks import Recipe, preset, recipe_of
from networks.recipe import idle
from ufm import Status
from ufm.storage.files import write_json, write_text
from ufm.storage.locks import held
from validate import Run
from validate.runs.provenance import flags, provenance

from .claims import Claim, claims_at
from .finding import Finding
from .grid import CELLS, Scale
from .page import recorded_claims, write_page
from .trained import THEORY, Trained

PATIENCE = 300.0  # seconds that a record waits for another one to be written: a page and its figures
ELSEWHERE = ("data_dir", "device", "keep")  # settings of a recipe that say nothing of the experiment
PLACED = ("data", "rearrange")  # settings that differ between machines: CIFAR-10 as it is stored, the order of sums
OF_EPOCHS = ("collapse", "accuracy", "width")  # figures that need no last layer


@dataclass(frozen=True)
class Outcome:
    """What became of a claim: it holds, fails or is not covered."""

    claim: Claim
    status: Status
    finding: Finding

    def plain(self) -> dict[str, Any]:
        """The outcome as plain data for JSON, without its tables."""
        claim = self.claim
        asked = {"statement": claim.statement, "source": claim.source, "criterion": claim.criterion}
        asked |= {"cells": list(claim.cells)}
        return asked | {"status": self.status, "said": self.finding.said, "number": self.finding.number}


def write_record(results: Path, scale: Scale, outcomes: Mapping[str, Outcome], found: Mapping[str, Trained]) -> None:
    """Write results/SCALE (claims.json, tables, each finished cell's epochs and recipe) and the page of all scales.

    What the record has on other claims, cells and scales stays; and so does a claim's verdict when its runs are not all
    at hand now, unless one of those that are has other numbers than the record. One process at a time writes: another
    one waits.
    """
    with held(results / "README.md", PATIENCE):
        _write_held_record(results, scale, outcomes, found)


def _write_held_record(
    results: Path, scale: Scale, outcomes: Mapping[str, Outcome], found: Mapping[str, Trained]
) -> None:
    folder = results / scale.name
    former = recorded_claims(folder)
    outcomes = {name: one for name, one in outcomes.items() if not _stands(folder, former.get(name), one, found)}
    for cell, trained in found.items():
        if not trained.recorded:
            _write_cell(folder / "cells" / cell, trained)
    for name, outcome in outcomes.items():
        for stale in _tables_of(name, folder, {*former, *outcomes}):
            stale.unlink()
        for table, rows in outcome.finding.tables.items():
            write_table(folder / f"{name}-{table}.csv", rows)
        _write_figures(folder, name, outcome.claim, found)
    made = {name: outcome.plain() | {"made_by": _made_by(scale, name, found)} for name, outcome in outcomes.items()}
    write_json(folder / "claims.json", {"scale": scale.name, "about": scale.about, "claims": former | made})
    write_page(results)


def _stands(folder: Path, former: Mapping | None, outcome: Outcome, found: Mapping[str, Trained]) -> bool:
    """Whether a recorded verdict is to be kept: the new outcome is none, and no run at hand speaks against it."""
    if former is None or former["status"] == Status.NOT_COVERED or outcome.status != Status.NOT_COVERED:
        return False
    pairs = [(folder / "cells" / cell / "epochs.csv", found[cell]) for cell in outcome.claim.cells if cell in found]
    return all(file.is_file() and file.read_text(encoding="utf-8") == _epochs(trained) for file, trained in pairs)


def _tables_of(name: str, folder: Path, claims: set[str]) -> list[Path]:
    """The tables of a claim, and none of another one whose name begins as its own does."""
    others = tuple(f"{other}-" for other in claims if other.startswith(f"{name}-"))
    return [file for file in folder.glob(f"{name}-*.csv") if not file.name.startswith(others)]


def _epochs(trained: Trained) -> str:
    return (trained.run.path / "epochs.csv").read_text(encoding="utf-8")


def _write_cell(folder: Path, trained: Trained) -> None:
    """epochs.csv as it is; config.json without the places of this machine; the last layer beside theory, which would
    need all features; what the page says of the cell."""
    config, file = trained.run.config, folder / "epochs.csv"
    if not (file.is_file() and file.read_text(encoding="utf-8") == _epochs(trained) and (folder / THEORY).is_file()):
        write_json(folder / THEORY, {features: found.plain() for features, found in trained.theory.items()})
    recipe = {name: value for name, value in config["recipe"].items() if name not in ELSEWHERE}
    write_text(file, _epochs(trained))
    command = command_line(trained.name, trained.recipe)
    write_json(folder / "config.json", config | {"recipe": recipe, "command": command, "summary": trained.row()})


def recorded(results: Path, scale: Scale, cell: str) -> Trained | None:
    """What the record keeps of a cell, if all its epochs are there and by the recipe of the scale as it is now."""
    run = Run(results / scale.name / "cells" / cell)
    if not (run.path / "config.json").is_file():
        return None
    asked = scale.recipe(CELLS[cell])
    free = {name: getattr(asked, name) for name in (*ELSEWHERE, *PLACED)}
    same = dataclasses.replace(recipe_of(run), **free) == asked and len(run.epochs) == asked.epochs
    return Trained(cell, run, recorded=True) if same else None


def command_line(cell: str, recipe: Recipe) -> str:
    """`ufm train` with the flags that make the cell's recipe; those that would do nothing are refused."""
    name = CELLS[cell]["preset"]
    given, started = dataclasses.asdict(recipe), dataclasses.asdict(preset(name))
    left_out = {*ELSEWHERE, *idle(given)}
    changed = {key: value for key, value in given.items() if key not in left_out and value != started[key]}
    place = {} if recipe.data == "digits" else {"data_dir": "DATA_DIR"}
    return " ".join(["ufm train", *flags({"name": cell, "preset": name} | place | changed)])


def _write_figures(folder: Path, key: str, claim: Claim, found: Mapping[str, Trained]) -> None:
    """The claim's figures whose cells are all there. One that was drawn, maybe with last layers that the record does
    not keep, stays where no run is at hand."""
    for name, (kind, cells) in claim.figures.items():
        if all(cell in found for cell in cells):
            runs, there = [found[cell] for cell in cells], folder / "figures" / f"{key}-{name}.svg"
            if kind != "ratios" and there.is_file() and all(run.recorded for run in runs):
                continue
            for drawing in _drawn(kind, runs):
                drawing.save(folder / "figures", f"{key}-{name}", formats=["svg"])


def _drawn(kind: str, runs: Sequence[Trained]) -> list[Drawing]:
    """A figure of the runs; none where it needs last layers, and the record has what theory says of them alone."""
    if kind == "ratios":
        compared = {run.name: {model: one.comparison for model, one in run.theory.items()} for run in runs}
        covered = {name: found for name, found in compared.items() if any(found.values())}
        return [ratios_of(covered)] if len(covered) > 1 else []
    if kind in OF_EPOCHS or not any(run.recorded for run in runs):
        return list(comparison_figures([run.run for run in runs], only=[kind]).values())
    return []


def _made_by(scale: Scale, claim: str, found: Mapping[str, Trained]) -> dict[str, Any]:
    command = f"ufm reproduce --scale {scale.name} --only {claim}"
    if any(found[cell].recipe.data == "folder" for cell in claims_at(scale.name)[claim].cells if cell in found):
        command += " --cifar-folder DIR"
    return {"command": command, **provenance()}


def write_table(file: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as CSV, under the union of their keys in order of appearance."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())
