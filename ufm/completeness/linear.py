"""Products of float64 matrices with interval ones, many at once: midpoints and radii, with bounds on the rounding.

For n terms a floating-point dot product is off by at most n u/(1 - n u) times that of absolute values, u = 2^-53, in
any order of summation (Higham 2002, section 3.1); (n + 4) 2u covers that and the rounding of the bound itself. Source
of the midpoint-radius product: Rump, "Fast and parallel interval arithmetic", BIT 1999.
"""

import numpy as np

from .intervals import Interval, up

UNIT = 2.0**-52
TINY = 1e-290  # above all that underflow can take


def times(A: np.ndarray, B: Interval) -> tuple[np.ndarray, np.ndarray]:
    """(m, r) (M, a, b): A B in [m - r, m + r], for A (M, a, n) exact and B (M, n, b)."""
    m, r = B.middle()
    size = np.abs(A)
    return A @ m, _above(size @ r, A.shape[-1]) + _above((A.shape[-1] + 4) * UNIT * (size @ np.abs(m)), A.shape[-1])


def spread(m: np.ndarray, r: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(M, a): no less than |x| reach for x (M, a, n) in [m - r, m + r] and reach (M, n) >= 0."""
    return _above((up(np.abs(m) + r) @ reach[..., None])[..., 0], m.shape[-1])


def _above(x: np.ndarray, terms: int) -> np.ndarray:
    """No less than the exact sum of so many products >= 0 that x approximates."""
    return up(x * (1 + (terms + 4) * UNIT)) + TINY
