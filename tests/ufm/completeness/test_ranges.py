"""Searches over ranges: the system against mpmath and the atlas, proofs and their checks, planted errors caught."""

import ast
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from flint import arb
from scipy.optimize import minimize

import ufm
from tests.ufm.completeness.planted import SHALLOW, refused
from ufm import Problem, prove_complete
from ufm.completeness import search as search_of_boxes
from ufm.completeness import trees
from ufm.completeness.boxes import Boxes
from ufm.completeness.check import check
from ufm.completeness.intervals import Interval
from ufm.completeness.ranges import check as checker
from ufm.completeness.ranges import enclosed, work
from ufm.completeness.ranges.enclosed import Enclosed, positive
from ufm.completeness.ranges.equations import Equations, Frame
from ufm.completeness.ranges.inner import first_guess, inner_solution
from ufm.completeness.ranges.listed import place
from ufm.completeness.ranges.region import Region
from ufm.completeness.ranges.search import Task, single
from ufm.completeness.ranges.system import Jet, System
from ufm.completeness.ranges.unknowns import Unknowns
from ufm.completeness.work import NotProved
from ufm.errors import InputError

THREE = Problem.balanced(3, 2, 1, lambda_w=0.1, lambda_h=0.05, bias=False)
FOUR = Problem.balanced(4, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False)
SYSTEMS = {
    "a line": System((2, 2, 2, 2), 0.1, 0.05, None, rank=1),
    "a plane": System((1, 1, 1, 1), 0.1, 0.1, None, rank=2),
    "a plane of unequal classes, smoothed": System((1, 4, 2, 2), 0.1, 0.1, None, 0.2, rank=2),
    "a line, with a bias": System((3, 1, 1, 2), 0.1, 0.05, 0.1, 0.1, rank=1),
    "a plane, with a bias": System((1, 1, 3, 2), 0.1, 0.1, 0.0, rank=2),
    "of K = 5": System((1, 1, 1, 1, 1), 0.1, 0.1, None, rank=3),
}


@cache
def atlas(problem: Problem):
    return ufm.explore(problem, until_quiet=5)


def residual(system: System, place: list, flat: bool = False) -> list:
    """(R, C, B, D) in mpmath, from their definitions."""
    K, r, mp, N = system.K, system.rank, mpmath, sum(system.counts)
    alpha, biased = mp.mpf(system.smoothing), system.lambda_b is not None
    u = [mp.mpf(1), *place[: K - 2], mp.mpf(0)]
    plane = mp.matrix(
        [[u[j] * (i == 0) - (i == j) + (1 - u[j]) * (i == K - 1) for j in range(1, K - 1)] for i in range(K)]
    )
    line = mp.matrix(u)
    inside, outside = (line, plane) if r == 1 else (plane, line)
    zeta = [mp.matrix(place[K - 2 + k * r : K - 2 + k * r + r]) for k in range(K)]
    entries = iter(place[K - 2 + K * r :])
    a = mp.matrix(r, r)
    for i in range(r):
        for j in range(i, r):
            a[i, j] = a[j, i] = next(entries)
    beta = mp.matrix([*entries, 0] if biased else [0] * K)
    kappa = N * mp.mpf(system.lambda_w) * mp.mpf(system.lambda_h)
    centred = inside.copy()
    for j in range(r):
        mean = mp.fsum(inside[:, j]) / K
        for i in range(K):
            centred[i, j] -= mean
    square = centred.T * centred
    R, C, D = [], -kappa * (square if flat else a * square * a), mp.matrix(r, K - 1 - r)
    B = [system.lambda_b * (x - mp.fsum(beta) / K) for x in beta] if biased else []
    for k in range(K):
        e, share = [mp.exp(z) for z in inside * zeta[k] + beta], mp.mpf(system.counts[k]) / N
        q = mp.matrix([(1 - alpha) * (j == k) + alpha / K - e[j] / mp.fsum(e) for j in range(K)])
        seen = inside.T * q if flat else zeta[k]
        R += list(zeta[k] - a * (inside.T * q))
        C += share * seen * seen.T
        D += share * seen * (outside.T * q).T
        B = [x - share * y for x, y in zip(B, q, strict=True)] if biased else []
    return [*R, *(C[i, j] for i in range(r) for j in range(i, r)), *B[:-1], *D]


