"""The driver: trains the cells of the claims asked for, skipping what is done, then judges and records."""

import dataclasses
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from networks import Diverged, Recipe, recipe_of, train
from ufm import InputError, Status
from ufm.errors import Setting, require
from ufm.spread import spread
from ufm.storage.files import require_writable
from ufm.storage.locks import held
from validate import Run

from .claims import Claim, claims_at
from .finding import Finding
from .grid import CELLS, Scale, with_images
from .page import recorded_claims
from .record import Outcome, recorded, write_record
from .trained import Trained

Track = Callable[[Iterable[int]], Iterable[int]]
_ALONE = threading.Lock()  # torch's random numbers are those of a process


@dataclass(frozen=True)
class Training:
    """The training of a cell, from where its run stands to its end, in whatever process."""

    cell: str
    recipe: Recipe
    path: Path

    def run(self, track: Track = iter) -> str | None:
        """Train; returns why it could not be, if its numbers diverged."""
        try:
            with _ALONE:
                train(self.recipe, self.path, resume=(self.path / "config.json").is_file(), track=track)
        except Diverged as error:
            return str(error)
        return None

    def anywhere(self) -> "Training":
        """The same in a process that has another current folder."""
        data = self.recipe.data_dir if self.recipe.data_dir.startswith("~") else os.path.abspath(self.recipe.data_dir)
        return Training(self.cell, dataclasses.replace(self.recipe, data_dir=data), self.path.absolute())


@dataclass(frozen=True)
class Grid:
    """The cells of a scale on this machine: where runs go, and where images are. Raises InputError as `with_images`."""

    scale: Scale
    runs: Path
    data_dir: Path | str = "~/data"
    cifar_folder: Path | None = None
    device: str = "auto"

    def recipe(self, cell: str) -> Recipe:
        recipe = with_images(self.scale.recipe(CELLS[cell]), self.data_dir, self.cifar_folder)
        return dataclasses.replace(recipe, device=self.device)

    def path(self, cell: str) -> Path:
        return self.runs / self.scale.name / cell

    def epochs_done(self, cell: str) -> int:
        """How many epochs of a cell are recorded; InputError when they are of another recipe (that may have fewer)."""
        path, asked = self.path(cell), self.recipe(cell)
        if not (path / "config.json").is_file():
            return 0
        run = Run(path)
        free = {name: getattr(asked, name) for name in ("data_dir", "device", "epochs", "rearrange")}
        made = dataclasses.replace(recipe_of(run), **free)
        changed = [f.name for f in dataclasses.fields(asked) if getattr(made, f.name) != getattr(asked, f.name)]
        if changed:
            values = f"{changed[0]} = {getattr(made, changed[0])}, not {getattr(asked, changed[0])}"
            images = "take the images as then (", Setting("cifar_folder"), ")"
            mend = images if changed[0] == "data" else ("remove it",)
            mend = *mend, ", or name another folder of ", Setting("runs")
            raise InputError(f"{path} was made with {values}", mend)
        return len(run.epochs)

    def finished(self, cell: str) -> Trained | None:
        """The cell's run if all its epochs are recorded."""
        done = self.epochs_done(cell) == self.recipe(cell).epochs
        return Trained(cell, Run(self.path(cell)), self.cifar_folder) if done else None

    def training(self, cell: str) -> Training:
        return Training(cell, self.recipe(cell), self.path(cell))

    def train(self, cell: str, track: Track = iter) -> str | None:
        """Train a cell to its end, from where it stands; returns why it could not be, if its numbers diverged."""
        return None if self.finished(cell) else self.training(cell).run(track)


def cells_of(scale: Scale, claims: Sequence[str] | None = None) -> list[str]:
    """The cells that the claims (by default all) rest on at a scale, each once, in the order of the grid.

    Raises InputError for a claim that is not judged at the scale.
    """
    there = claims_at(scale.name)
    asked = tuple(there) if claims is None else claims
    for claim in asked:
        require(claim in there, f"no claim {claim!r} at {scale.name} scale; choose of {', '.join(there)}")
    wanted = {cell for claim in asked for cell in there[claim].cells}
    return [cell for cell in CELLS if cell in wanted]


