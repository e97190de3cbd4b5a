"""Lists proved complete, their certificates checked, and every planted error caught."""

import ast
import json
import os
import signal
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import ufm
from tests.forked import forked
from tests.ufm.completeness.planted import SHALLOW, refused
from ufm import Problem, prove_complete
from ufm.completeness import trees, work
from ufm.completeness.check import check
from ufm.errors import InputError

STRONG = {"lambda_w": 0.16, "lambda_h": 0.2}
SMOOTHED = ufm.losses.LabelSmoothing(0.1)
PROBLEMS = {
    "K = 2": Problem.balanced(2, 2, 2, **STRONG, bias=False),
    "K = 2, at 0": Problem.balanced(2, 2, 2, lambda_w=1.0, lambda_h=1.0, bias=False),
    "K = 3": Problem.balanced(3, 2, 4, **STRONG, bias=False),
    "K = 3, bias": Problem.balanced(3, 1, 2, lambda_w=0.31, lambda_h=0.31, lambda_b=1.0),
    "K = 3, d = 1": Problem.balanced(3, 1, 1, lambda_w=0.31, lambda_h=0.31, bias=False),
    "K = 2, 1 + 3": Problem((1, 3), 2, **STRONG),
    "K = 2, 1 + 30, at 0": Problem((30, 1), 2, **STRONG, lambda_b=0.01),
    "K = 3, 1 + 1 + 2": Problem((1, 2, 1), 2, lambda_w=0.2, lambda_h=0.2, bias=False),
    "K = 3, 1 + 2 + 4, bias": Problem((2, 1, 4), 2, lambda_w=0.24, lambda_h=0.24, lambda_b=1.0),
    "K = 3, 1 + 1 + 10": Problem((1, 1, 10), 2, lambda_w=0.1, lambda_h=0.1, bias=False),
    "K = 3, smoothed": Problem((1, 2, 2), 2, lambda_w=0.22, lambda_h=0.22, lambda_b=0.5, loss=SMOOTHED),
}


@cache
def atlas(name: str):
    return ufm.explore(PROBLEMS[name], until_quiet=20)


@cache
def certificate(name: str, folder: Path) -> Path:
    file = folder / f"{name}.json"
    found = prove_complete(PROBLEMS[name], atlas=atlas(name), file=file)
    assert found.proved, found.statement
    assert [p.level for p in found.points] == [p.level for p in atlas(name).points]
    orders = json.loads(file.read_text())["orders"]
    assert found.boxes == sum(len(piece["codes"]) for order in orders for piece in order["pieces"])
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.mark.parametrize("name", PROBLEMS)
def test_proved_and_checked(name, folder):
    found = check(certificate(name, folder))
    assert found.holds, found.statement
    assert f"exactly {len(atlas(name).points)} critical point" in found.statement


def without_piece(data):
    data["orders"][0]["pieces"].pop()


def without_tree(data):
    data["orders"][0]["pieces"][3] = None


def without_box(data):
    piece = _with_cut(data)
    piece["codes"] = piece["codes"][:-1]


def box_not_cut(data):
    piece = _with_cut(data)
    piece.update(codes="x", cuts=[])


def cut_outside(data):
    _with_cut(data)["cuts"][0] = -1.0


def mirrored_leaf(data):
    piece = _with_cut(data)
    piece.update(codes="m", cuts=[])


def point_without_its_box(data):
    piece = next(piece for piece in data["orders"][0]["pieces"] if "a" in piece["codes"])
    piece["codes"] = piece["codes"].replace("a", "x")


def box_of_no_point(data):
    data["orders"][0]["points"][0].update(lo=[1.0, 0.1], hi=[1.1, 0.12])


def point_twice(data):
    data["orders"][0]["points"].append(data["orders"][0]["points"][0])
    data["ranks"]["1"] += 1


