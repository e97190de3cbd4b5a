"""Interval operations hold the exact results, by rational numbers and mpmath; one that rounds to nearest is caught."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from ufm.completeness import intervals, linear
from ufm.completeness.intervals import Interval


def numbers(seed: int, size: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=size) * 10.0 ** rng.integers(-6, 6, size)


def holds(found: Interval, exact: list) -> bool:
    ends = zip(found.lo.tolist(), found.hi.tolist(), exact, strict=True)
    return all(Fraction(lo) <= value <= Fraction(hi) for lo, hi, value in ends)


def rational(a: np.ndarray) -> list[Fraction]:
    return [Fraction(x) for x in a.tolist()]


OPERATIONS = {
    "sum": (lambda a, b: a + b, lambda x, y: x + y),
    "difference": (lambda a, b: a - b, lambda x, y: x - y),
    "product": (lambda a, b: a * b, lambda x, y: x * y),
    "multiple": (lambda a, b: a * b.lo, lambda x, y: x * y),
    "reciprocal": (lambda a, b: (a * a).reciprocal(), lambda x, y: 1 / (x * x)),
    "square": (lambda a, b: a.square(), lambda x, y: x * x),
}


def encloses(name: str) -> bool:
    """Whether the operation on exact numbers holds the exact result."""
    of_intervals, of_rationals = OPERATIONS[name]
    a, b = numbers(1), numbers(2)
    exact = [of_rationals(x, y) for x, y in zip(rational(a), rational(b), strict=True)]
    return holds(of_intervals(Interval(a, a), Interval(b, b)), exact)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name):
    assert encloses(name)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("end", ["down", "up"])
def test_rounding_to_nearest_is_caught(name, end, monkeypatch):
    monkeypatch.setattr(intervals, end, lambda x: x)
    assert not encloses(name)


def test_wide_intervals():
    a, b, c, d = (numbers(seed) for seed in range(4))
    one, other = Interval(np.minimum(a, b), np.maximum(a, b)), Interval(np.minimum(c, d), np.maximum(c, d))
    product = one * other
    for x, y in ((a, c), (a, d), (b, c), (b, d)):
        assert holds(product, [p * q for p, q in zip(rational(x), rational(y), strict=True)])
    inside = [min(abs(p), abs(q)) ** 2 for p, q in zip(rational(a), rational(b), strict=True)]
    assert holds(
        one.square(), [0 if p * q < 0 else s for p, q, s in zip(rational(a), rational(b), inside, strict=True)]
    )


def test_exp():
    x = np.random.default_rng(0).uniform(-700, 700, 2000)
    found = Interval(x, x).exp()
    with mpmath.workdps(40):
        for value, lo, hi in zip(x.tolist(), found.lo.tolist(), found.hi.tolist(), strict=True):
            assert lo < mpmath.exp(value) < hi
    assert Interval(-800.0, -800.0).exp().lo == 0


def test_matrix_products():
    rng = np.random.default_rng(0)
    A, lo = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 5)) * 1e3
    hi = lo + 1e-12 * rng.random(lo.shape)
    m, r = linear.times(A, Interval(lo, hi))
    for k, i, j in np.ndindex(m.shape):
        for B in (lo, hi):
            exact = sum(p * q for p, q in zip(rational(A[k, i]), rational(B[k, :, j]), strict=True))
            assert abs(exact - Fraction(float(m[k, i, j]))) <= Fraction(float(r[k, i, j]))
