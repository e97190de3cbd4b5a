"""A Dask cluster as the place where `ufm.spread` has its tasks run."""

import asyncio
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import joblib

from .errors import InputError, given, require
from .version import __version__

ANSWER = 5.0  # seconds in which a scheduler has to answer
WORKERS = 10.0  # seconds in which a first worker has to be there
MISSING = 'a Dask cluster needs dask.distributed; pip install "ufm[cluster]"'


@contextmanager
def connected(address: str | None, *, alone: bool = False, folder: Path | None = None) -> Iterator[None]:
    """Have the tasks of `ufm.spread` run on a Dask cluster until the end of the block; None changes nothing.

    address  "tcp://host:port" of the scheduler, or the scheduler file that `dask scheduler --scheduler-file` writes
    alone    every worker must have one thread, as a training takes a process of its own
    folder   which every worker must see, under the same path; made where it is not there

    Inside it is as if `joblib.parallel_config(backend="dask", client=...)` were said, which does the same with a
    `dask.distributed.Client` of one's own, without these checks. Raises InputError, one line each, where Dask is not
    installed, no scheduler answers within 5 seconds, no worker is there within 10, or a worker does not fit: another
    version of ufm, or none, several threads, a folder that it does not see.
    """
    if address is None:
        yield
        return
    with _client(address) as client:
        _require_workers(client, address, alone)
        if folder is not None:
            _require_seen(client, folder)
        with joblib.parallel_config(backend="dask", client=client):
            yield


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(MISSING) from error
    where = _scheduler(address)
    require(
        _answers(where),
        f"no Dask scheduler answers at {where}",
        "start one with `dask scheduler`, or name another address",
    )
    with Client(where, timeout=ANSWER, set_as_default=False) as client:
        yield client


def _answers(where: str) -> bool:
    """Whether a scheduler answers there in time. What accepts a connection and is no scheduler keeps a Client waiting
    for ever; this one waits in a thread of its own, which is left alone where it does not end."""
    answered = threading.Event()

    def ask() -> None:
        with suppress(Exception):  # of many kinds: no address, TLS that is not configured, another protocol
            asyncio.run(_connection(where))
            answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(3 * ANSWER)
    return answered.is_set()


async def _connection(where: str) -> None:
    """Connect and part again; raises unless both end in time."""
    from distributed import Client

    client = Client(where, timeout=ANSWER, set_as_default=False, asynchronous=True)
    try:
        await asyncio.wait_for(client, ANSWER)
    finally:
        await asyncio.wait_for(client.close(), ANSWER)


def _scheduler(address: str) -> str:
    """The address itself, or the one that a scheduler file has."""
    file = Path(address)
    if not file.is_file():
        require(
            ":" in address,
            f"{address!r} is neither the address of a Dask scheduler (tcp://HOST:PORT) nor a scheduler file",
        )
        return address
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{address} is no scheduler file: it has no address in JSON") from error


def _require_workers(client: Any, address: str, alone: bool) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS)
    except TimeoutError as error:
        raise InputError(
            f"the Dask cluster at {address} has no workers", f"start some with `dask worker {address}`"
        ) from error
    for worker, version in _of_each(client, _version).items():
        require(
            version == __version__,
            f"worker {worker} has ufm {version}, and here is {__version__}; install the same version there",
        )
    busy = [worker for worker, threads in client.ncores().items() if threads > 1] if alone else []
    require(
        not busy,
        f"worker {busy[0] if busy else ''} has several threads, and a training takes a process of its own; start every "
        "worker with one thread",
    )


def _require_seen(client: Any, folder: Path) -> None:
    """Raise InputError unless every worker sees a new file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sign = folder.resolve() / f".seen-{uuid.uuid4().hex}"
    try:
        sign.touch()
        seen = _of_each(client, os.path.isfile, str(sign))
    finally:
        sign.unlink(missing_ok=True)
    blind = [worker for worker, sees in seen.items() if not sees]
    require(
        not blind,
        f"worker {blind[0] if blind else ''} does not see {folder.resolve()}; name a folder that all workers share",
    )


def _of_each(client: Any, ask: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What a call returns in each worker."""
    try:
        found = client.run(ask, *arguments)
    except ModuleNotFoundError as error:
        raise InputError(f"the workers have no {error.name}; install ufm in their environment too") from error
    return given(found or None, "the workers of the Dask cluster are gone; start them again")


def _version() -> str:
    return __version__
