"""A grid of problems or models, surveyed one by one or in batches, into a file that can be gone on with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .errors import InputError, Setting, given, require
from .results import Result
from .spread import spread
from .storage.files import read_json, write_json
from .storage.locks import held

PART = 100  # a file of so many cells or more is written again when as large a part of it is new
ANEW = ("begin anew with ", Setting("force", True))  # what mends a file that is not this grid's
C = TypeVar("C", bound=Result, covariant=True)


class Asked(Protocol):
    """A problem, or another model, that says what it is; hashable, and equal where its settings are."""

    def to_plain(self) -> dict[str, Any]:
        """What defines it, as plain data for JSON."""

    def __hash__(self) -> int: ...


P = TypeVar("P", bound=Asked)


class Grid(Protocol[P, C]):
    """Problems, and what is looked at in each; it is sent to other processes."""

    @property
    def problems(self) -> tuple[P, ...]:
        """Every cell's problem, in order."""

    @property
    def batches(self) -> tuple[tuple[P, ...], ...]:
        """The problems cut into those that are surveyed together, by what the grid is and nothing else: each alone."""
        return tuple((problem,) for problem in self.problems)

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""

    def survey(self, problem: P) -> C:
        """The cell of one of the problems."""

    def survey_batch(self, batch: Sequence[P]) -> Sequence[C]:
        """The cells of one of the batches."""
        return [self.survey(problem) for problem in batch]

    def cell(self, data: dict[str, Any]) -> C:
        """The cell that a file has; InputError where it is none of this grid's."""


def explore(
    grid: Grid[P, C],
    file: Path | str,
    *,
    jobs: int = 1,
    force: bool = False,
    made_by: dict[str, Any] | None = None,
    track: Callable[[Iterable[P]], Iterable[P]] = iter,
) -> list[C]:
    """Survey every cell of the grid into a JSON file, which is replaced in one move after each finished batch of cells.

    From 100 cells on it is replaced when a hundredth of them is new, and when the search is interrupted. Batches that
    the file has already are kept, so a search that was stopped, however it was, goes on; one of which it lacks a cell
    is surveyed again, as the last digits of a cell may depend on its company.
    jobs     processes side by side, one torch thread each (-1: one a core); 1 stays in this process. Inside
             `joblib.parallel_config(backend="dask")` batches go to the workers of a Dask cluster (`ufm.cluster`)
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
        written = len(cells)
        pending = [batch for batch in grid.batches if any(problem not in cells for problem in batch)]
        with spread([Survey(grid, batch) for batch in pending], jobs) as results:
            try:
                # The tracked problems only count: results come as they are finished.
                counted = track([problem for batch in pending for problem in batch])
                for _, found in zip(counted, _finished(pending, results), strict=True):
                    cells |= {problem: grid.cell(data) for problem, data in found.items()}
                    if len(cells) - written > len(cells) // PART:
                        record()
                        written = len(cells)
            finally:
                if len(cells) > written:
                    record()
        return [cells[problem] for problem in problems]


@dataclass(frozen=True)
class Survey:
    """Cells to be surveyed together."""

    grid: Grid[Any, Any]
    batch: tuple[Any, ...]

    def run(self) -> list[dict[str, Any]]:
        """The cells as plain data."""
        return [cell.plain() for cell in self.grid.survey_batch(self.batch)]


def _finished(
    batches: Sequence[tuple[P, ...]], results: Iterable[tuple[int, list[dict[str, Any]]]]
) -> Iterator[dict[P, dict[str, Any]]]:
    """A step for every cell: those of a batch come with the last of its steps, and with the others none."""
    for i, found in results:
        yield from ({} for _ in found[1:])
        yield dict(zip(batches[i], found, strict=True))


def _recorded(grid: Grid[P, C], file: Path) -> dict[P, C]:
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


def _cells(grid: Grid[P, C], recorded: list[dict[str, Any]]) -> dict[P, C]:
    by_settings = {_key(problem.to_plain()): problem for problem in grid.problems}
    cells = {}
    for data in recorded:
        found = by_settings.get(_key(data["problem"]))
        problem = given(found, f"it has a cell that was not asked for, {data['problem']}")
        cells[problem] = grid.cell(data)
    return cells


def _key(settings: dict[str, Any]) -> str:
    return repr(sorted(settings.items()))