def some_boxes(system: System, width: float, size: int = 4) -> Boxes:
    rng = np.random.default_rng(0)
    u = np.sort(rng.uniform(0.05, 0.95, (system.outer, size)), 0)[::-1]
    return Boxes(u - width, u + width, np.repeat(first_guess(system), size, 1))


@pytest.mark.parametrize("name", SYSTEMS)
def test_enclosures(name):
    system, rng = SYSTEMS[name], np.random.default_rng(1)
    some = some_boxes(system, 0.05)
    y = rng.normal(size=(system.inner, len(some)))
    lo, hi = np.concatenate([some.lo, y - 0.1]), np.concatenate([some.hi, y + 0.1])
    flat = np.arange(len(some)) % 2 > 0
    jet = Jet(system, Interval(some.lo, some.hi), Interval(y - 0.1, y + 0.1), flat=flat)
    value, slopes = jet.value, jet.jacobian
    with mpmath.workdps(30):
        for i in range(len(some)):
            place = [mpmath.mpf(x) for x in rng.uniform(lo[:, i], hi[:, i]).tolist()]
            there = residual(system, place, flat[i])
            assert all(value.lo[k, i] <= x <= value.hi[k, i] for k, x in enumerate(there))
            for j in range(0, len(place), 2):
                step = [x + (a == j) * mpmath.mpf(10) ** -14 for a, x in enumerate(place)]
                for k, x in enumerate(residual(system, step, flat[i])):
                    slope = (x - there[k]) * mpmath.mpf(10) ** 14
                    assert slopes.lo[k, j, i] - 1e-9 <= slope <= slopes.hi[k, j, i] + 1e-9


@pytest.mark.parametrize("name", ["a line", "a plane"])
def test_the_inner_unknowns_lie_within(name):
    system, rng = SYSTEMS[name], np.random.default_rng(2)
    some = some_boxes(system, 0.001)
    found, m = Enclosed(system, some), system.outer
    assert found.known.sum() >= 3
    for i in np.flatnonzero(found.known):
        u = rng.uniform(some.lo[:, i], some.hi[:, i])
        start = found.y[:, i].tolist()
        f = lambda *y, u=u: residual(system, [mpmath.mpf(x) for x in u.tolist()] + list(y))[: system.inner]  # noqa: E731
        y = np.array([float(x) for x in mpmath.findroot(f, start, tol=1e-20)])
        V = found.frame[m:, :, i]
        e = np.linalg.solve(V[:, m:], y - found.y[:, i] - V[:, :m] @ (u - some.middle[:, i]))
        assert (np.abs(e) <= found.reach[:, i] + 1e-9).all()
        assert (found.reach[:, i] < 0.1).all()


def test_what_is_positive():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(3, 3, 200))
    a = a + np.moveaxis(a, 0, 1) + 2 * np.eye(3)[..., None]
    least = np.linalg.eigvalsh(np.moveaxis(a, 2, 0))[:, 0]
    found = positive(Interval(a - 1e-3, a + 1e-3))
    assert found[least > 0.1].all()
    assert found.any()
    assert not found[least < 3e-3].any()


def test_inner_solutions_that_are_not_positive(monkeypatch):
    """Above the threshold there are such solutions, known in the flat form alone: they belong to no critical point."""
    system, u = System((1,) * 4, 0.3, 0.3, None), np.array([[0.6], [0.3]])
    some = Boxes(u - 1e-4, u + 1e-4, -8 * first_guess(system))
    found = Enclosed(system, some)
    assert found.y[-1, 0] < -0.1
    assert found.known[0]
    assert found.empty()[0]
    monkeypatch.setattr(enclosed, "flat_where", lambda jet: np.zeros(1, bool))
    assert not Enclosed(system, some).known[0]


