"""ufm map: where local minimisers that are not global exist, over K, d and lambda."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..console import say, show, track
from ..losses import LossFlags, said
from ..options import JsonFile, Switch, require_plain_name, write_result

if TYPE_CHECKING:
    from ufm.traps import Cell, Grid

Whole = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")]
COLUMNS = (
    *("K", "d", "lambda", "starts", "trapped", "worst gap", "best f", "the best is", "levels"),
    *("one-vs-rest", "softmax code", "other ends"),
)


@dataclass(frozen=True)
class Command:
    """Descend from many random starts over a grid of K, d and lambda, certify every end, and map the traps.

    A trap is a local minimiser (no negative curvature, degenerate along its symmetry orbit alone) above another
    point. Writes RUNS/NAME/map.json after each finished cell and goes on with what is there; then figures.
    Exit status 1 when a local minimiser that is not global turns up at d >= K - 1, where theory has none.
    """

    classes: Whole = (3, 4, 5, 6, 7, 8)
    """numbers of classes K"""
    dims: Whole = (1, 2, 3, 4, 5, 6, 7)
    """feature dimensions d"""
    lambdas: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (2e-4, 2e-3, 2e-2)
    """weight decays, each of both W and H"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="INT")] = 2
    """samples in each class"""
    lambda_b: float = 1e-3
    """weight decay of b"""
    loss: LossFlags = field(default_factory=LossFlags)
    starts: int = 64
    """random starts of each cell"""
    seed: int = 0
    """of the first start of each cell; the others count up from it"""
    jobs: int = -1
    """processes side by side (-1: one a core)"""
    name: str = "map"
    """of the folder for the results"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """begin anew, whatever is recorded there"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        self.loss.check(given)

    def run(self) -> int:
        from figures.theory.traps import traps_figure
        from ufm.traps.grid import Grid, explore
        from validate.runs.provenance import provenance

        folder = self.runs / require_plain_name(self.name)
        loss = self.loss.made().to_plain()
        grid = Grid(self.classes, self.dims, self.lambdas, self.n, self.lambda_b, self.starts, self.seed, loss)
        file = folder / "map.json"
        cells = explore(
            grid, file, jobs=self.jobs, force=self.force, made_by=provenance(), track=track("cells of the map")
        )
        _show(grid, cells)
        for path in (file, *traps_figure(cells).save(folder / "figures", "traps")):
            say(str(path))
        write_result(self.json, "map", {"asked": grid.settings(), "cells": [cell.plain() for cell in cells]})
        return 1 if any(cell.contradicts for cell in cells) else 0


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm map` does."""
    from ufm.results import from_plain
    from ufm.traps import Cell, Grid

    _show(
        from_plain(Grid, {"loss": "cross-entropy"} | data["asked"]), [Cell.from_plain(cell) for cell in data["cells"]]
    )


def _show(grid: "Grid", cells: "list[Cell]") -> None:
    show(_title(grid), COLUMNS, [_row(cell) for cell in cells])
    _summary(cells)


def _title(grid: "Grid") -> str:
    return (
        f"{grid.starts} random descents a cell, from seed {grid.seed}: n = {grid.per_class}, "
        f"lambda_w = lambda_h = lambda, lambda_b = {grid.lambda_b:g}"
        + ("" if grid.loss == "cross-entropy" else f", {said(grid.loss)}")
    )


def _row(cell: "Cell") -> list[object]:
    problem = cell.problem
    return [
        problem.num_classes,
        problem.dim,
        f"{problem.lambda_w:g}",
        cell.starts,
        f"{cell.trapped:.1%}",
        cell.gap and f"{cell.gap:.2e}",
        f"{cell.best.value:.9f}",
        "certified global" if cell.certified else "best found",
        cell.levels,
        f"{cell.best.distance:.6f}",
        _code(cell),
        _others(cell),
    ]


def _code(cell: "Cell") -> str | None:
    """The softmax codes' distance, or what a search found it to be at least."""
    if cell.code is None:
        return None
    return f"{cell.code:.6f}" if cell.code_known else f">= {cell.code:.6f}"


def _others(cell: "Cell") -> str | None:
    from ufm.traps import Ending

    counts = {one: count for one, count in cell.ends.items() if count and one not in (Ending.BEST, Ending.TRAPPED)}
    return ", ".join(f"{count} {one}" for one, count in counts.items()) or None


def _summary(cells: "list[Cell]") -> None:
    edge = cells[0].edge if cells else "K - 1"
    for wide, where in ((False, f"d < {edge}"), (True, f"d >= {edge}")):
        region = [cell for cell in cells if cell.wide == wide]
        traps = sum(cell.gap is not None for cell in region)
        certified = sum(cell.certified for cell in region)
        say(f"{where}: traps in {traps} of {len(region)} cells; the best is certified global in {certified}")
    for cell in cells:
        if cell.contradicts:
            K, d, decay = cell.problem.num_classes, cell.problem.dim, cell.problem.lambda_w
            say(f"K = {K}, d = {d}, lambda = {decay:g}: a local minimiser that is not global, against the theory")
