"""Every result goes to plain data, through JSON, and back to what it was."""

import dataclasses
import json
import math
from enum import Enum
from typing import NamedTuple

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, random_point
from ufm import InputError, PointVerdict, Status
from ufm.atlas import explore
from ufm.results import Estimate, Result, from_plain, plain
from ufm.solvers.critical import origin
from ufm.spectra import Spectrum
from ufm.theorems import THEOREMS
from ufm.traps import survey
from validate import compare, generalized_collapse, last_layer, locate, neural_collapse, theorems

PROBLEM = PROBLEMS["balanced"]
PLANE = ufm.Problem.balanced(3, 2, 2, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)


def comparison():
    point = ufm.minimize(PLANE).point
    return compare(point, PLANE.labels, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)


def with_a_point_off():
    atlas = explore(PLANE, until_quiet=20)
    off = ufm.certify(PLANE, random_point(PLANE))
    first = dataclasses.replace(atlas.points[0], index=None, nullity=None, lambda_min=None, certificate=off)
    return dataclasses.replace(atlas, points=(first, *atlas.points[1:]))


RESULTS = {
    "certificate of a saddle": lambda: ufm.certify(PROBLEM, origin(PROBLEM)),
    "certificate of another point": lambda: ufm.certify(PROBLEM, random_point(PROBLEM)),
    "lower bound": lambda: ufm.lower_bound(PROBLEM, random_point(PROBLEM)),
    "infinite bound": lambda: dataclasses.replace(ufm.lower_bound(PROBLEM, random_point(PROBLEM)), value=-math.inf),
    "spectrum": lambda: ufm.spectrum(PROBLEM),
    "ends": lambda: ufm.spectrum(PROBLEM, random_point(PROBLEM), k=2),
    "solution": lambda: ufm.minimize(PLANE),
    "proof": lambda: ufm.prove(PROBLEM, ufm.global_minimizer(PROBLEM)),
    "refusal": lambda: ufm.prove(PROBLEM, random_point(PROBLEM)),
    "atlas": lambda: explore(PLANE, until_quiet=20, connect=True),
    "atlas with a point that is not critical": with_a_point_off,
    "cell": lambda: survey(PLANE, starts=3),
    "comparison": comparison,
    "neighbourhood": lambda: locate(comparison()),
    "theorems": lambda: theorems(comparison()),
    "metrics": lambda: neural_collapse(ufm.global_minimizer(PROBLEM), PROBLEM.labels),
    "sampled metrics": lambda: neural_collapse(random_point(PROBLEM), PROBLEM.labels, rows=3),
    "last layer": lambda: last_layer(random_point(PROBLEM), PROBLEM.labels),
    "generalised collapse": lambda: generalized_collapse(random_point(PROBLEM), PROBLEM.labels),
}


