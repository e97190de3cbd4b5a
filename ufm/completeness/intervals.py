"""Intervals of float64 numbers, many at once: every operation rounds outward, so results hold all exact ones.

IEEE arithmetic rounds each operation to the nearest double; the next double below (above) is a bound. numpy's exp is
taken to be exact to EXP_ULPS units in the last place, which the tests compare with mpmath; `ufm check` uses neither.
"""

from collections.abc import Callable
from typing import Any, Union

import numpy as np

EXP_ULPS = 4
Numbers = Union["Interval", np.ndarray, float]


def down(x: np.ndarray) -> np.ndarray:
    return np.nextafter(x, -np.inf)


def up(x: np.ndarray) -> np.ndarray:
    return np.nextafter(x, np.inf)


class Interval:
    """[lo, hi], two arrays of one shape; a number or an array beside it is exact."""

    __slots__ = ("hi", "lo")
    __array_ufunc__ = None  # array * Interval is Interval's

    def __init__(self, lo: Any, hi: Any):
        self.lo, self.hi = np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lo.shape

    def __getitem__(self, place: Any) -> "Interval":
        return Interval(self.lo[place], self.hi[place])

    def __neg__(self) -> "Interval":
        return Interval(-self.hi, -self.lo)

    def __add__(self, other: Numbers) -> "Interval":
        lo, hi = _ends(other)
        return Interval(down(self.lo + lo), up(self.hi + hi))

    def __sub__(self, other: Numbers) -> "Interval":
        lo, hi = _ends(other)
        return Interval(down(self.lo - hi), up(self.hi - lo))

    def __mul__(self, other: Numbers) -> "Interval":
        if not isinstance(other, Interval):
            a, b = self.lo * other, self.hi * other
            return Interval(down(np.minimum(a, b)), up(np.maximum(a, b)))
        lo, hi = other.lo, other.hi
        a, b, c, d = self.lo * lo, self.lo * hi, self.hi * lo, self.hi * hi
        least, most = np.minimum(np.minimum(a, b), np.minimum(c, d)), np.maximum(np.maximum(a, b), np.maximum(c, d))
        return Interval(down(least), up(most))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Numbers) -> "Interval":
        return -self + other

    def square(self) -> "Interval":
        a, b = np.abs(self.lo), np.abs(self.hi)
        least = np.where((self.lo < 0) & (self.hi > 0), 0.0, np.minimum(a, b))
        return Interval(np.maximum(down(least * least), 0.0), up(np.maximum(a, b) ** 2))

    def reciprocal(self) -> "Interval":
        """Of positive numbers."""
        return Interval(down(1 / self.hi), up(1 / self.lo))

    def exp(self) -> "Interval":
        lo, hi = np.exp(self.lo), np.exp(self.hi)
        for _ in range(EXP_ULPS):
            lo, hi = down(lo), up(hi)
        return Interval(np.maximum(lo, 0.0), hi)

    def middle(self) -> tuple[np.ndarray, np.ndarray]:
        """(m, r) with [lo, hi] inside [m - r, m + r]."""
        m = self.lo + (self.hi - self.lo) / 2
        return m, up(np.maximum(up(self.hi - m), up(m - self.lo)))


def _ends(x: Numbers) -> tuple[Any, Any]:
    return (x.lo, x.hi) if isinstance(x, Interval) else (x, x)


def each(function: Callable[..., np.ndarray], *values: Numbers) -> Any:
    """function of the arrays, or of the lower and of the upper ends: for functions that only place numbers."""
    if not any(isinstance(v, Interval) for v in values):
        return function(*values)
    ends = [_ends(v) for v in values]
    return Interval(function(*(lo for lo, _ in ends)), function(*(hi for _, hi in ends)))
