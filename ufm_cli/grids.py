"""What the commands that survey a grid share: resume the file, print, draw, write."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .console import say, track
from .options import require_plain_name, write_page, write_result

if TYPE_CHECKING:
    from figures.drawing.drawing import Drawing
    from figures.pages.page import Page


class GridFlags(Protocol):
    """The flags that such a command has beside those of its grid."""

    jobs: int
    dask: str | None
    name: str
    runs: Path
    force: bool
    json: Path | None


def surveyed(
    flags: GridFlags,
    command: str,
    grid: Any,
    explore: Callable[..., list[Any]],
    show: Callable[[Any, list[Any]], None],
    draw: "Callable[[list[Any]], Drawing]",
    figure: str,
    page: "Callable[..., Page] | None" = None,
) -> int:
    """Survey the grid into RUNS/NAME/COMMAND.json, draw it into RUNS/NAME/figures; 1 where a cell contradicts theory.

    explore  that of the grid's package; what the file has is kept        show, draw  take the grid's finished cells
    page     makes a page of them, what was asked and what made it, for a command that has --html
    """
    from ufm.cluster import connected
    from validate.runs.provenance import provenance

    folder = flags.runs / require_plain_name(flags.name)
    file, wrapped = folder / f"{command}.json", track("cells of the map")
    with connected(flags.dask):
        cells = explore(grid, file, jobs=flags.jobs, force=flags.force, made_by=provenance(), track=wrapped)
    show(grid, cells)
    for path in (file, *draw(cells).save(folder / "figures", figure)):
        say(str(path))
    if page is not None:
        write_page(flags.html, partial(page, cells, grid.settings()))
    write_result(flags.json, command, {"asked": grid.settings(), "cells": [cell.plain() for cell in cells]})
    return 1 if any(cell.contradicts for cell in cells) else 0
