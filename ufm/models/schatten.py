"""The least decay of L factors of one product, the Schatten quasi-norm, and what it bounds f by.

Factors of Z~ (singular values x) have decays of at least (L/2) decay sum x^(2/L), and balanced ones have just that.
So f is at least min over Z~ of loss(Z~) + (L/2) decay sum x^(2/L) (docs/theory, section 12.4).

*Squared error.* With A = diag(sqrt n) Y the loss is |Z~ - A|^2/(2 N) >= sum (x_i - a_i)^2/(2 N) (von Neumann), a_i the
singular values of A, with equality for the singular vectors of A. So each a has its own scalar problem

    min over x >= 0 of   (x - a)^2/(2 N) + (L/2) decay x^(2/L),

whose stationary points solve (a - x) x^(1 - 2/L) = N decay: none or two for L >= 3, the larger one a minimum.

*Any loss with a conjugate.* sum x^(2/L) >= (sum x)^(2/L), so with P(t) = the least loss where |Z~|_* <= t

    f >= min over t >= 0 of   P(t) + (L/2) decay t^(2/L).

P is convex and P(t) >= D(mu) - mu t for every mu, D(mu) the dual bound of the problem of two factors whose decays are
mu. Above so many lines the sum is concave between their crossings, so its minimum is at one of these, exactly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from scipy.optimize import brentq

CUTS = 60  # lines at most
SETTLED = 1e-10  # of the bound: what more lines could add


@dataclass(frozen=True)
class Shrunk:
    """The minimiser x of (x - size)^2/(2 N) + (L/2) decay x^(2/L), its value, and a number below every value."""

    x: float
    value: float
    least: float


def shrunk(size: float, num_samples: int, depth: int, decay: float) -> Shrunk:
    """The scalar problem of a singular value `size` of the weighted targets: global, by a bracketed root."""
    N, power = num_samples, 2 / depth

    def value(x: float, below: float) -> float:
        return (size - x) ** 2 / (2 * N) + depth / 2 * decay * below**power

    nothing = Shrunk(0.0, value(0.0, 0.0), value(0.0, 0.0))
    top = size * (depth - 2) / (2 * depth - 2)  # where (size - x) x^(1 - 2/L) is largest

    def excess(x: float) -> float:
        return (size - x) * x ** (1 - power) - N * decay

    if size <= 0 or excess(top) <= 0:
        return nothing
    x = brentq(excess, top, size, xtol=1e-15 * size, rtol=1e-15)
    low, high = x * (1 - 4e-15), min(x * (1 + 4e-15), size)
    found = Shrunk(x, value(x, x), value(high, low))
    return min(nothing, found, key=lambda one: one.value)


def threshold(size: float, num_samples: int, depth: int) -> float:
    """The decay from which on a singular value of the targets vanishes: N decay size^(2/L - 2) = c(L),

    c(L) = (1/(L-1)) ((L-2)/(L-1))^(1 - 2/L), which is 1 for L = 2. Below it, x >= size (L-2)/(L-1).
    """
    ratio = (depth - 2) / (depth - 1)
    return ratio ** (1 - 2 / depth) / (depth - 1) * size ** (2 - 2 / depth) / num_samples


@dataclass(frozen=True)
class Line:
    """P(t) >= height - mu t for all t; the line meets P at about t = at."""

    mu: float
    height: float
    at: float


def below(line: Callable[[float], Line], steepest: float, floor: float, depth: int, decay: float) -> float:
    """min over t >= 0 of (the largest of the lines at t) + (L/2) decay t^(2/L), lines added where the least is.

    line      the line of a slope mu, 0 < mu <= steepest; at `steepest` it is to have P(0) as its height
    floor     the infimum of the loss, P's line of slope 0
    """

    def penalty(t: float) -> float:
        return depth / 2 * decay * t ** (2 / depth)

    def least_at(t: float) -> float:
        return max(one.height - one.mu * t for one in lines) + penalty(t)

    lines, bound = [Line(0.0, floor, math.inf), line(steepest)], floor
    for _ in range(CUTS):
        value, t, flat, steep = min(
            ((least_at(t), t, a, b) for a, b in combinations(lines, 2) if (t := _crossing(a, b)) >= 0),
            key=lambda found: found[0],
        )
        bound = max(bound, min(value, least_at(0.0)))
        known = min(penalty(one.at) + one.height - one.mu * one.at for one in lines[1:])
        if least_at(0.0) <= value or known - bound <= SETTLED * abs(bound):
            break
        mu = _between(steep.mu, max(flat.mu, 0.01 * steep.mu), decay * t ** (2 / depth - 1))
        lines = sorted([*lines, line(mu)], key=lambda one: one.mu)
    return bound


def _crossing(flat: Line, steep: Line) -> float:
    return (steep.height - flat.height) / (steep.mu - flat.mu)


def _between(high: float, low: float, wished: float) -> float:
    """A slope between two: where the sum would be stationary if that lies well inside, else the geometric mean."""
    margin = (high / low) ** 0.1
    return wished if low * margin < wished < high / margin else math.sqrt(high * low)
