"""Hyperspherical uniformity, alignment and frames against their definitions in mpmath, by loops over pairs."""

import dataclasses
import math

import mpmath
import pytest
import torch

import validate
from tests.cases import orthogonal
from tests.validate.metrics.kinds import COLLAPSED, KINDS, arrays, drawn
from ufm import InputError, Point
from validate.statistics.pair_moments import directions, pair_moments, squared_distances

mpmath.mp.dps = 30


def rows_of(X):
    return [[mpmath.mpf(float(x)) for x in row] for row in X]


def dot(x, y):
    return mpmath.fsum(a * b for a, b in zip(x, y, strict=True))


def unit(x):
    return [a / mpmath.sqrt(dot(x, x)) for a in x]


def moments(values, less=0):
    mean = mpmath.fsum(values) / len(values)
    return mean, mpmath.fsum((v - mean) ** 2 for v in values) / (len(values) - less)


def over_pairs(X, kernel, own=False):
    return [kernel(X[j], X[k]) for j in range(len(X)) for k in range(len(X)) if own or j != k]


def distance(x, y):
    difference = [a - b for a, b in zip(x, y, strict=True)]
    return mpmath.sqrt(dot(difference, difference))


def reference(point, labels, exponent=1.5):
    """Every number by its definition."""
    W, M, _, _, _ = (part if i > 1 else rows_of(part) for i, part in enumerate(arrays(point, labels)))
    found = {}
    for of, X in (("w", W), ("means", M)):
        unit_rows = [unit(x) for x in X]
        for name, kernel in (
            ("log", lambda x, y: -mpmath.log(distance(x, y))),
            ("riesz", lambda x, y: distance(x, y) ** -exponent),
        ):
            found[f"{name}_energy_{of}"], found[f"{name}_variance_{of}"] = moments(over_pairs(unit_rows, kernel))
        found[f"interference_mean_{of}"], found[f"interference_variance_{of}"] = moments(over_pairs(X, dot))
        found[f"log_norm_variance_{of}"] = moments([mpmath.log(dot(x, x)) / 2 for x in X])[1]
    pairs = list(zip(W, M, strict=True))
    by_class = {
        "dot": [dot(w, m) for w, m in pairs],
        "cosine": [dot(unit(w), unit(m)) for w, m in pairs],
        "distance": [distance(unit(w), unit(m)) for w, m in pairs],
    }
    for name, values in by_class.items():
        found[f"{name}_mean"], found[f"{name}_variance"] = moments(values)
    squares = [mpmath.fsum(dot(x, x) for x in X) for X in (W, M)]
    found["overall"] = mpmath.fsum(by_class["dot"]) / mpmath.sqrt(squares[0] * squares[1])
    total = [mpmath.fsum(column) for column in zip(*W, strict=True)]
    found["nc0"] = dot(total, total) / (len(W) * squares[0])
    return found


def measured(point, labels, exponent=1.5):
    parts = (
        validate.hyperspherical(point, labels, exponent=exponent),
        validate.alignment(point, labels),
        validate.frames(point, labels),
    )
    found = {name: value for part in parts for name, value in dataclasses.asdict(part).items()}
    return {name: value for name, value in found.items() if name not in ("exponent", "log_least", "riesz_least")}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_the_definitions(kind):
    point, labels = KINDS[kind]
    found, expected = measured(point, labels), reference(point, labels)
    assert set(found) == set(expected)
    scale = float(point.W.double().square().sum() + point.H.double().square().sum())
    for name, value in found.items():
        # A variance of numbers that are equal but for rounding is of the square of the rounding's size.
        rounding = 1e-13 * max(1, scale) if "variance" not in name else 1e-26 * max(1, scale) ** 2
        assert value == pytest.approx(float(expected[name]), rel=1e-9, abs=rounding), name


def wrong(name, point, labels):
    """What a wrong definition of the number gives."""
    W, M, means, _, _ = arrays(point, labels)
    W, M, means = rows_of(W), rows_of(M), rows_of(means)
    X = W if name.endswith("_w") else M
    rows = [unit(x) for x in X]
    dots = [dot(w, m) for w, m in zip(W, M, strict=True)]
    plain = [dot(w, m) for w, m in zip(W, means, strict=True)]
    return {
        "log_energy_w, vectors not directions": lambda: moments(
            over_pairs(X, lambda x, y: -mpmath.log(distance(x, y)))
        )[0],
        "log_energy_means, of the square": lambda: (
            -2 * moments(over_pairs(rows, lambda x, y: mpmath.log(distance(x, y))))[0]
        ),
        "log_variance_means, not centred": lambda: moments(
            over_pairs([unit(m) for m in means], lambda x, y: -mpmath.log(distance(x, y)))
        )[1],
        "riesz_energy_means, another exponent": lambda: moments(over_pairs(rows, lambda x, y: 1 / distance(x, y)))[0],
        "riesz_variance_means, one less": lambda: moments(over_pairs(rows, lambda x, y: distance(x, y) ** -1.5), 1)[1],
        "interference_mean_means, with own": lambda: moments(over_pairs(M, dot, own=True))[0],
        "interference_variance_means, with own": lambda: moments(over_pairs(M, dot, own=True))[1],
        "log_norm_variance_means, of the square": lambda: moments([mpmath.log(dot(x, x)) for x in M])[1],
        "dot_mean, not centred": lambda: moments(plain)[0],
        "dot_variance, one less": lambda: moments(dots, 1)[1],
        "cosine_mean, of dots": lambda: moments(dots)[0],
        "distance_mean, squared": lambda: moments([distance(unit(w), unit(m)) ** 2 for w, m in zip(W, M, strict=True)])[
            0
        ],
        "overall, the mean cosine": lambda: moments([dot(unit(w), unit(m)) for w, m in zip(W, M, strict=True)])[0],
        "nc0, of the columns": lambda: (
            mpmath.fsum(mpmath.fsum(w) ** 2 for w in W) / (len(W) * mpmath.fsum(dot(w, w) for w in W))
        ),
    }