def point_in_another_order(data):
    """The point with u = (1, 1/2, 0) once more, as (1, 2, 0): a zero of the system, out of the region."""
    point = next(p for p in data["orders"][0]["points"] if p["lo"][1] < 0.5 < p["hi"][1])
    t = (point["lo"][0] + point["hi"][0]) / 2 / 4
    data["orders"][0]["points"].append({"lo": [0.999 * t, 1.998], "hi": [1.001 * t, 2.002]})
    data["ranks"]["1"] += 1


def point_of_negative_t(data):
    data["orders"][0]["points"][0]["lo"][0] = -1.0


def small_region(data):
    order = data["orders"][0]
    order["edges"][0].pop()
    order["pieces"] = order["pieces"][: 1 - len(order["edges"][1])]


def half_region(data):
    order = data["orders"][0]
    order["edges"][1].pop()
    cells = len(order["edges"][1])
    order["pieces"] = [piece for i, piece in enumerate(order["pieces"]) if i % cells != cells - 1]


def order_left_out(data):
    data["orders"].pop()


def order_twice(data):
    data["orders"].append(data["orders"][0])


def other_numbers(data):
    data["ranks"]["2"] = data["ranks"].get("2", 0) + 1


def other_decay(data):
    data["problem"]["lambda_w"] *= 0.5


def imbalance(data):
    data["problem"]["per_class"] = [2, 2, 3]


def nonsense(data):
    data["orders"][0]["pieces"][0]["codes"] = "?"


def _with_cut(data):
    return next(piece for piece in data["orders"][0]["pieces"] if piece["cuts"] and "a" in piece["codes"])


PLANTED = [
    *(without_piece, without_tree, without_box, box_not_cut, cut_outside, mirrored_leaf, point_without_its_box),
    *(box_of_no_point, point_twice, point_in_another_order, point_of_negative_t, small_region, half_region),
    *(order_left_out, order_twice, other_numbers, other_decay, imbalance, nonsense),
]


def orders_exchanged(data):
    one, other = data["orders"]
    one["counts"], other["counts"] = other["counts"], one["counts"]


def orders_of_one_kind(data):
    data["orders"][1] = data["orders"][0]


def mirrored_where_it_is_not(data):
    order = next(order for order in data["orders"] if order["counts"] == [2, 1, 1])
    order["pieces"][-1].update(codes="m", cuts=[])


def half_of_what_is_not_mirrored(data):
    order = next(order for order in data["orders"] if order["counts"] == [2, 1, 1])
    order["edges"][1] = [u / 2 for u in order["edges"][1]]


def other_counts(data):
    data["problem"]["per_class"] = [1, 3, 1]


def none_of_rank_two(data):
    data["ranks"]["2"] = 0


def other_smoothing(data):
    data["problem"]["loss"]["smoothing"] = 0.05


def other_loss(data):
    data["problem"]["loss"] = ufm.losses.MeanSquare().to_plain()


IMBALANCED = [
    *(orders_exchanged, orders_of_one_kind, mirrored_where_it_is_not, half_of_what_is_not_mirrored),
    *(other_counts, none_of_rank_two),
]
PLANTED_IN = [
    *(("K = 3", plant) for plant in PLANTED),
    *(("K = 3, 1 + 1 + 2", plant) for plant in IMBALANCED),
    *(("K = 3, 1 + 1 + 10", plant) for plant in (other_numbers,)),
    *(("K = 3, smoothed", plant) for plant in (other_smoothing, other_loss)),
]


@pytest.mark.parametrize(("name", "plant"), PLANTED_IN)
def test_planted_errors_are_caught(name, plant, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "DEPTH", SHALLOW)
    data = json.loads(certificate(name, folder).read_text())
    plant(data)
    refused(data, tmp_path)


