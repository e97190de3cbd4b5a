"""ufm map: where local minimisers that are not global exist, over K, d and lambda, or the scale on spheres."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..console import say, show
from ..flags import names, require_unused
from ..grids import surveyed
from ..losses import LossFlags, said
from ..options import Dask, HtmlFile, JsonFile, Switch, check_dask

if TYPE_CHECKING:
    from ufm.traps import Cell, Grid, SpheresGrid

Whole = Annotated[tuple[int, ...], tyro.conf.arg(metavar="INT ...")]
NAMES = ("free", "spheres")
COLUMNS = (
    *("K", "d", "starts", "trapped", "worst gap", "best f", "the best is", "levels"),
    *("one-vs-rest", "softmax code", "other ends"),
)


@dataclass(frozen=True)
class Command:
    """Descend from many random starts over a grid of K, d and lambda, certify every end, and map the traps.

    With --model spheres, where features and rows of W have length 1, the grid is over K, d and the scale.
    A trap is a local minimiser (no negative curvature, degenerate along its symmetry orbit alone) above another
    point. Writes RUNS/NAME/map.json after each finished cell and goes on with what is there; then figures.
    Exit status 1 when a local minimiser that is not global turns up at d >= K - 1 (spheres: d >= K), where theory
    has none.
    """

    model: str = "free"
    """free (W and H, with decays), or spheres (unit rows of W and H; dims from 2 unless asked)"""

    classes: Whole = (3, 4, 5, 6, 7, 8)
    """numbers of classes K"""
    dims: Whole = (1, 2, 3, 4, 5, 6, 7)
    """feature dimensions d"""
    lambdas: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (2e-4, 2e-3, 2e-2)
    """of free: weight decays, each of both W and H"""
    scale: Annotated[tuple[float, ...], tyro.conf.arg(metavar="FLOAT ...")] = (1.0, 5.0, 20.0)
    """of spheres: logits are cosines times it"""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="INT")] = 2
    """samples in each class"""
    lambda_b: float = 1e-3
    """of free: weight decay of b"""
    loss: LossFlags = field(default_factory=LossFlags)
    starts: int = 64
    """random starts of each cell"""
    seed: int = 0
    """of the first start of each cell; the others count up from it"""
    jobs: int = -1
    """processes side by side (-1: one a core)"""
    dask: Dask = None
    name: str = "map"
    """of the folder for the results"""
    runs: Path = Path("runs")
    """the folder of all runs"""
    force: Switch = False
    """begin anew, whatever is recorded there"""
    json: JsonFile = None
    html: HtmlFile = None

    def check(self, given: set[str]) -> None:
        from ufm.errors import require

        require(self.model in NAMES, f"unknown model {self.model!r}; a map is of one of: {', '.join(NAMES)}")
        if self.model == "free":
            require_unused(given, {"scale"}, "--model free does not have it")
        else:
            others = {"lambdas", "lambda_b", *names(LossFlags)}
            require_unused(given, others, "the map of spheres is under cross-entropy, without decays")
        self.loss.check(given)
        check_dask(self.dask, given)

    def defaults(self) -> "Command | None":
        """The flags that were not given, as the model has them."""
        return Command(dims=tuple(range(2, 8))) if self.model == "spheres" else None

    def grid(self) -> "Grid | SpheresGrid":
        from ufm.traps.grid import Grid, SpheresGrid

        if self.model == "spheres":
            return SpheresGrid(self.classes, self.dims, self.scale, self.n, self.starts, self.seed)
        loss = self.loss.made().to_plain()
        return Grid(self.classes, self.dims, self.lambdas, self.n, self.lambda_b, self.starts, self.seed, loss)

    def run(self) -> int:
        from figures.pages.traps import traps_page
        from figures.theory.traps import traps_figure
        from ufm.traps.grid import explore

        return surveyed(self, "map", self.grid(), explore, _show, traps_figure, "traps", traps_page)


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm map` does."""
    from ufm.results import from_plain
    from ufm.traps import Cell, Grid, SpheresGrid

    asked = dict(data["asked"])
    spheres = asked.pop("model", "free") == "spheres"
    grid = from_plain(SpheresGrid, asked) if spheres else from_plain(Grid, {"loss": "cross-entropy"} | asked)
    _show(grid, [Cell.from_plain(cell) for cell in data["cells"]])


def _show(grid: "Grid | SpheresGrid", cells: "list[Cell]") -> None:
    spheres = not hasattr(grid, "lambdas")
    columns = [*COLUMNS[:2], "scale" if spheres else "lambda", *COLUMNS[2:]] + ["gap to bound"] * spheres
    show(_title(grid), columns, [_row(cell) + [_above_bound(cell)] * spheres for cell in cells])
    _summary(cells)


def _title(grid: "Grid | SpheresGrid") -> str:
    asked = f"{grid.starts} random descents a cell, from seed {grid.seed}: n = {grid.per_class}, "
    if not hasattr(grid, "lambdas"):
        return f"{asked}unit rows of W and H"
    return f"{asked}lambda_w = lambda_h = lambda, lambda_b = {grid.lambda_b:g}" + (
        "" if grid.loss == "cross-entropy" else f", {said(grid.loss)}"
    )


def _row(cell: "Cell") -> list[object]:
    problem = cell.problem
    return [
        problem.num_classes,
        problem.dim,
        f"{cell.setting[1]:g}",
        cell.starts,
        f"{cell.trapped:.1%}",
        cell.gap and f"{cell.gap:.2e}",
        f"{cell.best.value:.9f}" if cell.setting[0] == "lambda" else f"{cell.best.value:.9e}",
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


def _above_bound(cell: "Cell") -> str:
    """How far the best is above the best lower bound, of its value; 0 is a certificate."""
    return f"{abs(cell.best.value - cell.lower_bound) / cell.best.value:.1e}"


def _others(cell: "Cell") -> str | None:
    from ufm.traps import Ending

    counts = {one: count for one, count in cell.ends.items() if count and one not in (Ending.BEST, Ending.TRAPPED)}
    return ", ".join(f"{count} {one}" for one, count in counts.items()) or None


def _summary(cells: "list[Cell]") -> None:
    edge = cells[0].edge if cells else "K - 1"
    regions = (
        ((False, f"d < {edge}"), (True, f"d >= {edge}"))
        if edge
        else ((False, "all d (theory names none without traps)"),)
    )
    for wide, where in regions:
        region = [cell for cell in cells if cell.wide == wide]
        traps = sum(cell.gap is not None for cell in region)
        certified = sum(cell.certified for cell in region)
        say(f"{where}: traps in {traps} of {len(region)} cells; the best is certified global in {certified}")
    for cell in cells:
        if cell.contradicts:
            K, d, (name, value) = cell.problem.num_classes, cell.problem.dim, cell.setting
            say(f"K = {K}, d = {d}, {name} = {value:g}: a local minimiser that is not global, against the theory")
