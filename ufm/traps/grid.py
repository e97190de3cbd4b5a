"""A grid of problems over lambda, K and d, surveyed cell by cell into a file that can be gone on with."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from ..errors import InputError, Setting, given, require
from ..losses import of_plain
from ..problem import Problem
from ..storage.files import read_json, write_json
from ..storage.locks import held
from .descents import Cell, survey

ANEW = ("begin anew with ", Setting("force", True))  # what mends a file that is not this map's


@dataclass(frozen=True)
class Grid:
    """Balanced problems with lambda_w = lambda_h = lambda, one for each lambda, K and d, and how to survey them.

    loss  the loss as plain data (`ufm.losses.of_plain`)

    Raises InputError for an empty or repeated axis, starts < 1, or settings that no Problem has.
    """

    classes: tuple[int, ...]
    dims: tuple[int, ...]
    lambdas: tuple[float, ...]
    per_class: int = 2
    lambda_b: float = 1e-3
    starts: int = 64
    seed: int = 0
    loss: Any = "cross-entropy"

    def __post_init__(self) -> None:
        for name in ("classes", "dims", "lambdas"):
            values = getattr(self, name)
            require(len(values) > 0, (Setting(name), " must list at least one value"))
            require(len(set(values)) == len(values), (Setting(name), f" must not repeat a value, got {list(values)}"))
        require(self.starts >= 1, (Setting("starts"), f" must be >= 1, got {self.starts}"))
        require(self.seed >= 0, (Setting("seed"), f" must be >= 0, got {self.seed}"))
        _ = self.problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every cell's problem: lambda outermost, then K, then d."""
        loss = of_plain(self.loss)
        return tuple(
            Problem.balanced(K, self.per_class, d, lambda_w=decay, lambda_h=decay, lambda_b=self.lambda_b, loss=loss)
            for decay in self.lambdas
            for K in self.classes
            for d in self.dims
        )

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""
        found = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        return {name: v for name, v in found.items() if (name, v) != ("loss", "cross-entropy")}


def explore(
    grid: Grid,
    file: Path | str,
    *,
    jobs: int = 1,
    force: bool = False,
    made_by: dict[str, Any] | None = None,
    track: Callable[[Iterable[Problem]], Iterable[Problem]] = iter,
) -> list[Cell]:
    """Survey every cell of the grid into a JSON file, which is replaced in one move after each finished cell.

    Cells that the file has already are kept, so a search that was stopped, however it was, goes on.
    jobs     processes side by side, one torch thread each (-1: one a core); 1 stays in this process
    force    begin anew, whatever the file holds
    made_by  goes into the file beside "asked" and "cells"
    track    wraps the problems still to be surveyed, to show progress

    The result does not depend on jobs or on interruptions. Raises InputError when the file answers another
    question, is damaged, or is written by another process.
    """
    require(jobs >= 1 or jobs == -1, (Setting("jobs"), f" must be >= 1, or -1 for one a core; got {jobs}"))
    with held(file):
        problems, cells = grid.problems, {} if force else _recorded(grid, Path(file))

        def record() -> None:
            done = [cells[problem].plain() for problem in problems if problem in cells]
            write_json(file, {"asked": grid.settings(), "cells": done} | (made_by or {}))

        record()
        pending = [problem for problem in problems if problem not in cells]
        with _surveys(grid, pending, jobs) as results:
            # The tracked problems only count: results come as they are finished.
            for _, (i, data) in zip(track(pending), results, strict=True):
                cells[pending[i]] = Cell.from_plain(data)
                record()
        return [cells[problem] for problem in problems]


@contextmanager
def _surveys(grid: Grid, pending: list[Problem], jobs: int) -> Iterator[Iterator[tuple[int, dict[str, Any]]]]:
    """Yield an iterator of (place in `pending`, its cell as plain data) in the order they are finished."""
    tasks = (delayed(_survey)(i, problem, grid.starts, grid.seed) for i, problem in enumerate(pending))
    results = Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(tasks)
    try:
        yield results
    finally:
        results.close()


def _survey(i: int, problem: Problem, starts: int, seed: int) -> tuple[int, dict[str, Any]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return i, survey(problem, starts, seed).plain()
    finally:
        torch.set_num_threads(threads)


def _recorded(grid: Grid, file: Path) -> dict[Problem, Cell]:
    """The cells that the file has of this grid; none without a file."""
    if not file.is_file():
        return {}
    found = read_json(file)
    if not isinstance(found, dict) or not isinstance(found.get("asked"), dict) or "cells" not in found:
        raise InputError(f"{file} is no map", ("choose another place, or ", *ANEW))
    asked = grid.settings()
    changed = [name for name in asked if found["asked"].get(name) != asked[name]]
    if changed:
        name = changed[0]
        raise InputError(
            f"{file} was made with {name} = {found['asked'].get(name)}, not {asked[name]}",
            ("ask the same to go on, choose another name, or ", *ANEW),
        )
    try:
        return _cells(grid, found["cells"])
    except (InputError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"{file} is damaged: {error}", ANEW) from error


def _cells(grid: Grid, recorded: list[dict[str, Any]]) -> dict[Problem, Cell]:
    by_settings = {tuple(problem.settings().values()): problem for problem in grid.problems}
    cells = {}
    for data in recorded:
        found = by_settings.get(tuple(data["problem"].values()))
        problem = given(found, f"it has a cell that was not asked for, {data['problem']}")
        cells[problem] = Cell.from_plain(data)
        asked = cells[problem].starts, cells[problem].seed
        require(asked == (grid.starts, grid.seed), f"a cell has starts, seed = {asked}")
    return cells
