"""ufm depth: the rank of a deep linear model's best point over K, L and lambda, and the simplex ETF beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..console import say, show
from ..grids import surveyed
from ..losses import LossFlags, said
from ..options import Dask, JsonFile, Switch, check_dask

if TYPE_CHECKING:
    from ufm.depths import Cell, Grid

Whole = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")]
COLUMNS = (
    "lambda",
    "K",
    "L",
    "rank",
    "best f",
    "what it is",
    "lower bound",
    "reached",
    "f at the ETF",
    "the ETF is",
    "%",
)


@dataclass(frozen=True)
class Command:
    """Find the best point of a deep linear model, logits H W_1^T ... W_(L-1)^T with one decay, and compare the ETF.

    d = K, no bias. From each random start a descent ends in a critical point; the best one is judged by the exact
    index and nullity of its Hessian, with a lower bound of f. Drawn into RUNS/NAME/figures. Cells are written to
    RUNS/NAME/depth.json as they are finished; the same command goes on from there. Exit status 1 when the ETF is best
    where theory has a better point (cross-entropy with K >= 4, L >= 4 or K >= 6, L >= 3), or is beaten at L = 2.
    """

    classes: Whole = (2, 3, 4, 5, 6, 7, 8)
    """numbers of classes K"""
    depths: Whole = (2, 3, 4, 5, 6)
    """numbers of factors L, the features included"""
    lambdas: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (5e-4, 3e-3, 2e-2, 1e-1)
    """weight decays, each of every factor"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="INT")] = 1
    """samples in each class"""
    rounds: int = 2
    """of descents in each cell, from starts of every rank in each"""
    loss: LossFlags = field(default_factory=LossFlags)
    seed: int = 0
    """of the random starts"""
    jobs: int = -1
    """processes side by side (-1: one a core)"""
    dask: Dask = None
    name: str = "depth"
    """of the folder for the results"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """begin anew, whatever is recorded there"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        self.loss.check(given)
        check_dask(self.dask, given)

    def run(self) -> int:
        from figures.theory.depths import depth_figure
        from ufm.depths import Grid, explore

        loss = self.loss.made().to_plain()
        grid = Grid(self.classes, self.depths, self.lambdas, self.n, self.rounds, self.seed, loss)
        return surveyed(self, "depth", grid, explore, _show, depth_figure, "depth")


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm depth` does."""
    from ufm.depths import Cell, Grid
    from ufm.results import from_plain

    _show(from_plain(Grid, data["asked"]), [Cell.from_plain(cell) for cell in data["cells"]])


def _show(grid: "Grid", cells: "list[Cell]") -> None:
    from ufm import PointVerdict

    show(_title(grid), COLUMNS, [_row(cell) for cell in cells])
    counts = {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in PointVerdict}
    say(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + f" in {len(cells)} cells")
    with_etf = [cell for cell in cells if cell.etf is not None]
    beaten, wrong = sum(bool(cell.excess) for cell in with_etf), sum(cell.contradicts for cell in cells)
    say(f"a better point than the simplex ETF in {beaten} of {len(with_etf)} cells that have one")
    say(f"{wrong} cells contradict theory")


def _title(grid: "Grid") -> str:
    return f"deep linear models, L factors of one decay lambda, d = K, n = {grid.per_class}, {said(grid.loss)}"


def _row(cell: "Cell") -> list[object]:
    model, etf = cell.problem, cell.etf
    frame = [None, None, None] if etf is None else [f"{etf.value:.9f}", etf.verdict, f"{100 * (cell.excess or 0):.2f}"]
    return [
        f"{model.decay:g}",
        model.free.num_classes,
        model.depth,
        cell.rank,
        f"{cell.value:.9f}",
        cell.verdict,
        f"{cell.lower_bound:.9f}",
        f"{cell.reached}/{cell.starts}",
        *frame,
    ]
