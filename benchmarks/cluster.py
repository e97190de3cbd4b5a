"""A map on a Dask cluster of processes on this machine, beside this process: speed, and what a task costs to send.

The rows compare one and two workers with this process alone; run them while nothing else computes.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.timing import Row, seconds
from ufm.cluster import connected
from ufm.grids import Survey
from ufm.spread import spread
from ufm.traps.grid import Grid, explore

WORKERS = (1, 2)
MAP = Grid(classes=(4, 5, 6, 7), dims=(2, 3, 4), lambdas=(2e-4, 2e-3, 2e-2), starts=32)
EMPTY = 500  # tasks without work


@dataclass(frozen=True)
class Nothing:
    """A task as large as a map's cell, which does nothing."""

    load: Survey

    def run(self) -> None:
        return None


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    alone, expected = surveyed()
    cells = len(MAP.problems)
    task = f"a map of {cells} cells"
    for number in WORKERS:
        with cluster(number) as address, connected(address):
            empty_tasks(2 * number)  # to warm up: workers import what they need
            each = empty_tasks(EMPTY) / EMPTY
            spent, found = surveyed()
            same = "the same file" if found == expected else "ANOTHER FILE"
        note = f"{same}; a task: {sent():,} bytes, {each * 1e3:.2f} ms beside its work of {alone / cells * 1e3:.0f} ms"
        yield Row(task, f"{number} workers" if number > 1 else "1 worker", spent, "this process", alone, note)


@contextmanager
def cluster(number: int) -> Iterator[str]:
    """The address of a cluster of so many processes of one thread on this machine."""
    from distributed import LocalCluster

    settings = {"n_workers": number, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with LocalCluster(**settings) as found:
        yield found.scheduler_address


def surveyed() -> tuple[float, bytes]:
    """(seconds of a map, its file)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.json"
        return seconds(lambda: explore(MAP, file))[0], file.read_bytes()


def empty_tasks(count: int) -> float:
    """Seconds that so many tasks take which do nothing."""
    tasks = [Nothing(Survey(MAP, MAP.batches[0]))] * count

    def work() -> None:
        with spread(tasks, 1) as results:
            assert sum(1 for _ in results) == count

    return seconds(work)[0]


def sent() -> int:
    """Bytes of a task as Dask sends it."""
    from distributed.protocol import serialize_bytes

    return len(serialize_bytes(Survey(MAP, MAP.batches[0])))
