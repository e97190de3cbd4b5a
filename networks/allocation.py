"""Memory that a process keeps while it trains on a CPU.

glibc hands large blocks back to the system when they are freed, and a step frees all of its activations: the next one
gets the same memory in fresh pages, each of them cleared by the system at its first touch.
"""

import ctypes
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's parameters, bytes each
KEPT = 2**31 - 1  # all that fits their type
# How far glibc raises them by itself as blocks are freed.
MOST_BY_ITSELF = {MMAP_THRESHOLD: 32 * 2**20, TRIM_THRESHOLD: 64 * 2**20}


@contextmanager
def kept_memory(device: torch.device):
    """Freed memory stays with the process until the end of the block, on a CPU under glibc; elsewhere nothing changes.

    It is a setting of the whole process. At the end it is where glibc would have taken it by itself, and what is free
    goes back.
    """
    library = _allocator() if device.type == "cpu" else None
    if library is None:
        yield
        return
    for threshold in MOST_BY_ITSELF:
        library.mallopt(threshold, KEPT)
    try:
        yield
    finally:
        for threshold, size in MOST_BY_ITSELF.items():
            library.mallopt(threshold, size)
        library.malloc_trim(0)


def _allocator() -> ctypes.CDLL | None:
    """The C library, if it is glibc."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