ORACLES = {
    "equal counts": Problem.balanced(4, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False),
    "unequal counts": Problem((2, 1, 1, 3), 2, 0.07, 0.1, bias=False),
    "smoothed": Problem((1, 1, 2, 2), 1, 0.1, 0.05, bias=False, loss=ufm.losses.LabelSmoothing(0.2)),
    "with a bias": Problem((1, 2, 1, 3), 2, 0.1, 0.07, lambda_b=0.1),
    "smoothed, with a free bias": Problem((1, 1, 2, 3), 1, 0.1, 0.1, lambda_b=0.0, loss=ufm.losses.LabelSmoothing(0.1)),
}


def gradients(problem: Problem, *point: np.ndarray) -> list[np.ndarray]:
    """f and its gradients by W (K, d), H (K, d) and b (K,): torch's own loss and autograd."""
    W, H, b = variables = [torch.tensor(x, requires_grad=True) for x in point]
    counts = torch.tensor(problem.class_counts)
    labels, smoothing = torch.arange(len(counts)).repeat_interleave(counts), getattr(problem.loss, "smoothing", 0.0)
    f = torch.nn.functional.cross_entropy((H @ W.T + b)[labels], labels, label_smoothing=smoothing)
    f = f + problem.lambda_w / 2 * (W**2).sum() + problem.lambda_h / 2 * (counts * (H**2).sum(1)).sum()
    f = f + problem.lambda_b / 2 * ((b - b.mean()) ** 2).sum()
    return [x.numpy() for x in (f.detach(), *torch.autograd.grad(f, variables))]


@pytest.mark.parametrize("name", ORACLES)
def test_minimisers_are_zeros(name):
    """Of f over W of d columns, found by descent: critical points of rank d."""
    problem, rng = ORACLES[name], np.random.default_rng(4)
    K, d = problem.num_classes, problem.dim

    def f(x):
        W, H, b = np.split(x, [K * d, 2 * K * d])
        value, *slopes = gradients(problem, W.reshape(K, d), H.reshape(K, d), b if problem.bias else 0 * b)
        return value, np.concatenate([x.ravel() for x in slopes[: 2 + problem.bias]] + [0 * b] * (not problem.bias))

    x = minimize(f, rng.normal(size=2 * K * d + K), jac=True, method="BFGS", options={"gtol": 1e-11}).x
    W, H, b = (torch.tensor(part) for part in np.split(x, [K * d, 2 * K * d]))
    regions = [sought.region for sought in work.Work(problem, Listed([]), None, True).sought]
    at = place(problem, Listed([], d, Listed([], d, None, W.view(K, d), H.view(K, d), b)), regions)
    value = Jet(at.region.system, at.u[:, None], at.y[:, None]).value
    assert np.abs(at.y).max() > 0.5
    assert np.abs(value).max() < 1e-7 * np.abs(at.y).max() ** 2


@dataclass
class Listed:
    """What is looked at of an atlas, of a critical point, and of a point."""

    points: list
    rank: int = 0
    point: Any = None
    W: Any = None
    H: Any = None
    b: Any = None


