"""ufm phase: which groups of classes have merged at the minimiser, over the minority's size and lambda."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..console import say, show
from ..grids import surveyed
from ..losses import LossFlags, said
from ..options import Dask, HtmlFile, JsonFile, Switch, check_dask

if TYPE_CHECKING:
    from ufm.phases import Cell, Grid

Whole = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")]
COLUMNS = ("lambda", "n", "n minority", "majority", "minority", "spread", "of threshold", "theory", "minimiser", "f")


@dataclass(frozen=True)
class Command:
    """Minimise with a majority of n samples a class and a minority of fewer, and look which classes have merged.

    lambda_w = lambda_h = lambda and d = K. Theory has a group of equal classes merge to one point exactly if
    D0^2 n_k <= N^2 lambda_w lambda_h, D0 = 1 (label smoothing: 1 - smoothing); the curves are drawn over the measured
    cells, into RUNS/NAME/figures. Cells are minimised in sweeps of many and written to RUNS/NAME/phase.json as a
    sweep ends; the same command goes on from there. Exit status 1 when a certified minimiser is not what theory says.
    """

    fewer: Whole = (1, 2, 4, 7, 12, 20, 33, 55, 100)
    """samples in each class of the minority"""
    lambdas: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (
        *(5e-4, 1e-3, 2e-3, 4e-3, 6e-3, 1e-2, 1.5e-2, 2e-2, 3e-2),
    )
    """weight decays, each of both W and H"""
    majority: int = 3
    """classes in the majority"""
    minority: int = 3
    """classes in the minority"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="INT")] = 100
    """samples in each class of the majority"""
    lambda_b: float = 1e-3
    """weight decay of b, in a model with a bias"""
    bias: bool = True
    """whether the model has a bias"""
    loss: LossFlags = field(default_factory=LossFlags)
    seed: int = 0
    """of the first random start of each cell"""
    jobs: int = -1
    """processes side by side (-1: one a core)"""
    dask: Dask = None
    name: str = "phase"
    """of the folder for the results"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """begin anew, whatever is recorded there"""
    json: JsonFile = None
    html: HtmlFile = None

    def check(self, given: set[str]) -> None:
        from ..flags import require_unused

        self.loss.check(given)
        check_dask(self.dask, given)
        if not self.bias:
            require_unused(given, {"lambda_b"}, "--no-bias leaves no b to decay")

    def run(self) -> int:
        from figures.pages.phases import phase_page
        from figures.theory.phases import phase_figure
        from ufm.phases import Grid, explore

        grid = Grid(
            *(self.fewer, self.lambdas, self.majority, self.minority, self.n),
            *(self.lambda_b if self.bias else 0.0, self.bias, self.seed, self.loss.made().to_plain()),
        )
        return surveyed(self, "phase", grid, explore, _show, phase_figure, "phase", phase_page)


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm phase` does."""
    from ufm.phases import Cell, Grid
    from ufm.results import from_plain

    _show(from_plain(Grid, data["asked"]), [Cell.from_plain(cell) for cell in data["cells"]])


def _show(grid: "Grid", cells: "list[Cell]") -> None:
    show(_title(grid), COLUMNS, [_row(cell) for cell in cells])
    certified = sum(cell.certified for cell in cells)
    wrong = sum(cell.contradicts for cell in cells)
    merged = sum(cell.parties[-1].merged for cell in cells)
    say(f"the minority is merged in {merged} of {len(cells)} cells; {certified} minimisers are certified global")
    silent = all(party.ratio is None for cell in cells for party in cell.parties)
    say("no threshold is known for this loss" if silent else f"{wrong} cells contradict the threshold of theory")


def _title(grid: "Grid") -> str:
    bias = f"lambda_b = {grid.lambda_b:g}" if grid.bias else "no bias"
    return f"{grid.majority} + {grid.minority} classes, d = K, lambda_w = lambda_h = lambda, {bias}, {said(grid.loss)}"


def _row(cell: "Cell") -> list[object]:
    """The majority and the minority: one group where all n_k are equal."""
    most, least = cell.parties[0], cell.parties[-1]
    return [
        f"{cell.problem.lambda_w:g}",
        most.count,
        least.count,
        "merged" if most.merged else "apart",
        "merged" if least.merged else "apart",
        f"{least.spread:.1e}",
        None if least.ratio is None else f"{least.ratio:.4f}",
        {None: None, True: "merged", False: "apart"}[least.predicted],
        "certified global" if cell.certified else "best found",
        f"{cell.value:.9f}",
    ]
