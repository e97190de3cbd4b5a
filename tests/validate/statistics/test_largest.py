"""Decisions by way of float32 are float64's: near ties, offsets, odd sizes of numbers, and short products."""

import dataclasses

import pytest
import torch

from ufm import Point
from validate import neural_collapse
from validate.statistics import largest
from validate.statistics.largest import Largest, LargestOfMany


def draw(K: int, d: int, N: int = 400, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((K, d), (K,), (N, d)))


def plainly(Y, c, X):
    return torch.addmm(c, X, Y.T).argmax(1)


CASES = {
    "as drawn": lambda Y, c, X: (Y, c, X),
    "far from 0": lambda Y, c, X: (Y + 1e3, c, X + 1e3),
    "large": lambda Y, c, X: (1e10 * Y, 1e20 * c, 1e10 * X),
    "small": lambda Y, c, X: (1e-10 * Y, 1e-20 * c, 1e-10 * X),
    "beyond float32's range": lambda Y, c, X: (1e30 * Y, c, 1e30 * X),
    "below float32's range": lambda Y, c, X: (1e-30 * Y, c, 1e-30 * X),
    "no difference": lambda Y, c, X: (0 * Y, 0 * c, X),
    "rows of nothing": lambda Y, c, X: (Y, c, X * (torch.arange(len(X)) % 2)[:, None]),
}


@pytest.mark.parametrize("size", [(2, 1), (5, 3), (40, 300), (300, 40)])
@pytest.mark.parametrize("change", CASES.values(), ids=CASES)
def test_equals_float64(size, change):
    Y, c, X = change(*draw(*size))
    for centre in (None, X.mean(0)):
        assert torch.equal(Largest(Y, c, centre)(X), plainly(Y, c, X))


def near_ties(gap: float, K: int = 20, d: int = 500) -> tuple[torch.Tensor, ...]:
    """Each function beside one that differs by about `gap` of its size: only float64 tells which is larger."""
    Y, c, X = draw(K, d, 2000)
    return torch.cat([Y, Y + gap * draw(K, d, seed=1)[0]]), torch.cat([c, c]), X


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12])
def test_near_ties_are_decided_in_float64(gap):
    Y, c, X = near_ties(gap)
    assert torch.equal(Largest(Y, c)(X), plainly(Y, c, X))


def test_without_the_bound_they_would_go_wrong(monkeypatch):
    monkeypatch.setattr(largest, "_share", lambda dim, dtype: 0.0)
    Y, c, X = near_ties(1e-9)
    assert not torch.equal(Largest(Y, c)(X), plainly(Y, c, X))


def test_most_are_decided_in_float32(monkeypatch):
    Y, c, X = draw(40, 300)
    judge = Largest(Y, c)
    looked = []
    monkeypatch.setattr(judge, "_among", lambda X, close: looked.append(len(X)) or plainly(Y, c, X))
    judge(X)
    assert sum(looked) < 0.1 * len(X)


@pytest.mark.parametrize("d", [1, 30, 3000])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_bound_holds(d, offset):
    Y, c, X = draw(30, d)
    X = X + offset
    scores, wrong = Largest(Y, c, X.mean(0))._in_single(X)
    off = scores.double() - torch.addmm(c, X, Y.T)
    off -= off.mean(1, keepdim=True)  # that number a row which changes no decision
    assert bool((off.abs().amax(1) <= 2 * wrong).all())
    size = (X - X.mean(0)).norm(dim=1) * Y.norm(dim=1).max() + 1e-3 * offset * d**0.5
    assert bool((wrong < 1e-3 * size).all())


def test_short_products_are_found_out():
    Y, c, X = near_ties(1e-3)
    expected = plainly(Y, c, X)
    assert Largest(Y, c).screens
    with torch.autocast("cpu", torch.bfloat16):
        judge = Largest(Y, c)
        assert not judge.screens
        assert torch.equal(judge(X), expected)


def test_a_classifier_that_is_not_finite_is_left_to_float64():
    Y, c, X = draw(5, 4)
    Y[2, 1] = torch.nan
    assert torch.equal(Largest(Y, c)(X), plainly(Y, c, X))


@pytest.mark.parametrize("size", [(12, 40), (40, 12)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_metric_depends_on_it(size, dtype, monkeypatch):
    Y, c, X = (part.to(dtype) for part in draw(*size, 600))
    labels = torch.arange(600) % size[0]
    point = Point(Y, X + 3 * Y[labels] + 100, c)
    found = neural_collapse(point, labels)
    monkeypatch.setattr(largest, "_is_faithful", lambda Y: False)
    assert dataclasses.asdict(neural_collapse(point, labels)) == dataclasses.asdict(found)
    assert 0 < found.nearest_center_disagreement < 1


def in_pieces(monkeypatch, length: int = 7):
    """Pieces of a few functions each, the last one shorter."""
    parts = lambda K, width: (slice(start, min(start + length, K)) for start in range(0, K, length))  # noqa: E731
    monkeypatch.setattr(largest, "blocks", parts)


@pytest.mark.parametrize("change", CASES.values(), ids=CASES)
def test_pieces_decide_as_the_whole(change, monkeypatch):
    in_pieces(monkeypatch)
    Y, c, X = change(*draw(40, 30))
    expected = plainly(Y, c, X)
    for centre in (None, X.mean(0)):
        judge = LargestOfMany(Y, c, centre)
        assert torch.equal(judge(X), expected)
        assert bool(judge.is_at(X, expected).all())
        others = (expected + torch.arange(len(X)) % 3) % 40
        assert torch.equal(judge.is_at(X, others), others == expected)


@pytest.mark.parametrize("gap", [1e-6, 1e-9])
def test_near_ties_across_pieces_are_decided_in_float64(gap, monkeypatch):
    in_pieces(monkeypatch)
    Y, c, X = near_ties(gap)
    assert torch.equal(LargestOfMany(Y, c)(X), plainly(Y, c, X))


def test_of_equal_functions_the_first_counts(monkeypatch):
    in_pieces(monkeypatch, 2)
    Y, c, X = draw(3, 5)
    judge, expected = LargestOfMany(torch.cat([Y, Y]), torch.cat([c, c])), plainly(Y, c, X)
    assert torch.equal(judge(X), expected)
    assert bool(judge.is_at(X, expected).all())
    assert not bool(judge.is_at(X, expected + 3).any())


def test_a_piece_that_is_left_out_is_noticed(monkeypatch):
    Y, c, X = draw(40, 30)
    monkeypatch.setattr(largest, "blocks", lambda K, width: [slice(0, 20), slice(25, K)])
    assert not torch.equal(LargestOfMany(Y, c)(X), plainly(Y, c, X))