@pytest.mark.parametrize("name", ORACLES)
def test_what_the_equations_say_of_a_range(name):
    """At the inner solution H's and b's gradients vanish, and W's within its range; D is the rest of it."""
    problem, rng = ORACLES[name], np.random.default_rng(5)
    system = work.Work(problem, Listed([]), None, True).sought[-1].region.system
    problem = replace(problem, class_counts=system.counts)
    u = np.sort(rng.uniform(0.2, 0.8, (system.outer, 1)), 0)[::-1]
    jet = Jet(system, u, inner_solution(system, u, first_guess(system)))
    inside, outside = (x[..., 0] for x in system.frames(u))
    inside = inside - inside.mean(0)
    scale = sum(system.counts) * system.lambda_h
    W = np.sqrt(scale) * inside @ np.linalg.cholesky(jet.a[..., 0])
    H = jet.zeta[..., 0] @ inside.T @ np.linalg.pinv(W.T)
    b = jet.beta[:, 0] - jet.beta[:, 0].mean() if problem.bias else np.zeros(system.K)
    _, by_W, by_H, by_b = gradients(problem, W, H, b)
    assert np.abs(by_H).max() < 1e-9
    assert np.abs(inside.T @ by_W).max() < 1e-9
    assert np.abs(by_b).max() * problem.bias < 1e-9
    D = -outside.T @ by_W @ W.T @ inside @ np.linalg.inv(inside.T @ inside)
    assert np.abs(D).max() > 1e-3
    assert np.allclose(jet.value[system.inner :, 0], D.T.ravel(), atol=1e-9)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_checkers_own_equations(name, flat):
    system, rng = SYSTEMS[name], np.random.default_rng(6)
    u, y = np.sort(rng.uniform(0.1, 0.9, system.outer))[::-1], rng.normal(size=system.inner)
    bias = {"bias": False} if system.lambda_b is None else {"lambda_b": system.lambda_b}
    problem = Problem(system.counts, 2, system.lambda_w, system.lambda_h, **bias)
    c = Unknowns(problem, list(system.counts), system.smoothing, system.rank)
    place = [mpmath.mpf(x) for x in (*u, *y)]
    h, (_, rough) = mpmath.mpf(10) ** -14, c.linear_at(np.array([*u, *y]), flat)
    with trees.precision(), mpmath.workdps(30):
        exact = [arb(x) for x in (*u.tolist(), *y.tolist())]
        zeta, beta = y[: c.logits].reshape(c.K, -1), np.append(y[c.linear :], np.zeros(1 if c.biased else c.K))
        z = zeta @ np.array(c.frames(u.tolist(), 1.0)[0]).T + beta
        gaps = [[arb(row[j] - row[i], 1e-14) for j, i in c.pairs] for row in z]
        there = Equations(c, exact[: c.m], exact[c.m :], gaps, flat)
        value, slopes = there.value(), there.slopes(Frame(c, np.eye(c.size)))
        at = residual(system, place, flat)
        assert len(value) == len(at)
        for k, x in enumerate(at):
            assert abs(float(value[k].mid()) - x) < 1e-12
            assert value[k].rad() < 1e-12
        for j in range(len(place)):
            moved = residual(system, [x + (a == j) * h for a, x in enumerate(place)], flat)
            for k, x in enumerate(moved):
                assert abs(float(slopes[k, j].mid()) - (x - at[k]) / h) < 1e-9
                assert abs(rough[k, j] - (x - at[k]) / h) < 1e-6


def test_differences_of_biases_are_enclosed():
    """They are not exact in doubles: rounded to the nearest, 1 - 2^-60 would be 1."""
    system = SYSTEMS["a plane, with a bias"]
    one, V = np.zeros((system.outer, 1)), np.zeros((system.outer + system.inner, 1, 1))
    V[-3:, 0, 0] = 1.0, 2.0**-60, 0.0
    jet = Jet(system, Interval(one, one), Interval(np.zeros((system.inner, 1)), np.zeros((system.inner, 1))))
    found = jet.turned(V)[-1][0, 0, 0]
    assert Fraction(found.lo[0]) <= 1 - Fraction(1, 2**60) <= Fraction(found.hi[0])
    assert found.lo[0] < 1 <= found.hi[0]


def proved(problem: Problem, atlas, file: Path) -> work.Work:
    found = work.Work(problem, atlas, file, True)
    found.begin()
    found.search(1, None)
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    file = tmp_path_factory.mktemp("certificates") / "three.json"
    assert proved(THREE, atlas(THREE), file).boxes > 50
    return file


def test_proved_and_checked(certificate):
    found = check(certificate)
    assert found.holds, found.statement
    assert f"exactly {len(atlas(THREE).points)} critical points" in found.statement


def test_small_decays(tmp_path):
    """Logits of 20 and a near 10^4, from where Newton's method must not fall to the zero at a = 0."""
    problem = Problem.balanced(3, 1, 1, lambda_w=2e-3, lambda_h=2e-3, bias=False)
    assert proved(problem, atlas(problem), tmp_path / "c.json").by_rank[1] == 3
    assert check(tmp_path / "c.json").holds


