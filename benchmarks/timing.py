"""What a benchmark reports: a ratio of two times taken in one run, since machines differ and are noisy."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of ours and of the peer's, and what each of them reached.

    ratio  peer over ours: how many times faster ours is (for a floor, below 1: the share of the floor in ours)
    """

    task: str
    ours: str
    ours_seconds: float
    peer: str
    peer_seconds: float
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.peer_seconds / self.ours_seconds


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    """(wall time of one call, its result)."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def interleaved(ours: Callable[[], object], peer: Callable[[], object], repeats: int = 15) -> tuple[float, float]:
    """The least wall times of both, called in turn after one call each to warm up."""
    ours(), peer()
    times = [(seconds(ours)[0], seconds(peer)[0]) for _ in range(repeats)]
    return min(t for t, _ in times), min(t for _, t in times)
