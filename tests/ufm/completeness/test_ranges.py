"""Searches over ranges: the system against mpmath and the atlas, proofs and their checks, planted errors caught."""

import ast
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest

import ufm
from tests.ufm.completeness.planted import SHALLOW, refused
from ufm import Problem, prove_complete
from ufm.completeness import trees
from ufm.completeness.boxes import Boxes
from ufm.completeness.check import check
from ufm.completeness.intervals import Interval
from ufm.completeness.ranges import check as checker
from ufm.completeness.ranges import enclosed, listed, work
from ufm.completeness.ranges.enclosed import Enclosed, positive
from ufm.completeness.ranges.inner import first_guess, inner_solution
from ufm.completeness.ranges.listed import coordinates
from ufm.completeness.ranges.region import Region
from ufm.completeness.ranges.search import Task, single
from ufm.completeness.ranges.system import Jet, System
from ufm.completeness.work import NotProved
from ufm.errors import InputError

THREE = Problem.balanced(3, 2, 1, lambda_w=0.1, lambda_h=0.05, bias=False)
FOUR = Problem.balanced(4, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False)
SYSTEMS = {
    "a line": System(4, 2, 1, 0.1, 0.05),
    "a plane": System(4, 1, 2, 0.1, 0.1),
    "of K = 5": System(5, 1, 3, 0.1, 0.1),
}


@cache
def atlas(problem: Problem):
    return ufm.explore(problem, until_quiet=20)


def residual(system: System, place: list) -> list:
    """(R, C, D) in mpmath, from their definitions."""
    K, r, mp = system.K, system.rank, mpmath
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
    kappa = K * system.n * mp.mpf(system.lambda_w) * mp.mpf(system.lambda_h)
    centred = inside.copy()
    for j in range(r):
        mean = mp.fsum(inside[:, j]) / K
        for i in range(K):
            centred[i, j] -= mean
    R, C, D = [], -kappa * a * centred.T * centred * a, mp.matrix(r, K - 1 - r)
    for k in range(K):
        e = [mp.exp(z) for z in inside * zeta[k]]
        q = mp.matrix([(j == k) - e[j] / mp.fsum(e) for j in range(K)])
        R += list(zeta[k] - a * (inside.T * q))
        C += zeta[k] * zeta[k].T / K
        D += zeta[k] * (outside.T * q).T / K
    return [*R, *(C[i, j] for i in range(r) for j in range(i, r)), *D]


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
    jet = Jet(system, Interval(some.lo, some.hi), Interval(y - 0.1, y + 0.1))
    value, slopes = jet.value, jet.jacobian
    with mpmath.workdps(30):
        for i in range(len(some)):
            place = [mpmath.mpf(x) for x in rng.uniform(lo[:, i], hi[:, i]).tolist()]
            there = residual(system, place)
            assert all(value.lo[k, i] <= x <= value.hi[k, i] for k, x in enumerate(there))
            for j in range(0, len(place), 2):
                step = [x + (a == j) * mpmath.mpf(10) ** -14 for a, x in enumerate(place)]
                for k, x in enumerate(residual(system, step)):
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


def test_inner_solutions_that_are_not_positive_are_not_known(monkeypatch):
    """Above the threshold there are such solutions: they belong to no critical point."""
    system, u = System(4, 1, 1, 0.3, 0.3), np.array([[0.6], [0.3]])
    some = Boxes(u - 1e-4, u + 1e-4, -8 * first_guess(system))
    found = Enclosed(system, some)
    assert found.y[-1, 0] < -0.1
    assert not found.known[0]
    monkeypatch.setattr(enclosed, "positive", lambda a: np.ones(a.shape[-1], bool))
    assert Enclosed(system, some).known[0]


@pytest.mark.parametrize("rank", [1, 2])
def test_critical_points_are_the_zeros(rank):
    """At the range of a listed point the inner solution is its W W^T/(N lH), and D vanishes."""
    system = System(4, 1, rank, 0.1, 0.1)
    points = [p for p in atlas(FOUR).points if p.rank == rank]
    assert len(points) == {1: 5, 2: 4}[rank]
    for point in points:
        u = coordinates(point, rank)[:, None]
        assert (np.diff(u[:, 0]) <= 1e-12).all()
        assert u.sum() <= 1 + 1e-12
        jet = Jet(system, u, inner_solution(system, u, first_guess(system)))
        assert np.abs(jet.value).max() < 1e-9
        W = point.point.W.numpy()
        there = np.linalg.eigvals(jet.a[..., 0] @ jet.gram[..., 0] / float(system.kappa.lo))
        assert np.allclose(np.sort(there), np.linalg.svd(W / np.sqrt(0.4))[1][:rank][::-1] ** 2, rtol=1e-6)


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


def point_in_another_order(data):
    """(1, 1/2, 0) spans the line of (2, 1, 0): with the first two classes exchanged, u_2 is 2."""
    assert any(point["lo"][0] < 0.5 < point["hi"][0] for point in search(data)["points"])
    lo, hi = single(System(3, 2, 1, 0.1, 0.05), np.array([2.0]), 1e-3)
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


def test_a_point_removed_from_the_atlas():
    whole = atlas(THREE)
    for rank, where in ((1, "misses a critical point of rank 1, at u"), (0, "0 points of rank 0")):
        less = tuple(p for p in whole.points if p is not next(q for q in whole.points if q.rank == rank))
        with pytest.raises(NotProved, match=where) as failure:
            proved(THREE, replace(whole, points=less), None)
        assert failure.value.missing


def test_a_point_listed_twice(monkeypatch):
    monkeypatch.setattr(listed, "WIDEST", 1e-5)
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
    points = [coordinates(p, 2) for p in atlas(FOUR).points if p.rank == 2]
    found = work.Sought(Region(System(4, 1, 2, 0.1, 0.1)), listed=points)
    found.begin()
    assert len(found.points) == 4
    return found


def test_a_cell_of_rank_two(plane):
    piece = corner(plane).run()
    letter = next(code for code in piece.codes if code in "abcd")
    points = trees.listed_boxes(plane.plain())

    def gone_through(codes):
        return checker.RangeTree(0, True, points, CORNER, codes, list(piece.cuts), FOUR, 2).run()

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
    for name, here in (("check", {"local"}), ("local", set())):
        source = Path(work.__file__).with_name(f"{name}.py").read_text()
        imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        by_level = [{node.module for node in imported if node.level == level} for level in (1, 2, 3)]
        assert by_level[0] <= here
        assert by_level[1] <= {"trees"}
        assert by_level[2] <= {"problem"}
        assert len(source.splitlines()) <= 300
