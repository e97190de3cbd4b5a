"""Writing files so that a reader never sees half of one."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import InputError, require

SIZE = 8  # bytes of a safetensors file that say how long its header is; also the alignment of what follows


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside the file that `path` names, renamed to it only when the block ends well.

    Links are followed: what they lead to is written, and they stay. A file that is there keeps its permissions. Folders
    that are missing are made. InputError where `path` names no regular file (a folder, a pipe, a device), a file that
    may not be written, or a place where nothing can be.
    """
    target, permissions = _target(path)
    with _named(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary_in(target.parent, target.name)
    try:
        yield temporary
        temporary.chmod(permissions)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path: Path | str) -> None:
    """Raise InputError now if `path` could not be written later, at the end of long work; leaves nothing behind."""
    target, _ = _target(path)
    with _named(path):
        _temporary_in(next(folder for folder in target.parents if folder.exists()), target.name).unlink()


def _target(path: Path | str) -> tuple[Path, int]:
    """(the file that writing to `path` makes or replaces, the permissions that it is to have)."""
    target = Path(os.path.realpath(path))
    with _named(path):
        # The kernel follows links of /dev and /proc that lead to what has no name, such as a pipe.
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return target, 0o666 & ~_umask()
    require(not stat.S_ISDIR(mode), f"cannot write {path}: it is a folder; name a file")
    require(stat.S_ISREG(mode), f"cannot write {path}: it is no regular file; name one")
    require(os.access(target, os.W_OK), f"cannot write {path}: it is write-protected; choose another place")
    return target, stat.S_IMODE(mode)


@contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """Turn an error of the system into the line that names the place."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose another place") from error


def _temporary_in(folder: Path, name: str) -> Path:
    """An empty file in a folder that is there."""
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    os.close(handle)
    return Path(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write text (UTF-8) in one move."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write plain data as JSON; infinities and NaN become null, since JSON has none."""
    write_text(path, json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value


def read_json(path: Path | str) -> Any:
    """Read JSON; InputError names the file when it is missing or broken."""
    path = Path(path)
    require(path.is_file(), f"no file {path}; check the path")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); make it again") from error
    except RecursionError:
        raise InputError(f"{path} is nested too deeply to be read; make it again") from None


def write_tensors(
    path: Path | str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors as safetensors in one move; nothing in such a file can run code.

    Equal tensors and metadata give equal bytes.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = memoryview(save(plain, metadata=dict(metadata or {})))
    end = SIZE + int.from_bytes(data[:SIZE], "little")
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_in_order(bytes(data[SIZE:end])))
        file.write(data[end:])


def _in_order(header: bytes) -> bytes:
    """The size and the JSON of a safetensors header, its metadata by name: the library writes them in any order."""
    entries = json.loads(header)
    if "__metadata__" in entries:
        entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % SIZE)  # what follows stays aligned
    return len(text).to_bytes(SIZE, "little") + text


def read_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file: (tensors by name, on the CPU whatever the default device is; metadata)."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_metadata(path: Path | str) -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    """Yield a safetensors file; InputError names it when it is missing or broken."""
    path = Path(path)
    require(path.is_file(), f"no file {path}; check the path")
    try:
        with torch.device("cpu"), safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file ({error}); make it again") from error