def reproduce(
    grid: Grid,
    results: Path | str,
    claims: Sequence[str] | None = None,
    *,
    training: bool = True,
    jobs: int = 1,
    on_cell: Callable[[str, Trained | str | None], None] = lambda cell, outcome: None,
    on_claim: Callable[[str, Outcome], None] = lambda claim, outcome: None,
    track: Callable[[str], Track] = lambda label: iter,
) -> dict[str, Outcome]:
    """Train what the claims need, judge them, and write the record into results/; returns the outcomes by claim.

    claims   of those that are judged at the scale; all of them by default

    Done cells are skipped and a cell that was stopped midway goes on. A cell that was not run here is judged by what
    the record keeps of it. A claim whose cells are not all there, or lack what its judge needs, is "not covered", which
    without `training` is what becomes of all that was not run before; one with a cell whose numbers diverged fails.
    jobs     trainings side by side, in processes of their own (-1: one a core); with 1 they are in this one, one after
             another. Inside `ufm.cluster.connected` the cluster's workers take them, one at a time each, on the GPU
             that each has; grid.runs must be a folder that all workers see
    on_cell and on_claim are told of each as it ends; track(label) wraps a cell's epochs, or side by side the trainings.
    Raises InputError for unknown claims, images that cannot be had, runs made by other recipes, and a folder results/
    that cannot be written to; before any training where that can be seen. Without `training` also where nothing was run
    or recorded at the scale.
    """
    diverged, cells = {}, cells_of(grid.scale, claims)
    require_writable(Path(results) / "README.md")
    for cell in cells:
        grid.epochs_done(cell)
    for cell, problem in _trained(grid, cells, jobs, track) if training else ():
        if problem:
            diverged[cell] = problem
        on_cell(cell, problem or grid.finished(cell))
    at_hand = {cell: grid.finished(cell) or recorded(Path(results), grid.scale, cell) for cell in cells}
    found = {cell: trained for cell, trained in at_hand.items() if trained}
    _require_material(grid, Path(results), found, training)
    outcomes = {}
    there = claims_at(grid.scale.name)
    for claim in there if claims is None else claims:
        outcomes[claim] = _judged(there[claim], found, diverged)
        on_claim(claim, outcomes[claim])
    write_record(Path(results), grid.scale, outcomes, found)
    return outcomes


def _trained(
    grid: Grid, cells: Sequence[str], jobs: int, track: Callable[[str], Track]
) -> Iterator[tuple[str, str | None]]:
    """Train the cells; yields each as it ends, with why it could not be, if its numbers diverged."""
    if jobs == 1:
        yield from ((cell, grid.train(cell, track(cell))) for cell in cells)
        return
    yield from ((cell, None) for cell in cells if grid.finished(cell))
    tasks = [grid.training(cell).anywhere() for cell in cells if not grid.finished(cell)]
    with held(grid.runs / grid.scale.name), spread(tasks, jobs, one_thread=False) as results:
        for _, (place, problem) in zip(track("trainings")(range(len(tasks))), results, strict=True):
            yield tasks[place].cell, problem


def _require_material(grid: Grid, results: Path, found: dict[str, Trained], training: bool) -> None:
    """Raise InputError where there is nothing to judge and no record to keep: a new record would say nothing."""
    scale = grid.scale.name
    require(
        bool(training or found or recorded_claims(results / scale)),
        f"no run at {scale} scale is finished in {grid.runs}, and {results} has no record of that scale",
        ("leave ", Setting("training", False), " out, or name another ", Setting("scale")),
    )


def _judged(asked: Claim, found: dict[str, Trained], diverged: dict[str, str]) -> Outcome:
    broken = [f"{cell}: {diverged[cell]}" for cell in asked.cells if cell in diverged]
    if broken:
        return Outcome(asked, Status.FAILS, Finding(False, "; ".join(broken)))
    missing = [cell for cell in asked.cells if cell not in found]
    if missing:
        said = f"{len(missing)} of {len(asked.cells)} runs are not there: {', '.join(missing)}"
        return Outcome(asked, Status.NOT_COVERED, Finding(False, said))
    try:
        finding = asked.judge({cell: found[cell] for cell in asked.cells})
    except InputError as reason:
        return Outcome(asked, Status.NOT_COVERED, Finding(False, str(reason)))
    return Outcome(asked, Status.HOLDS if finding.holds else Status.FAILS, finding)