def search(data):
    return data["searches"][0]


def with_point(data):
    return next(piece for piece in search(data)["pieces"] if "a" in piece["codes"] and piece["cuts"])


def without_piece(data):
    search(data)["pieces"].pop()


def without_tree(data):
    search(data)["pieces"][1] = None


def without_box(data):
    with_point(data)["codes"] = with_point(data)["codes"][:-1]


def box_not_cut(data):
    with_point(data).update(codes="x", cuts=[])


def cut_outside(data):
    with_point(data)["cuts"][0] = -1.0


def mirrored_leaf(data):
    with_point(data).update(codes="m", cuts=[])


def ordered_leaf(data):
    with_point(data).update(codes="o", cuts=[])


def point_without_its_box(data):
    piece = with_point(data)
    piece["codes"] = piece["codes"].replace("a", "x")


def box_of_no_point(data):
    search(data)["points"][0].update(lo=[0.3], hi=[0.301])


def point_twice(data):
    search(data)["points"].append(search(data)["points"][0])
    data["ranks"]["1"] += 1


def single_at(system: System, u: float) -> tuple[np.ndarray, np.ndarray]:
    """A box about u that holds one critical point."""
    y = inner_solution(system, np.array([[u]]), first_guess(system))[:, 0]
    return single(system, np.array([u]), y, 1e-2)


def point_in_another_order(data):
    """(1, 1/2, 0) spans the line of (2, 1, 0): with the first two classes exchanged, u_2 is 2."""
    assert any(point["lo"][0] < 0.5 < point["hi"][0] for point in search(data)["points"])
    lo, hi = single_at(System((2, 2, 2), 0.1, 0.05, None), 2.0)
    search(data)["points"].append({"lo": lo.tolist(), "hi": hi.tolist()})
    data["ranks"]["1"] += 1


def half_region(data):
    search(data)["edges"][0].pop()
    search(data)["pieces"].pop()


def without_search(data):
    data["searches"] = []


def other_numbers(data):
    data["ranks"]["2"] = 1


def other_decay(data):
    """Where there is one point more: at half the decay the same certificate holds."""
    data["problem"]["lambda_w"] *= 1e-4


def imbalance(data):
    data["problem"]["per_class"] = [2, 2, 3]


def with_a_bias(data):
    data["problem"]["bias"] = True


def nonsense(data):
    search(data)["pieces"][0]["codes"] = "?"


PLANTED = [
    *(without_piece, without_tree, without_box, box_not_cut, cut_outside, mirrored_leaf, ordered_leaf, nonsense),
    *(point_without_its_box, box_of_no_point, point_twice, point_in_another_order, half_region, without_search),
    *(other_numbers, other_decay, imbalance, with_a_bias),
]


@pytest.mark.parametrize("plant", PLANTED)
def test_planted_errors_are_caught(plant, certificate, tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "DEPTH", SHALLOW)
    data = json.loads(certificate.read_text())
    plant(data)
    refused(data, tmp_path)


BROAD = {
    "unequal counts": Problem((1, 2, 1), 2, 0.2, 0.2, bias=False),
    "a bias, smoothed": Problem((2, 1, 2), 2, 0.22, 0.22, lambda_b=0.5, loss=ufm.losses.LabelSmoothing(0.1)),
}


@pytest.fixture(scope="module")
def broad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name, problem in BROAD.items():
        assert proved(problem, atlas(problem), folder / name).boxes > 50
    return folder


@pytest.mark.parametrize("name", BROAD)
def test_proved_and_checked_where_classes_differ(name, broad):
    found = check(broad / name)
    assert found.holds, found.statement
    assert f"exactly {len(atlas(BROAD[name]).points)} critical points" in found.statement


def searches_exchanged(data):
    one, other = data["searches"]
    one["counts"], other["counts"] = other["counts"], one["counts"]


def search_twice(data):
    data["searches"][1] = data["searches"][0]


