"""The scalar problem against a fine grid and mpmath; the threshold; the least of lines against brute force."""

import mpmath
import numpy as np
import pytest

from ufm.models.schatten import Line, below, shrunk, threshold


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
@pytest.mark.parametrize("decay", [1e-4, 1e-2, 3e-2, 0.2])
@pytest.mark.parametrize("size", [0.0, 0.7, 2.0])
def test_the_scalar_minimum_is_that_of_a_fine_grid(depth, decay, size):
    N, x = 6, np.linspace(0, 2.5, 2_000_001)
    values = (x - size) ** 2 / (2 * N) + depth / 2 * decay * x ** (2 / depth)
    found = shrunk(size, N, depth, decay)
    assert found.value <= values.min() + 1e-15
    assert found.least <= found.value <= found.least + 1e-13
    assert found.value == pytest.approx(values.min(), abs=1e-11)
    assert found.x == pytest.approx(x[values.argmin()], abs=2e-5)


@pytest.mark.parametrize("depth", [3, 4, 5, 9])
def test_the_jump_is_where_both_minima_are_equal_in_mpmath(depth):
    """At the threshold x/size = (L-2)/(L-1) is stationary and has the value of 0; the constants of K lambda n^(1/L)."""
    size, N, L = mpmath.mpf(2), 12, mpmath.mpf(depth)
    decay, x = mpmath.mpf(threshold(2.0, N, depth)), size * (L - 2) / (L - 1)

    def f(y):
        return (y - size) ** 2 / (2 * N) + L / 2 * decay * y ** (2 / L)

    assert abs(mpmath.diff(f, x)) < 1e-13
    assert abs(f(x) - f(0)) < 1e-15
    known = {3: 0.39685, 4: 0.27217, 5: 0.21037}.get(depth)
    assert known is None or 3 * float(decay) * 4 ** (1 / depth) == pytest.approx(known, abs=5e-6)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_sizes_vanish_at_the_threshold_and_jump(depth):
    size, N = 1.3, 7
    at = threshold(size, N, depth)
    above, under = shrunk(size, N, depth, 1.0001 * at), shrunk(size, N, depth, 0.9999 * at)
    assert above.x == 0
    assert under.x / size == pytest.approx((depth - 2) / (depth - 1), abs=2e-4)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_least_of_lines_is_the_least_of_a_convex_function_and_a_concave_one(depth):
    """P(t) = log(1 + 3 e^-t), whose tangents are known; the decay is low, high, and higher than it pays."""

    def line(mu: float) -> Line:
        t = np.log(3 / mu - 3)  # where P has the slope -mu = -3 e^-t/(1 + 3 e^-t)
        return Line(mu, float(np.log1p(3 * np.exp(-t)) + mu * t), float(t))

    t = np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 4_000_001)])
    for decay in (1e-4, 1e-2, 0.2, 3.0):
        least = (np.log1p(3 * np.exp(-t)) + depth / 2 * decay * t ** (2 / depth)).min()
        bound = below(line, 0.75 * (1 - 1e-15), 0.0, depth, decay)
        assert bound <= least + 1e-12
        assert bound == pytest.approx(least, rel=1e-8)
