"""The places that a command's flags name, looked at before the work begins."""

import contextlib
import os
from pathlib import Path
from typing import Any

from ufm.errors import require
from ufm.storage.files import require_writable

READ = ("target", "verdicts")
WRITTEN = ("json", "save", "html")
FOLDERS = ("figures", "out", "runs", "results")


def require_places(command: Any) -> None:
    """Raise InputError unless what the command is to write can be written where its flags say.

    A file is put into a folder that is there, and so is a folder of files (--runs, --results, --figures, --out), which
    may itself be new. Missing folders above are made below the current folder alone: elsewhere they are a slip of the
    pen. Files are replaced as a whole, so no two flags may name the same one, nor one that the output goes to.
    """
    files = _named(command, WRITTEN)
    for flag, file in files.items():
        require(str(file) != "-", f"--{flag} takes a file, and standard output has the tables: name a file, not -")
        _require_reach(file)
        require_writable(file)
        require(not _is_output(file), f"the output goes to {file} already; name another file with --{flag}")
    places = [os.path.realpath(file) for file in (files | _named(command, READ)).values()]
    for flag, file in files.items():
        require(places.count(os.path.realpath(file)) == 1, f"--{flag} {file} is named twice; name another file")
    for folder in _named(command, FOLDERS).values():
        _require_reach(folder)
        require(
            folder.is_dir() or not folder.exists(), f"cannot write into {folder}: it is a file; choose another place"
        )


def _named(command: Any, flags: tuple[str, ...]) -> dict[str, Path]:
    """The paths that were given, by flag."""
    found = {flag: getattr(command, flag, None) for flag in flags}
    return {flag: path for flag, path in found.items() if isinstance(path, Path)}


def _require_reach(place: Path) -> None:
    folder = Path(os.path.realpath(place)).parent
    reached = folder.is_dir() or folder.is_relative_to(Path.cwd())
    require(reached, f"cannot write {place}: there is no folder {folder}; make it, or choose another place")


def _is_output(file: Path) -> bool:
    """Whether standard output or standard error goes to that file."""
    found = []
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            found.append(os.path.samestat(file.stat(), os.fstat(stream)))
    return any(found)
