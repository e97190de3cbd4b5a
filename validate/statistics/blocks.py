"""Long arrays in pieces that stay in a processor's cache."""

from collections.abc import Iterator

ELEMENTS = 2**20  # of a block: 8 MB in float64
LEAST, MOST = 128, 2048  # rows of a block: enough for products to be worth their traffic, more gain nothing


def blocks(length: int, width: int) -> Iterator[slice]:
    """Slices that cover range(length) in order, of about ELEMENTS entries with rows of `width`, LEAST to MOST rows."""
    step = max(LEAST, min(MOST, ELEMENTS // max(1, width)))
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
