"""Tasks spread over places: results by place, errors as they were raised, one torch thread a task; what Dask gives up.

A real cluster is in tests/ufm_cli/test_dask.py.
"""

import contextlib
import random
import threading
from dataclasses import dataclass
from types import SimpleNamespace

import joblib
import pytest
import torch

from ufm import InputError
from ufm.spread import _outcome, _Threads, in_order, spread


@dataclass(frozen=True)
class Square:
    number: int

    def run(self) -> tuple[int, int]:
        if self.number == 7:
            raise InputError("seven is no number here", "take another")
        return self.number**2, torch.get_num_threads()


def test_every_task_is_run_once_on_one_thread():
    torch.set_num_threads(2)
    with spread([Square(i) for i in range(5)], 1) as results:
        assert dict(results) == {i: (i**2, 1) for i in range(5)}
    assert torch.get_num_threads() == 2


def test_a_task_may_have_all_threads():
    torch.set_num_threads(2)
    with spread([Square(3)], 1, one_thread=False) as results:
        assert list(results) == [(0, (9, 2))]


def test_what_a_task_raises_is_raised_here_and_what_is_left_is_dropped():
    taken = []
    with (
        pytest.raises(InputError, match="seven is no number here; take another"),
        spread([Square(1), Square(7), Square(2)], 1) as results,
    ):
        taken.extend(place for place, _ in results)
    assert taken == [0]
    with spread([Square(i) for i in range(100)], 1) as results:
        assert next(results)[0] == 0
    assert list(results) == []


def test_what_comes_early_waits():
    pairs = [(place, str(place)) for place in range(50)]
    mixed = pairs.copy()
    random.Random(0).shuffle(mixed)
    assert mixed != pairs
    assert list(in_order(mixed)) == pairs
    given = iter([(1, "b"), (0, "a"), (2, "c")])
    first = next(in_order(given))
    assert first == (0, "a")
    assert list(given) == [(2, "c")]  # nothing is asked for before it is due


def test_tasks_side_by_side_in_a_process_leave_torch_its_threads():
    """The one that began first ends first; the number that it found comes back with the last one's end."""
    torch.set_num_threads(2)
    threads, seen = _Threads(), {}
    began, ended = threading.Event(), threading.Event()

    def second():
        with threads.one():
            began.set()
            ended.wait(10)
            seen["second"] = torch.get_num_threads()
        seen["after"] = torch.get_num_threads()

    other = threading.Thread(target=second)
    with threads.one():
        other.start()
        began.wait(10)
        seen["first"] = torch.get_num_threads()
    ended.set()
    other.join(10)
    assert seen == {"first": 1, "second": 1, "after": 2}


def test_what_dask_gives_up_is_one_line():
    distributed = pytest.importorskip("distributed")
    lost = distributed.KilledWorker("task", SimpleNamespace(address="tcp://worker:1"), 3)
    gone = SimpleNamespace(status="cancelled")
    killed = SimpleNamespace(status="error", exception=lambda: lost)
    with pytest.raises(InputError, match="went away; start it again, and ask the same to go on"):
        _outcome(gone)
    why = "every worker that ran it ended; see why in the log of the last one, tcp://worker:1 "
    with pytest.raises(InputError, match=why + r"\(interrupted, killed, out of memory\), and ask the same to go on"):
        _outcome(killed)


@pytest.mark.parametrize(
    ("backend", "refusal"),
    [
        ("multiprocessing", pytest.raises(InputError, match=r"MultiprocessingBackend .* take another backend: loky")),
        ("threading", contextlib.nullcontext()),
    ],
)
def test_a_backend_of_joblib_must_have_results_as_they_end(backend, refusal):
    with joblib.parallel_config(backend=backend), refusal, spread([Square(3)], 2) as results:
        assert [(place, square) for place, (square, _) in results] == [(0, 9)]