def same(one, other) -> bool:
    """Equal to the last bit, NaN to NaN, types included; fields that plain data leave out are not compared."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if dataclasses.is_dataclass(one):
        fields = [field.name for field in dataclasses.fields(one) if not field.metadata.get("omitted")]
        return type(one) is type(other) and all(same(getattr(one, f), getattr(other, f)) for f in fields)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and type(one) is type(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, Estimate):
        return float(one) == float(other) and same(float(one.error), float(other.error))
    return one == other and isinstance(other, type(one))


@pytest.mark.parametrize("name", RESULTS)
def test_results_come_back(name):
    result = RESULTS[name]()
    text = json.dumps(result.plain(), allow_nan=False)
    again = type(result).from_plain(json.loads(text))
    assert same(result, again)
    assert json.dumps(again.plain(), allow_nan=False) == text


def test_a_difference_is_seen():
    one = ufm.spectrum(PROBLEM)
    assert not same(one, dataclasses.replace(one, values=one.values + 1e-15))
    assert not same(Estimate(1.0, 0.1), Estimate(1.0, 0.2))


def test_words_say_what_they_mean():
    for word in (*PointVerdict, *Status):
        assert word.meaning.endswith(".")
        assert word == str(word) == f"{word}" == json.loads(json.dumps(word))
    for word in (Status.FAILS, Status.INCONCLUSIVE, PointVerdict.NOT_CRITICAL, PointVerdict.NOT_PROVED):
        assert word.remedy.endswith(".")


def test_verdicts_are_words():
    assert ufm.certify(PROBLEM, origin(PROBLEM)).verdict is PointVerdict.STRICT_SADDLE
    verdict = ufm.theorems.judge(THEOREMS[0], PROBLEM, ufm.theorems.Evidence(PROBLEM, starts=1))
    assert verdict.status is Status.HOLDS


class Pair(NamedTuple):
    first: int
    second: float | None


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Thing(Result):
    pairs: tuple[Pair, ...]
    named: dict[int, Colour]
    keyed: dict[tuple[int, ...], str]
    some: frozenset[int]
    left_out: str = dataclasses.field(default="", metadata={"omitted": True})


def test_every_kind_of_field():
    thing = Thing((Pair(1, None), Pair(2, 0.5)), {3: Colour.RED}, {(1, 2): "a", (): "b"}, frozenset({2, 1}), "secret")
    found = json.loads(json.dumps(thing.plain()))
    assert "left_out" not in found
    assert Thing.from_plain(found) == dataclasses.replace(thing, left_out=None)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        *[(int, 1.5), (int, True), (float, "much"), (float, True), (float, 10**400), (bool, 1), (str, 2)],
        *[(PointVerdict, "saddle"), (torch.Tensor, 3), (torch.Tensor, [None]), (torch.Tensor, [{}])],
        *[(torch.Tensor, [True]), (torch.Tensor, [[1.0], [10**400]]), (torch.Tensor, [10**25])],
        *[(torch.Tensor, {"dtype": "float32"}), (torch.Tensor, {"dtype": "load", "values": [1.0]})],
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_does_not_fit_is_refused(kind, data):
    with pytest.raises(InputError, match="write it again"):
        from_plain(kind, data)


def test_plain_numbers_stay():
    assert plain([1, 0.5, math.inf, math.nan, None, "a"]) == [1, 0.5, "inf", None, None, "a"]


@pytest.mark.parametrize(
    "changed", [{"num_classes": 10**25}, {"lambda_w": 10**400}, {"dim": None}], ids=lambda c: next(iter(c))
)
def test_a_problem_out_of_reach_is_refused(changed):
    with pytest.raises(InputError):
        from_plain(ufm.Problem, plain(PROBLEM) | changed)


@pytest.mark.parametrize("bias", [None, [], "x", 1.5, 1])
def test_a_bias_is_yes_or_no(bias):
    with pytest.raises(InputError, match="write it again"):
        from_plain(ufm.Problem, plain(PROBLEM) | {"bias": bias})


@pytest.mark.parametrize(
    "changed",
    [{"multiplicities": [1]}, {"multiplicities": [1.5, math.inf]}, {"multiplicities": [0, 1]}, {"values": [True, 1.0]}],
    ids=str,
)
def test_a_spectrum_counts_its_values(changed):
    found = {"values": [0.5, 1.5], "multiplicities": [1, 2], "tolerance": 0.1, "num_variables": 3, "method": "blocks"}
    assert Spectrum.from_plain(found).size == 3
    with pytest.raises(InputError):
        Spectrum.from_plain(found | changed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32, torch.bool, torch.float64, torch.int64])
def test_tensors_keep_their_dtype(dtype):
    tensor = torch.tensor([[0.1, 1.0, 0.0]]).to(dtype)
    again = from_plain(torch.Tensor, json.loads(json.dumps(plain(tensor))))
    assert again.dtype == dtype
    assert torch.equal(again, tensor)


def test_a_point_in_single_precision_comes_back_as_one():
    point = ufm.minimize(PROBLEM).point.to(torch.float32)
    again = from_plain(ufm.Point, json.loads(json.dumps(plain(point))))
    assert again.W.dtype == torch.float32
    assert same(again, point)