def search_left_out(data):
    data["searches"].pop()


def of_another_rank(data):
    data["searches"][0]["rank"] = 2


def mirrored_where_it_is_not(data):
    lopsided = next(part for part in data["searches"] if part["counts"] == [2, 1, 1])
    lopsided["pieces"][-1].update(codes="m", cuts=[])


def point_in_an_order_of_equal_classes(data):
    """Classes of equal count exchanged: (1, u, 0) and (1, 0, u) are one, and this is (1, -u/(1 - u), 0)."""
    part = next(part for part in data["searches"] if part["counts"] == [2, 1, 1])
    lo, hi = part["points"][0]["lo"][0], part["points"][0]["hi"][0]
    lo, hi = single_at(System((2, 1, 1), 0.2, 0.2, None), -(lo + hi) / (2 - lo - hi))
    part["points"].append({"lo": lo.tolist(), "hi": hi.tolist()})
    data["ranks"]["1"] += 1


def none_of_rank_two(data):
    data["ranks"]["2"] = 0


def other_counts(data):
    data["problem"]["per_class"] = [1, 3, 1]


def other_smoothing(data):
    data["problem"]["loss"]["smoothing"] = 0.4


def other_loss(data):
    data["problem"]["loss"] = ufm.losses.MeanSquare().to_plain()


PLANTED_IN = [
    *(("unequal counts", plant) for plant in (searches_exchanged, search_twice, search_left_out, of_another_rank)),
    *(("unequal counts", plant) for plant in (mirrored_where_it_is_not, point_in_an_order_of_equal_classes)),
    *(("unequal counts", plant) for plant in (other_counts, none_of_rank_two)),
    *(("a bias, smoothed", plant) for plant in (other_smoothing, other_loss)),
]


@pytest.mark.parametrize(("name", "plant"), PLANTED_IN)
def test_planted_errors_are_caught_where_classes_differ(name, plant, broad, tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "DEPTH", SHALLOW)
    data = json.loads((broad / name).read_text())
    plant(data)
    refused(data, tmp_path)


WRONG = {"weights": {"counts": (2, 4, 1)}, "targets": {"smoothing": 0.3}, "bias": {"lambda_b": 0.3}}


@pytest.mark.parametrize("error", WRONG)
def test_the_checker_sees_what_a_wrong_system_does_not(error, monkeypatch):
    """Boxes about a critical point that are empty in a system with one thing wrong."""
    monkeypatch.setattr(trees, "DEPTH", SHALLOW)
    monkeypatch.setattr(search_of_boxes, "SMALLEST", 1e-5)
    problem = Problem((1, 2, 4), 1, 0.1, 0.1, lambda_b=0.05, loss=ufm.losses.LabelSmoothing(0.1))
    system = System((4, 1, 2), 0.1, 0.1, 0.05, 0.1)
    sides = np.array([0.353]), np.array([0.357])
    none = np.zeros((0, 1)), np.zeros((0, 1))
    assert Task(Region(system), *sides, none, 1000).run().stuck
    piece = Task(Region(replace(system, **WRONG[error])), *sides, none, 1000).run()
    assert set(piece.codes) <= {"0", "x"}
    tree = checker.RangeTree(
        0, False, [], ((0.353,), (0.357,)), piece.codes, list(piece.cuts), problem, [4, 1, 2], 0.1, 1
    )
    assert "is not what its leaf 'x' says" in tree.run()[2]


def test_a_point_removed_from_the_atlas():
    whole = atlas(THREE)
    for rank, where in ((1, "misses a critical point of rank 1, at u"), (0, "0 points of rank 0")):
        less = tuple(p for p in whole.points if p is not next(q for q in whole.points if q.rank == rank))
        with pytest.raises(NotProved, match=where) as failure:
            proved(THREE, replace(whole, points=less), None)
        assert failure.value.missing