WRONG = list(wrong("log_energy_means", *KINDS["imbalanced"]))


@pytest.mark.parametrize("planted", WRONG)
def test_a_wrong_definition_is_caught(planted):
    name = planted.split(",")[0]
    point, labels = KINDS["imbalanced"]
    found, other = measured(point, labels)[name], float(wrong(name, point, labels)[planted]())
    assert found != pytest.approx(other, rel=1e-4)


def test_at_collapse_energies_are_least_and_variances_vanish():
    found = validate.hyperspherical(*COLLAPSED)
    for of in ("w", "means"):
        assert getattr(found, f"log_energy_{of}") == pytest.approx(found.log_least, abs=1e-12)
        assert getattr(found, f"riesz_energy_{of}") == pytest.approx(found.riesz_least, abs=1e-12)
        assert getattr(found, f"log_variance_{of}") < 1e-25
    frames, aligned = validate.frames(*COLLAPSED), validate.alignment(*COLLAPSED)
    assert max(frames.nc0, frames.log_norm_variance_w, frames.interference_variance_means, aligned.dot_variance) < 1e-25
    assert aligned.overall == pytest.approx(1)


@pytest.mark.parametrize("kind", ["imbalanced", "d < K - 1", "single samples"])
def test_no_energy_is_below_the_least(kind):
    found = validate.hyperspherical(*KINDS[kind], exponent=2)
    assert min(found.log_energy_w, found.log_energy_means) > found.log_least
    assert min(found.riesz_energy_w, found.riesz_energy_means) > found.riesz_least


def test_rotations_shifts_and_scales_of_rows():
    point, labels = KINDS["imbalanced"]
    R, shift = orthogonal(point.dim), torch.arange(point.dim).double()
    moved = Point(point.W @ R, (point.H + shift) @ R, point.b)
    assert measured(moved, labels) == pytest.approx(measured(point, labels), rel=1e-9)
    lengths = torch.tensor([[0.1], [3.0], [1.0], [7.0]]).double()
    longer = Point(point.W * lengths, 2 * point.H, point.b)
    before, after = (dataclasses.asdict(validate.hyperspherical(p, labels)) for p in (point, longer))
    assert after == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("apart", [1e-3, 3e-5, 7e-6, 1e-9])
def test_near_directions_keep_their_digits(apart):
    """At 1e-6 of each other the matrix product 2 - 2 cos has four digits, at 1e-9 none."""
    X = torch.tensor([[1.0, 0.0], [math.cos(apart), math.sin(apart)], [-1.0, 0.0]], dtype=torch.float64)
    squares = squared_distances(directions(X), directions(X))
    assert float(squares[0, 1]) == pytest.approx(4 * math.sin(apart / 2) ** 2, rel=1e-7)
    assert float(squares[0, 2]) == pytest.approx(4)


def test_of_many_classes_some_are_compared_and_it_says_so():
    point, labels = drawn((2,) * 60, 7)
    exact, some = (validate.hyperspherical(point, labels, rows=rows) for rows in (60, 25))
    for name in ("log_energy_w", "log_variance_means", "riesz_energy_means"):
        value, estimate = getattr(exact, name), getattr(some, name)
        assert not isinstance(value, validate.Estimate)
        assert isinstance(estimate, validate.Estimate)
        assert abs(value - estimate) < 5 * estimate.error
    assert isinstance(validate.frames(point, labels, rows=25).interference_variance_w, validate.Estimate)


def test_pair_moments_see_a_small_variance_beside_a_large_mean():
    X = torch.tensor([[1e8], [1e8 + 1], [1e8 + 3]], dtype=torch.float64)
    mean, variance = pair_moments(X, lambda some, rows: (some + rows.T) / 2, rows=3)
    assert mean == pytest.approx(1e8 + 4 / 3, rel=1e-15)
    assert variance == pytest.approx(7 / 18, rel=1e-7)


def test_where_there_is_no_direction():
    point = Point(torch.eye(3), torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0.0, 0, 0]]), torch.zeros(3))
    found = validate.hyperspherical(point)
    assert math.isnan(found.log_energy_means)
    assert found.log_energy_w == pytest.approx(-math.log(2) / 2)
    equal = Point(torch.ones(3, 3), point.H, point.b)
    assert validate.hyperspherical(equal).log_energy_w == math.inf
    assert validate.frames(equal).nc0 == pytest.approx(1)


@pytest.mark.parametrize("exponent", [0.0, -1.0, math.inf, math.nan])
def test_an_exponent_that_is_none_is_refused(exponent):
    with pytest.raises(InputError, match="exponent of the Riesz kernel"):
        validate.hyperspherical(*COLLAPSED, exponent=exponent)


def test_results_are_plain_data_and_back():
    for result in (validate.hyperspherical(*COLLAPSED), validate.alignment(*COLLAPSED), validate.frames(*COLLAPSED)):
        assert type(result).from_plain(result.plain()) == result
