"""Another process at once: forked from this one, so that it need not import torch anew, which takes seconds.

It computes with one thread (a fork has none of the threads that torch has started here), and without autograd, which
refuses to work in a fork where there is a GPU.
"""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from ufm.storage.locks import held

FORK: Any = multiprocessing.get_context("fork")
LONGEST = 300  # seconds that a holder stays where the test that started it does not end it


@contextlib.contextmanager
def forked(act: Callable[..., Any], *arguments: Any) -> Iterator[BaseProcess]:
    """A process that calls act(*arguments) and ends: by itself, or killed where the block ends before it."""
    other = FORK.Process(target=_alone, args=(act, *arguments), daemon=True)
    other.start()
    try:
        yield other
    finally:
        other.kill()
        other.join()


def _alone(act: Callable[..., Any], *arguments: Any) -> None:
    torch.set_num_threads(1)
    act(*arguments)


@contextlib.contextmanager
def holding(path: Path) -> Iterator[tuple[BaseProcess, Callable[[], None]]]:
    """(process, what lets go): another process that holds the path until then, or to the end of the block."""
    ours, theirs = FORK.Pipe()
    with ours, forked(_hold, path, ours, theirs) as other:
        theirs.close()
        assert ours.poll(LONGEST)
        assert ours.recv() == "held"
        yield other, lambda: ours.send("enough")


def _hold(path: Path, ours: Any, theirs: Any) -> None:
    ours.close()
    with held(path):
        theirs.send("held")
        theirs.poll(LONGEST)
