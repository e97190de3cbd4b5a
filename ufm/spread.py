"""Independent tasks, spread over this process, processes of this machine, or the workers of a Dask cluster.

joblib's active backend says where: `joblib.parallel_config(backend="dask")` is the cluster of the current
`dask.distributed.Client`, and so is `ufm.cluster.connected`. Its client is given the tasks without joblib between: that
would run them here where a cluster has one thread in all, and would wait for ever for a task that Dask has given up.
"""

import itertools
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import joblib
import torch
from joblib.parallel import get_active_backend

from .errors import InputError, require

AT_ONCE = 50  # tasks in one message to the scheduler
AHEAD = 5000  # tasks that a scheduler holds: enough for as many threads; all of them might fill its memory


class Task(Protocol):
    """What can be run anywhere: it is sent to other processes, and so is what `run` returns."""

    def run(self) -> Any: ...


@contextmanager
def spread(tasks: Sequence[Task], jobs: int, *, one_thread: bool = True) -> Iterator[Iterator[tuple[int, Any]]]:
    """Yield an iterator of (place in `tasks`, what its `run` returned) in the order in which they end.

    jobs        processes of this machine side by side (-1: one a core); 1 stays in this process. A Dask cluster has as
                many tasks at a time as its workers have threads
    one_thread  torch computes on one thread in each task, so that sums are added up in one order wherever it runs

    What a task raises is raised here. A task whose worker died is run again elsewhere; InputError where Dask gives it
    up, the cluster goes away, or joblib's backend has no results before all are there ("multiprocessing"). What is not
    taken when the block ends is dropped.
    """
    backend = get_active_backend()[0]
    client = getattr(backend, "client", None)
    require(
        client is not None or backend.supports_return_generator,
        f"joblib's {type(backend).__name__} returns nothing before the last task ends",
        "take another backend: loky, threading, or dask",
    )
    results = _here(tasks, jobs, one_thread) if client is None else _on_cluster(client, tasks, one_thread)
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's own, that tasks were begun and are not waited for
            results.close()


def in_order(results: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The same pairs by their places: one that comes early waits for those before it."""
    early: dict[int, Any] = {}
    due = 0
    for place, result in results:
        early[place] = result
        while due in early:
            yield due, early.pop(due)
            due += 1


def _here(tasks: Sequence[Task], jobs: int, one_thread: bool) -> Any:
    calls = (joblib.delayed(_run)(place, task, one_thread) for place, task in enumerate(tasks))
    return joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(calls)


def _on_cluster(client: Any, tasks: Sequence[Task], one_thread: bool) -> Any:
    places = (range(begin, min(begin + AT_ONCE, len(tasks))) for begin in range(0, len(tasks), AT_ONCE))
    asked = itertools.chain.from_iterable(
        client.map(_run, some, [tasks[place] for place in some], one_thread=one_thread, pure=False) for some in places
    )
    results = _as_they_end(client, asked)
    next(results)  # the tasks are on their way
    return results


def _as_they_end(client: Any, asked: Iterator[Any]) -> Iterator[Any]:
    """Yield None once the first futures are there, then what each returns; one more is asked for as one ends."""
    from distributed import as_completed

    pending = set(itertools.islice(asked, AHEAD))
    ended = as_completed(list(pending), loop=client.loop)
    try:
        yield None
        for future in ended:
            yield _outcome(future)
            pending.remove(future)
            for other in itertools.islice(asked, 1):
                pending.add(other)
                ended.add(other)
    finally:
        client.cancel(list(pending))


def _outcome(future: Any) -> tuple[int, Any]:
    """What a task returned that has ended; what it raised is raised."""
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise InputError("the Dask cluster went away", "start it again, and ask the same to go on")
    lost = future.exception()
    if isinstance(lost, KilledWorker):
        raise InputError(
            "the Dask cluster gave a task up, as every worker that ran it ended",
            f"see why in the log of the last one, {lost.last_worker.address} (interrupted, killed, out of memory), and "
            "ask the same to go on",
        )
    return future.result()


def _run(place: int, task: Task, one_thread: bool) -> tuple[int, Any]:
    if not one_thread:
        return place, task.run()
    with _THREADS.one():
        return place, task.run()


class _Threads:
    """How many threads torch has in this process: one while any task runs that asks for it, then as many as before.

    The workers of a cluster may run several tasks in one process.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, 1

    @contextmanager
    def one(self) -> Iterator[None]:
        with self.lock:
            if not self.inside:
                self.before = torch.get_num_threads()
            self.inside += 1
            torch.set_num_threads(1)  # in each of them: OpenMP has a number for every thread
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                torch.set_num_threads(1 if self.inside else self.before)


_THREADS = _Threads()
