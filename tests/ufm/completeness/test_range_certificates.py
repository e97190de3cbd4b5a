"""Searches over ranges: proofs and their checks, planted errors caught."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ufm
from tests.ufm.completeness.planted import SHALLOW, refused
from tests.ufm.completeness.ranged import FOUR, SYSTEMS, THREE, atlas
from ufm import Problem, prove_complete
from ufm.completeness import search as search_of_boxes
from ufm.completeness import trees
from ufm.completeness.check import check
from ufm.completeness.ranges import check as checker
from ufm.completeness.ranges import work
from ufm.completeness.ranges.inner import first_guess, inner_solution
from ufm.completeness.ranges.listed import place
from ufm.completeness.ranges.region import Region
from ufm.completeness.ranges.search import Task, single
from ufm.completeness.ranges.system import System
from ufm.completeness.work import NotProved
from ufm.errors import InputError


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
