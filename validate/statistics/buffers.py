"""Memory that a pass over many batches uses again: fresh memory costs a processor more than the arithmetic on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LARGEST = 2**22  # entries that are kept: 32 MB in float64

_OF_THREAD = threading.local()


class Buffers:
    """`get` gives a (rows, columns) tensor whose entries mean nothing, the same memory each time for the same name."""

    def __init__(self) -> None:
        self.held: dict[str, torch.Tensor] = {}

    def get(self, name: str, rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
        """Of the dtype and device of `like`; what is larger than LARGEST is made anew."""
        size, held = rows * columns, self.held.get(name)
        if held is None or held.numel() < size or held.dtype != like.dtype or held.device != like.device:
            held = like.new_empty(size)
            if size <= LARGEST:
                self.held[name] = held
        return held[:size].view(rows, columns)


def scratch() -> Buffers:
    """This thread's buffers, for a function that calls none of its caller's code while it uses them."""
    if not hasattr(_OF_THREAD, "buffers"):
        _OF_THREAD.buffers = Buffers()
    return _OF_THREAD.buffers


@contextmanager
def borrowed() -> Iterator[Buffers]:
    """Buffers of this thread that nobody else uses until they are given back, whatever runs meanwhile."""
    free: list[Buffers] = _OF_THREAD.__dict__.setdefault("free", [])
    buffers = free.pop() if free else Buffers()
    try:
        yield buffers
    finally:
        free.append(buffers)
