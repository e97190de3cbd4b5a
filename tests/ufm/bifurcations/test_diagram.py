"""Diagrams against fresh atlases at their ends, thresholds by an independent solver, and errors planted in them."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch

from tests.ufm.bifurcations.diagrams import PATHS, made
from ufm import InputError
from ufm.atlas import explore
from ufm.bifurcations import Diagram, Path, diagram, kept_diagram


def gradient(w, h, b, s, lb):
    """Of f at d = 1, n = 1 and both decays s, from the definition, in numpy."""
    K = len(w)
    z = np.outer(h, w) + b
    p = np.exp(z - z.max(1, keepdims=True))
    G = (p / p.sum(1, keepdims=True) - np.eye(K)) / K
    return np.concatenate([G.T @ h + s * w, G @ w + s * h, G.sum(0) + lb * b])


def hessian(x, K, s, lb, size):
    """By central differences of the gradient, in the first `size` variables."""
    columns = []
    for i in range(size):
        e = np.zeros_like(x)
        e[i] = 1e-5
        up, down = (gradient(*np.split(y, 3), s, lb)[:size] for y in (x + e, x - e))
        columns.append((up - down) / 2e-5)
    return np.array(columns)


def symmetric_point(K, s, lb, bias):
    """(a, 0, ..., 0, -a) in w and h, and b that is symmetric too: three unknowns, solved by scipy."""

    def whole(y):
        a, c, e = y
        w = np.r_[a, np.zeros(K - 2), -a]
        h = np.r_[c, np.zeros(K - 2), -c]
        return np.concatenate([w, h, np.r_[e, np.full(K - 2, -2 * e / (K - 2)), e] * bias])

    def equations(y):
        g = gradient(*np.split(whole(y), 3), s, lb)
        return [g[0], g[K], g[2 * K] if bias else y[2]]

    return whole(scipy.optimize.fsolve(equations, [1.5, 1.5, 0.0], xtol=1e-13))


def threshold(K, low, high, problem, direction):
    """Where the curvature of (a, 0, ..., 0, -a) along the least direction of a symmetry passes 0, by bisection."""

    def least(t):
        s, lb, bias = problem(t)
        x = symmetric_point(K, s, lb, bias)
        size = 3 * K if bias else 2 * K
        P = direction(K)[:size]
        P = P[:, np.abs(P).sum(0) > 0]
        return np.linalg.eigvalsh(P.T @ hessian(x, K, s, lb, size) @ P)[0]

    return scipy.optimize.brentq(least, low, high, xtol=1e-10)


def middle_parts(K):
    """Class 1 of the middle up and class 2 down, in w, h and b."""
    v = np.r_[0, 1, -1, np.zeros(K - 3)] / 2**0.5
    return np.kron(np.eye(3), v[:, None])


def odd_sign(K):
    """What (w, h, b) -> (-w, -h, b) with the ends exchanged reverses: w and h alike at both ends, b against."""
    ends, middle = np.r_[1, 0, 1] / 2**0.5, np.r_[0, 1, 0]
    columns = [np.kron(np.eye(3)[i], v) for i in (0, 1) for v in (ends, middle)]
    return np.array([*columns, np.kron(np.eye(3)[2], np.r_[1, 0, -1] / 2**0.5)]).T


THRESHOLDS = {
    "K = 3, no bias": (threshold(3, 0.04, 0.06, lambda t: (t / 3, 0.0, False), odd_sign), 0.0450817),
    "K = 3, lambda_b": (threshold(3, 0.3, 0.7, lambda t: (0.01, t, True), odd_sign), 0.4861),
    "K = 4, lambda_b": (threshold(4, 0.2, 0.5, lambda t: (0.125, t, True), middle_parts), 0.3074),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_events_are_located_to_1e_6(name):
    independent, noted = THRESHOLDS[name]
    (event,) = made(name).events
    assert event.kind == "pitchfork"
    assert event.t == pytest.approx(independent, abs=1e-6)
    assert event.t == pytest.approx(noted, abs=5e-5)


@pytest.mark.parametrize("name", PATHS)
def test_the_euler_sums_hold_between_events(name):
    found = made(name)
    assert found.complaints == []
    assert len(found.counts) == len(found.events) + 1


@pytest.mark.parametrize("name", ["K = 3, no bias", "K = 3, lambda_b", "K = 4, lambda_b"])
def test_at_both_ends_the_branches_are_the_points_of_a_fresh_atlas(name):
    found = made(name)
    for t in (found.path.begin, found.path.end):
        atlas = explore(found.path.problem(t), 5, until_quiet=100)
        expected = Counter((p.shape, p.copies, p.index, round(p.level, 7)) for p in atlas.points)
        there = [(branch, 0 if t == found.path.begin else -1) for branch in found.at(t)]
        listed = Counter((b.shape, b.copies, b.index, round(b.level[end], 7)) for b, end in there)
        assert listed == expected


def test_counts_are_not_monotone_in_lambda():
    """K = 4, n = 2, lambda_b = 3 lambda: lb = 3 s/sqrt(2)."""
    found = made("K = 4, twice")
    assert [count.points for count in found.counts] == [75, 51, 75]
    first, second = found.events
    assert first.kind == second.kind == "pitchfork"
    assert 0.3 < first.t < 0.5
    assert 0.9 < second.t < 0.97


@pytest.mark.parametrize(
    ("name", "counts"), [("K = 3, no bias", [25, 13]), ("K = 3, lambda_b", [13, 25]), ("K = 4, lambda_b", [51, 75])]
)
def test_how_many_points_there_are(name, counts):
    assert [count.points for count in made(name).counts] == counts


def test_a_branch_ends_where_it_meets_one_with_more_symmetries():
    found = made("K = 4, lambda_b")
    at_event = [branch for branch in found.branches if set(branch.events) & {0}]
    assert sorted((branch.shape, branch.index) for branch in at_event) == [("1+1+1+1", 0), ("2+1+1", 0), ("2+1+1", 1)]
    for branch in at_event:
        end = -1 if branch.events[1] == 0 else 0
        assert branch.level[end] == pytest.approx(found.events[0].level, abs=1e-9)


def test_a_branch_that_is_left_out_is_told():
    from ufm.bifurcations.diagram import _Search

    found = made("K = 4, lambda_b")
    less = [branch for branch in found.branches if branch.shape != "2+2"]
    counts = tuple(_Search._count(less, count.t) for count in found.counts)
    assert len(replace(found, branches=tuple(less), counts=counts).complaints) == len(found.counts)


def test_it_is_read_back_and_kept(tmp_path):
    found = made("K = 3, no bias")
    assert Diagram.from_plain(found.plain()).plain() == found.plain()
    file = tmp_path / "bifurcations.json"
    path = Path(3, "rho", 0.3, 0.5, 3.0)
    first = kept_diagram(path, file, looks=2)
    before = file.read_bytes()
    assert kept_diagram(path, file, looks=2).plain() == first.plain()
    assert file.read_bytes() == before
    for other in (replace(path, end=0.6), replace(path, num_classes=4)):
        with pytest.raises(InputError, match="another path"):
            kept_diagram(other, file, looks=2)
    file.write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        kept_diagram(path, file, looks=2)


def test_atlases_of_another_path_and_damaged_ones_are_refused(tmp_path):
    path, file = Path(3, "rho", 0.3, 0.5, 3.0), tmp_path / "bifurcations.json"
    kept_diagram(path, file, looks=2)
    file.unlink()
    with pytest.raises(InputError, match=r"was made with end = 0\.5"):
        kept_diagram(replace(path, end=0.6), file, looks=2)
    looks = tmp_path / "looks.json"
    stored = json.loads(looks.read_text())
    stored["cells"][0]["points"][0].append(0.0)
    for damaged in (json.dumps(stored), json.dumps(stored | {"cells": [{"points": []}]})):
        looks.write_text(damaged)
        with pytest.raises(InputError, match="damaged"):
            kept_diagram(path, file, looks=2)


def test_a_short_branch_has_the_index_within_and_not_that_at_its_event():
    """K = 4, rho = .5, from just below the pitchfork on: at the event an eigenvalue's sign is rounding."""
    from ufm.bifurcations.branches import curve_through, pieces
    from ufm.bifurcations.diagram import _ascending, _Track

    path = Path(4, "lambda_b", 0.3073, 0.6, 0.5)
    x = torch.from_numpy(symmetric_point(4, 0.125, path.begin, True))
    first, second, *_ = pieces(curve_through(path, x, path.begin).start(x, path.begin, True))
    short = _Track(_ascending(first), path.begin)
    assert len(short.piece.places) == 2
    assert short.middle.t == path.begin
    assert (short.middle.index, _Track(second, path.begin).middle.index) == (0, 1)
    between = replace(first, first=first.last)
    assert path.begin < _Track(between, path.begin).middle.t < first.last.place.t


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((2, "rho", 0.1, 0.2, 1.0), "K <= 7"),
        ((3, "n", 0.1, 0.2, 1.0), "must be one of"),
        ((3, "rho", 0.3, 0.2, 1.0), "to a larger, finite one"),
        ((3, "rho", 0.3, 1.2, 1.0), "at most 0.999"),
        ((3, "rho", 0.3, 0.5, 0.0), "a bias that decays"),
        ((3, "lambda_b", 0.3, 0.5, 0.0, False), "rho must lie"),
    ],
)
def test_paths_that_cannot_be_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Path(*settings)


def test_one_look_is_too_few():
    with pytest.raises(InputError, match="looks must be >= 2"):
        diagram(PATHS["K = 3, no bias"], looks=1)
