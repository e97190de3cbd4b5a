"""Files and folders that one process at a time may write."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from ..errors import InputError
from .files import require_writable


@contextmanager
def held(path: Path | str, patience: float = 0.0) -> Iterator[None]:
    """Hold a file, or a folder with all that is in it, against other writers while the block runs.

    The lock is the operating system's, on the file .NAME.lock beside what is held (links followed): it stays where a
    folder is replaced, and ends with its process, however that ends. The file says who holds it and is removed at the
    end; one that a killed process left does no harm.
    Raises InputError, which names the holder, if `path` is still held after so many seconds of patience; and where no
    lock can be had.
    """
    where = Path(os.path.realpath(path))
    file = where.with_name(f".{where.name}.lock")
    lock = FileLock(file, timeout=patience)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        if not file.exists():
            require_writable(file)  # where no file can be made, nobody holds one
        raise InputError(f"{path} is being written by {_holder(file)}; wait for it, or end it") from None
    except OSError as error:
        raise InputError(f"cannot write {path}: no lock {file} ({error.strerror}); choose another place") from error
    try:
        if not isinstance(
            lock, SoftFileLock
        ):  # which takes over where the file system has no locks, and writes the file
            file.write_text(_this_process())
        yield
    finally:
        if not isinstance(lock, SoftFileLock):
            file.unlink(missing_ok=True)  # before the release: a process that waits for it sees that it is gone
        lock.release()


def _this_process() -> str:
    return f"process {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M:%S %z')}"


def _holder(file: Path) -> str:
    """What the holder wrote of itself; it may be about to, or to go."""
    try:
        return " ".join(file.read_text()[:200].split()) or "another process"
    except (OSError, ValueError):
        return "another process"
