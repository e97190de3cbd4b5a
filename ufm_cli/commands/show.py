"""ufm show: print a result again, out of the file that a command wrote."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..options import MADE_BY

SHOWN = (
    *("verify", "solve", "derive", "atlas", "map", "phase", "depth", "flow", "bifurcations", "check"),
    *("train", "validate", "reproduce"),
)
SILENT = ("figures", "report")  # what they write lists files
UNNAMED = {  # files of a command's own, which do not name it: what they have, and what was asked for them
    "map": {"asked.dims", "cells"},
    "phase": {"asked.fewer", "cells"},
    "depth": {"asked.depths", "cells"},
    "validate": {"run", "agrees", "checkpoints"},
}
SEARCH = {"problem", "rounds", "quiet", "barren", "points", "descents"}  # what the atlas.json of a search has


@dataclass(frozen=True)
class Command:
    """Print the result in a JSON file: what a command wrote with --json, a map.json, phase.json or depth.json,
    or a run's validation.json.

    The tables are those that the command printed. Nothing is computed and nothing is judged again. The results of
    `ufm figures` and `ufm report` list files, and have nothing to show.
    """

    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """the file"""

    def run(self) -> int:
        from ufm.errors import InputError
        from ufm.results.plain import UNFIT
        from ufm.storage.files import read_json

        data = read_json(self.target)
        name = _command(data)
        if name is None:
            raise InputError(f"{self.target} {_not_shown(data)}")
        found = {key: value for key, value in data.items() if key not in MADE_BY}
        try:
            importlib.import_module(f"{__package__}.{name}").show_result(found)
        except (*UNFIT, StopIteration) as error:
            reason = str(error) if isinstance(error, InputError) else repr(error)[:200]
            raise InputError(f"{self.target} is no result of ufm {name}, or an older one ({reason})") from error
        return 0


def _command(data: Any) -> str | None:
    """The command whose result it is; None where it is none's."""
    if not isinstance(data, Mapping):
        return None
    if "command" in data:
        return data["command"] if data["command"] in SHOWN else None
    asked = data.get("asked")
    there = {*data, *(f"asked.{name}" for name in (asked if isinstance(asked, Mapping) else ()))}
    return next((name for name, keys in UNNAMED.items() if keys <= there), None)


def _not_shown(data: Any) -> str:
    """Why there is nothing to print, and what to name instead."""
    if isinstance(data, Mapping) and data.get("command") in SILENT:
        return f"is a result of ufm {data['command']}, which lists files and has nothing else to show; open those"
    if isinstance(data, Mapping) and set(data) >= SEARCH:
        return "is what ufm atlas goes on from; name the file that ufm atlas --json FILE writes"
    return "is no result of a command; name a file that --json wrote"