def test_a_point_listed_twice(monkeypatch):
    monkeypatch.setattr("ufm.completeness.listed.WIDEST", 1e-5)
    whole = atlas(THREE)
    twice = (*whole.points, next(p for p in whole.points if p.rank == 1))
    with pytest.raises(NotProved, match="not proved to differ"):
        proved(THREE, replace(whole, points=twice), None)


def test_goes_on_where_it_was_stopped(certificate, tmp_path, monkeypatch):
    file, seen = tmp_path / "c.json", []
    monkeypatch.setattr("ufm.completeness.work.EVERY", 0.0)

    def stop(done, *_):
        seen.append(done)
        if done == 2:
            raise KeyboardInterrupt

    def begun():
        found = work.Work(THREE, atlas(THREE), file, False)
        found.begin()
        return found

    with pytest.raises(KeyboardInterrupt):
        begun().search(1, stop)
    assert not check(file).holds
    begun().search(1, lambda *at: seen.append(at[0]))
    assert seen == list(range(1, seen[-1] + 1))
    assert json.loads(file.read_text())["searches"] == json.loads(certificate.read_text())["searches"]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"problem": FOUR.settings()}))
    with pytest.raises(InputError, match="another problem or list"):
        begun()
    file.write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        begun()


CORNER = ((0.9375, 0.0), (1.0, 0.0625))  # about the point whose range is spanned by (1, 1, -1, -1) and its like


def corner(sought: work.Sought) -> Task:
    lo, hi = (np.array(end) for end in CORNER)
    return replace(sought.task(0), lo=lo, hi=hi)


@pytest.fixture(scope="module")
def plane():
    """The four points of rank 2 at K = 4."""
    region = Region(SYSTEMS["a plane"])
    boxes = [place(FOUR, p, [region]).box(0.1) for p in atlas(FOUR).points if p.rank == 2]
    assert len(boxes) == 4
    return work.Sought(region, boxes)


def test_a_cell_of_rank_two(plane):
    piece = corner(plane).run()
    letter = next(code for code in piece.codes if code in "abcd")
    points = trees.listed_boxes(plane.plain())

    def gone_through(codes):
        return checker.RangeTree(0, True, points, CORNER, codes, list(piece.cuts), FOUR, [1] * 4, 0.0, 2).run()

    leaves, _, fails = gone_through(piece.codes)
    assert leaves == sum(not code.isdigit() for code in piece.codes) > 10
    assert not fails
    assert "is not what its leaf 'x' says" in gone_through(piece.codes.replace(letter, "x"))[2]
    assert "boxes are left out" in gone_through(piece.codes[:-1])[2]


def test_a_point_of_rank_two_removed(plane):
    less = replace(plane, points=[(lo, hi) for lo, hi in plane.points if lo[0] < 0.9])
    assert len(less.points) == 3
    failure = less.lost(np.array(corner(less).run().stuck))
    assert failure.missing
    assert "misses a critical point of rank 2, at u = [1.0, " in str(failure)


def test_above_the_threshold_there_is_the_origin_alone(tmp_path):
    problem = Problem.balanced(4, 1, 3, lambda_w=0.3, lambda_h=0.3, bias=False)
    found = prove_complete(problem, atlas=atlas(problem), file=tmp_path / "c.json")
    assert found.proved
    assert found.boxes == 0
    assert "exactly 1 critical point: 1 of rank 0" in check(tmp_path / "c.json").statement


def test_the_checker_is_independent_and_short():
    for name, (here, above) in CHECKER.items():
        source = Path(work.__file__).with_name(f"{name}.py").read_text()
        imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        by_level = [{node.module for node in imported if node.level == level} for level in (1, 2, 3)]
        assert by_level[0] == here
        assert by_level[1] == above
        assert by_level[2] <= {"problem"}
        assert len(source.splitlines()) <= 300


CHECKER = {
    "check": ({"local", "lowest", "unknowns"}, {"local", "lowest", "trees"}),
    "lowest": ({"local", "unknowns"}, {"local", "lowest", "trees"}),
    "local": ({"equations", "unknowns"}, {None, "local", "trees"}),
    "equations": ({"unknowns"}, set()),
    "unknowns": (set(), {"local"}),
}