def test_a_point_removed_from_the_atlas():
    whole = atlas("K = 3")
    for rank, where in ((1, "misses a critical point of rank 1"), (0, "0 points of rank 0"), (2, "0 points of rank 2")):
        less = tuple(p for p in whole.points if p is not next(q for q in whole.points if q.rank == rank))
        found = prove_complete(whole.problem, atlas=replace(whole, points=less))
        assert not found.proved
        assert found.missing
        assert where in found.statement


def test_a_point_removed_where_classes_differ():
    whole = atlas("K = 3, 1 + 1 + 2")
    less = tuple(p for p in whole.points if p.rank != 2)
    found = prove_complete(whole.problem, atlas=replace(whole, points=less))
    assert found.missing
    assert "0 points of rank 2, and there are 1" in found.statement


def test_a_point_listed_twice():
    whole = atlas("K = 3")
    twice = (*whole.points, next(p for p in whole.points if p.rank == 1))
    found = prove_complete(whole.problem, atlas=replace(whole, points=twice))
    assert "not proved to differ" in found.statement


def test_goes_on_where_it_was_stopped(folder, tmp_path, monkeypatch):
    file, seen = tmp_path / "c.json", []
    monkeypatch.setattr(work, "EVERY", 0.0)

    def stop(done, pieces, boxes, volume):
        seen.append(done)
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file, on_piece=stop)
    assert not check(file).holds
    whole = prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file, on_piece=lambda *at: seen.append(at[0]))
    assert whole.proved
    assert seen == list(range(1, seen[-1] + 1))
    assert file.read_bytes() == certificate("K = 3", folder).read_bytes()
    with pytest.raises(InputError, match="another problem or list"):
        prove_complete(PROBLEMS["K = 3, d = 1"], atlas=atlas("K = 3, d = 1"), file=file)
    file.write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file)


def stuck(file):
    def on_piece(done, *_):
        if done == 9:
            time.sleep(600)

    prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file, on_piece=on_piece)


def test_nothing_is_lost_to_kill_9(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "EVERY", 0.0)
    file, whole, seen = tmp_path / "c.json", certificate("K = 3", folder), []
    with forked(stuck, file) as process:
        while not file.is_file() or pieces_of(file)[:9].count(None):
            assert process.is_alive()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert pieces_of(file)[9:] == [None] * len(pieces_of(whole)[9:])
    prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file, on_piece=lambda *at: seen.append(at))
    assert [done for done, *_ in seen] == list(range(10, len(pieces_of(whole)) + 1))
    assert seen[-1][-1] == pytest.approx(1)
    assert file.read_bytes() == whole.read_bytes()


def pieces_of(file) -> list:
    return json.loads(file.read_text())["orders"][0]["pieces"]


REFUSED = {
    "4 dimensions": Problem.balanced(5, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False),
    "4, 3 dimensions": Problem((1, 1, 2, 2, 2), 3, lambda_w=0.1, lambda_h=0.1),
    "cross-entropy": Problem.balanced(3, 1, 2, lambda_w=0.1, lambda_h=0.1, loss=ufm.losses.MeanSquare()),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusals(reason):
    found = prove_complete(REFUSED[reason])
    assert not found.proved
    assert not found.missing
    assert reason in found.reason


def test_what_is_no_certificate(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InputError, match="no certificate"):
        check(tmp_path / "a.json")
    with pytest.raises(InputError, match="jobs"):
        prove_complete(PROBLEMS["K = 2"], jobs=0)


def test_the_checker_is_independent_and_short():
    for name, of_its_own in CHECKER.items():
        source = Path(work.__file__).with_name(f"{name}.py").read_text()
        imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        assert {node.module for node in imported if node.level == 1} == of_its_own
        assert {node.module for node in imported if node.level == 2} <= {
            *("errors", "problem", "results", "results.plain", "spread", "storage.files")
        }
        assert len(source.splitlines()) <= 300


CHECKER = {
    "check": {"local", "lowest", "ranges.check", "trees"},
    "lowest": {"local"},
    "local": {"trees"},
    "trees": set(),
}
