"""A grid of problems or models, surveyed cell by cell into a file that can be gone on with."""

from collections.abc import Callable, Iterable
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

    def settings(self) -> dict[str, Any]:
        """What is asked, as plain data for JSON."""

    def survey(self, problem: P) -> C:
        """The cell of one of the problems."""

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
    """Survey every cell of the grid into a JSON file, which is replaced in one move after each finished cell.

    From 100 cells on it is replaced when a hundredth of them is new, and when the search is interrupted.
    Cells that the file has already are kept, so a search that was stopped, however it was, goes on.
    jobs     processes side by side, one torch thread each (-1: one a core); 1 stays in this process. Inside
             `joblib.parallel_config(backend="dask")` the cells go to the workers of a Dask cluster (`ufm.cluster`)
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
        pending, written = [problem for problem in problems if problem not in cells], len(cells)
        with spread([Survey(grid, problem) for problem in pending], jobs) as results:
            try:
                # The tracked problems only count: results come as they are finished.
                for _, (i, data) in zip(track(pending), results, strict=True):
                    cells[pending[i]] = grid.cell(data)
                    if len(cells) - written > len(cells) // PART:
                        record()
                        written = len(cells)
            finally:
                if len(cells) > written:
                    record()
        return [cells[problem] for problem in problems]


@dataclass(frozen=True)
class Survey:
    """One cell to be surveyed."""

    grid: Grid[Any, Any]
    problem: Any

    def run(self) -> dict[str, Any]:
        """The cell as plain data."""
        return self.grid.survey(self.problem).plain()


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
