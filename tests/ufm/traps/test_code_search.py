"""The search for softmax codes: its gradients by differences, its ends by the exact distance."""

import numpy as np
import pytest
import torch

from ufm.traps import code_search
from ufm.traps.code_search import reference_distance, search_code
from ufm.traps.codes import directions, one_vs_rest_distance

# Distances of 8 exact climbs from random starts, which take up to 20 times as long as the search.
KNOWN = {(7, 3): 0.7898616872, (10, 3): 0.5956056747, (18, 3): 0.3513041677}


@pytest.mark.parametrize(("K", "dim"), KNOWN)
def test_finds_what_exact_climbs_from_the_start_found(K, dim):
    assert one_vs_rest_distance(search_code(K, dim)) >= KNOWN[K, dim]


def pairs(K, dim, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([directions(generator.standard_normal((K, dim))) for _ in range(2)])


def slope_error(f, x):
    """The largest difference of a gradient from central differences."""
    step = 1e-6 * np.eye(x.size)
    differences = [(f(x + s)[0] - f(x - s)[0]) / 2e-6 for s in step]
    return np.abs(f(x)[1] - differences).max()


def smoothed(x):
    return code_search._smoothed(x, (5, 3), 10.0)


def test_the_smoothed_margin_has_its_gradient():
    x = 1.3 * pairs(5, 3).ravel()
    assert slope_error(smoothed, x) < 1e-8
    assert slope_error(lambda y: (smoothed(y)[0], smoothed(y)[1] + 1e-3 * y), x) > 1e-4  # planted: along the rows


@pytest.mark.parametrize("beta", [10.0, 1e3, 1e5])
def test_the_smoothed_margin_is_just_below_the_least_one(beta):
    x = pairs(6, 3)
    below = code_search._margins(*x).min() + code_search._smoothed(x.ravel(), (6, 3), beta)[0]
    assert -1e-12 <= below <= np.log(30) / beta


def test_the_margins_have_their_slopes():
    W, V = pairs(4, 3)
    k, j = (some[::2] for some in code_search._pairs(4))
    x = np.concatenate([W.ravel(), V.ravel(), [0.3]])
    found = code_search._slopes(W, V, k, j)

    def of(x):
        return code_search._margins(*code_search._split(x, (4, 3)), k, j) - x[-1]

    differences = np.stack([(of(x + s) - of(x - s)) / 2e-6 for s in 1e-6 * np.eye(x.size)], 1)
    assert found == pytest.approx(differences, abs=1e-8)


def test_margins_are_below_distances():
    """<v, w_k - w_j> for all j bounds the distance from below, whatever unit v is; at the search's end it is equal."""
    W, V = pairs(7, 3)
    assert code_search._margins(W, V).min() < one_vs_rest_distance(torch.from_numpy(W))
    W, V = code_search._climb_smoothed(W, 30.0)
    assert code_search._margins(W, V).min() == pytest.approx(one_vs_rest_distance(torch.from_numpy(W)), abs=1e-3)


def test_ends_of_one_value_are_made_exact_once():
    ends = [tuple(pairs(5, 3, seed)) for seed in (0, 0, 1, 2, 3, 4)]
    kept = code_search._best(ends)
    margins = [code_search._margins(*end).min() for end in kept]
    assert len(kept) == code_search.EXACT
    assert margins == sorted({code_search._margins(*end).min() for end in ends}, reverse=True)[: code_search.EXACT]


def test_a_search_is_repeatable_and_done_once(monkeypatch):
    assert torch.equal(search_code(7, 3, starts=2, seed=5), search_code(7, 3, starts=2, seed=5))
    best, known = reference_distance(8, 3)
    assert not known
    monkeypatch.setattr(code_search, "search_code", None)
    assert reference_distance(8, 3) == (best, False)
    assert reference_distance(21, 3) == (None, False)
    assert reference_distance(6, 3) == (1.0, True)
