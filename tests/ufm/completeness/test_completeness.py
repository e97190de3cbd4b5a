"""Lists proved complete, their certificates checked, and every planted error caught."""

import ast
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import ufm
from ufm import Problem, prove_complete
from ufm.completeness import completeness
from ufm.completeness.check import check
from ufm.errors import InputError

STRONG = {"lambda_w": 0.16, "lambda_h": 0.2}
PROBLEMS = {
    "K = 2": Problem.balanced(2, 2, 2, **STRONG, bias=False),
    "K = 2, at 0": Problem.balanced(2, 2, 2, lambda_w=1.0, lambda_h=1.0, bias=False),
    "K = 3": Problem.balanced(3, 2, 4, **STRONG, bias=False),
    "K = 3, bias": Problem.balanced(3, 1, 2, lambda_w=0.31, lambda_h=0.31, lambda_b=1.0),
    "K = 3, d = 1": Problem.balanced(3, 1, 1, lambda_w=0.31, lambda_h=0.31, bias=False),
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
    assert found.boxes == sum(len(piece["codes"]) for piece in json.loads(file.read_text())["pieces"])
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.mark.parametrize("name", PROBLEMS)
def test_proved_and_checked(name, folder):
    found = check(certificate(name, folder))
    assert found.holds, found.statement
    assert f"exactly {len(atlas(name).points)} critical points" in found.statement


def without_piece(data):
    data["pieces"].pop()


def without_tree(data):
    data["pieces"][3] = None


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
    piece = next(piece for piece in data["pieces"] if "a" in piece["codes"])
    piece["codes"] = piece["codes"].replace("a", "x")


def box_of_no_point(data):
    data["points"][0].update(lo=[1.0, 0.1], hi=[1.1, 0.12])


def point_twice(data):
    data["points"].append(data["points"][0])
    data["ranks"]["1"] += 1


def small_region(data):
    data["edges"][0].pop()
    cells = len(data["edges"][1]) - 1
    data["pieces"] = data["pieces"][:-cells]


def half_region(data):
    data["edges"][1].pop()
    cells = len(data["edges"][1])
    data["pieces"] = [piece for i, piece in enumerate(data["pieces"]) if i % cells != cells - 1]


def other_numbers(data):
    data["ranks"]["2"] = 2


def other_decay(data):
    data["problem"]["lambda_w"] *= 0.5


def imbalance(data):
    data["problem"]["per_class"] = [2, 2, 3]


def nonsense(data):
    data["pieces"][0]["codes"] = "?"


def _with_cut(data):
    return next(piece for piece in data["pieces"] if piece["cuts"] and "a" in piece["codes"])


PLANTED = [
    *(without_piece, without_tree, without_box, box_not_cut, cut_outside, mirrored_leaf, point_without_its_box),
    *(box_of_no_point, point_twice, small_region, half_region, other_numbers, other_decay, imbalance, nonsense),
]


@pytest.mark.parametrize("plant", PLANTED)
def test_planted_errors_are_caught(plant, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ufm.completeness.check.DEPTH", 4)
    data = json.loads(certificate("K = 3", folder).read_text())
    plant(data)
    (tmp_path / "planted.json").write_text(json.dumps(data))
    found = check(tmp_path / "planted.json")
    assert not found.holds
    assert found.statement.startswith("does not hold")


def test_a_point_removed_from_the_atlas():
    whole = atlas("K = 3")
    for rank, where in ((1, "misses a critical point of rank 1"), (0, "0 points of rank 0"), (2, "0 points of rank 2")):
        less = tuple(p for p in whole.points if p is not next(q for q in whole.points if q.rank == rank))
        found = prove_complete(whole.problem, atlas=replace(whole, points=less))
        assert not found.proved
        assert found.missing
        assert where in found.statement


def test_a_point_listed_twice():
    whole = atlas("K = 3")
    twice = (*whole.points, next(p for p in whole.points if p.rank == 1))
    found = prove_complete(whole.problem, atlas=replace(whole, points=twice))
    assert "not proved to differ" in found.statement


def test_goes_on_where_it_was_stopped(folder, tmp_path, monkeypatch):
    file, seen = tmp_path / "c.json", []
    monkeypatch.setattr(completeness, "EVERY", 0.0)

    def stop(done, pieces, boxes):
        seen.append(done)
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file, on_piece=stop)
    assert not check(file).holds
    whole = prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file, on_piece=lambda *at: seen.append(at[0]))
    assert whole.proved
    assert seen == list(range(1, seen[-1] + 1))
    first = json.loads(certificate("K = 3", folder).read_text())
    assert json.loads(file.read_text())["pieces"] == first["pieces"]
    with pytest.raises(InputError, match="another problem or list"):
        prove_complete(PROBLEMS["K = 3, d = 1"], atlas=atlas("K = 3, d = 1"), file=file)
    file.write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        prove_complete(PROBLEMS["K = 3"], atlas=atlas("K = 3"), file=file)


REFUSED = {
    "4 dimensions": Problem.balanced(5, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False),
    "without a bias only": Problem.balanced(4, 1, 2, lambda_w=0.1, lambda_h=0.1),
    "not balanced": Problem((1, 2, 2), 2, lambda_w=0.1, lambda_h=0.1, bias=False),
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
    source = Path(completeness.__file__).with_name("check.py").read_text()
    imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    assert {node.module for node in imported if node.level == 1} == {"ranges.check", "refused"}
    assert {node.module for node in imported if node.level == 2} <= {
        *("errors", "problem", "results", "results.plain", "storage.files")
    }
    assert len(source.splitlines()) <= 300
