"""ufm reproduce: the paper's experimental claims, run and judged."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..console import say, show, track, watch
from ..options import PLACE, JsonFile, Switch, require_unused, write_result

if TYPE_CHECKING:
    from ufm_paper.driver import Grid
    from ufm_paper.trained import Trained


@dataclass(frozen=True)
class Command:
    """Train the networks of the paper's experiments, judge its claims by them, and record both in RESULTS.

    Each run is in RUNS/SCALE/CELL. The same command goes on where it was stopped. Exit status 1 when a claim fails.
    """

    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CLAIM ...", help_behavior_hint="")] = ()
    """of optimizers, fixed-etf, random-labels, weight-decay, theory, theory-relu, landscape; all by default"""
    scale: Literal["full", "desk", "small"] = "full"
    """full: the paper's, for a GPU. desk: all images, the paper's ResNet18, fewer epochs, for hours
    on a CPU. small: narrow networks on parts of the sets, an hour or two in all on a CPU"""
    data_dir: Path = Path("~/data")
    """the folder of data sets, in torchvision's layout; what is missing is downloaded there"""
    cifar_folder: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """take CIFAR-10 from image files, DIR/train/CLASS/FILE and DIR/test/CLASS/FILE, instead"""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one"""
    runs: Path = Path("runs/reproduce")
    """the folder of the runs"""
    results: Path = Path("results")
    """the folder of the record: README.md, and a folder for the scale"""
    dask: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help=f"{PLACE}, a training a worker")] = None
    list: Switch = False
    """only show the runs that are asked for, and how far each is"""
    no_training: Switch = False
    """judge by the runs that are finished; claims that need others are not covered, and recorded verdicts stay"""
    json: JsonFile = None

    def check(self, given: set[str]) -> None:
        if self.list:
            require_unused(given, {"no_training", "dask"}, "--list neither trains nor judges")
        if self.no_training:
            require_unused(given, {"dask"}, "--no-training leaves nothing to a cluster")

    def run(self) -> int:
        from ufm import Status
        from ufm.cluster import connected
        from ufm_paper import SCALES, reproduce
        from ufm_paper.driver import Grid

        grid = Grid(SCALES[self.scale], self.runs, self.data_dir, self.cifar_folder, self.device)
        claims = self.only or None
        if self.list:
            write_result(self.json, "reproduce", {"scale": self.scale, "runs": _list(grid, claims)})
            return 0
        how = {"jobs": 1, "track": track} if self.dask is None else {"jobs": -1, "track": _watching(grid, claims)}
        with connected(self.dask, alone=True, folder=self.runs):
            outcomes = reproduce(grid, self.results, claims, training=not self.no_training, on_cell=_told, **how)
        result = {"scale": self.scale, "claims": {name: outcome.plain() for name, outcome in outcomes.items()}}
        show_result(result)
        say(str(self.results / "README.md"))
        write_result(self.json, "reproduce", result)
        return 1 if any(outcome.status == Status.FAILS for outcome in outcomes.values()) else 0


def show_result(data: dict[str, Any]) -> None:
    """Print a result as `ufm reproduce` does, or its list of runs."""
    if "runs" in data:
        rows = [tuple(run.values()) for run in data["runs"]]
        show(f"{len(rows)} runs at {data['scale']} scale", ("run", "epochs done", "of"), rows)
        return
    rows = [(name, claim["status"], claim["said"]) for name, claim in data["claims"].items()]
    show(f"claims at {data['scale']} scale", ("claim", "status", "what was seen"), rows)


def _list(grid: "Grid", claims: tuple[str, ...] | None) -> list[dict[str, Any]]:
    from ufm_paper.driver import cells_of

    cells = cells_of(grid.scale, claims)
    rows = [(cell, grid.epochs_done(cell), grid.recipe(cell).epochs) for cell in cells]
    show(f"{len(cells)} runs at {grid.scale.name} scale: {grid.scale.about}", ("run", "epochs done", "of"), rows)
    return [{"run": cell, "epochs_done": done, "epochs": epochs} for cell, done, epochs in rows]


def _watching(grid: "Grid", claims: tuple[str, ...] | None) -> Callable[[str], Callable[[Iterable], Iterable]]:
    """As `track`, of the epochs of all runs, which workers write into the folder that they share."""
    from ufm_paper.driver import cells_of

    cells = cells_of(grid.scale, claims)
    total = sum(grid.recipe(cell).epochs for cell in cells)
    return lambda label: watch(f"epochs of {len(cells)} runs", total, lambda: sum(map(grid.epochs_done, cells)))


def _told(cell: str, outcome: "Trained | str") -> None:
    if isinstance(outcome, str):
        say(f"{cell}: {outcome}")
        return
    last = outcome.last
    metrics = ", ".join(f"{name} {last[name]:.3g}" for name in ("nc1", "nc2", "nc3", "nc4"))
    say(f"{cell}: train {last['accuracy']:.2%}, test {last['test_accuracy']:.2%}, {metrics}")
