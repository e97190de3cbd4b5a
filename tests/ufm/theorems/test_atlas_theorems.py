"""Claims about the whole set of critical points: they hold on a complete atlas and fail on errors planted in it."""

from dataclasses import replace

import pytest

import ufm
from tests.cases import PROBLEMS
from tests.ufm.theorems.test_theorems import spoiled
from ufm import Problem
from ufm.theorems import ATLAS
from ufm.theorems.evidence import Evidence
from ufm.theorems.verification import judge

PROBLEM = Problem.balanced(4, 2, 3, lambda_w=2e-3, lambda_h=2e-3, lambda_b=1e-2)
BY_NAME = {theorem.name: theorem for theorem in ATLAS}


@pytest.fixture(scope="module")
def sound():
    evidence = Evidence(PROBLEM, starts=1)
    assert len(evidence.atlas.points) == 11
    return evidence


def with_points(evidence, points):
    return spoiled(evidence, atlas=replace(evidence.atlas, points=tuple(points)))


def a_saddle_moved(evidence):
    *others, last = evidence.atlas.points
    moved = replace(last.point, W=last.point.W + 1e-3)
    return with_points(evidence, [*others, replace(last, point=moved)])


def a_saddle_called_a_minimum(evidence):
    *others, last = evidence.atlas.points
    return with_points(
        evidence, [*others, replace(last, certificate=replace(last.certificate, verdict="local minimizer"))]
    )


def a_saddle_that_is_not_critical(evidence):
    *others, last = evidence.atlas.points
    certificate = replace(last.certificate, verdict="not critical", index=None)
    return with_points(evidence, [*others, replace(last, index=None, certificate=certificate)])


def a_sum_of_two(evidence):
    first, *others = evidence.atlas.sums
    return spoiled(evidence, atlas=replace(evidence.atlas, sums=(replace(first, value=2), *others)))


PLANTED = [
    ("whole landscape", a_saddle_moved),
    ("whole landscape", a_saddle_called_a_minimum),
    ("Euler characteristic", a_sum_of_two),
]
NOTHING_TO_SAY = [
    ("whole landscape", a_saddle_that_is_not_critical),
    ("whole landscape", lambda e: with_points(e, e.atlas.points[1:])),
    ("whole landscape", lambda e: with_points(e, e.atlas.points[:1])),
    ("whole landscape", lambda e: with_points(e, [])),
    ("Euler characteristic", lambda e: spoiled(e, atlas=replace(e.atlas, sums=()))),
]


@pytest.mark.parametrize("name", BY_NAME)
def test_holds(name, sound):
    verdict = judge(BY_NAME[name], PROBLEM, sound)
    assert verdict.status == "holds", verdict
    assert verdict.worst <= verdict.tolerance


def test_counts_points_by_index(sound):
    note = judge(BY_NAME["whole landscape"], PROBLEM, sound).note
    assert note.startswith("11 points up to symmetry: 1 of index 0, ")


@pytest.mark.parametrize(("name", "plant"), PLANTED)
def test_planted_error_is_caught(name, plant, sound):
    assert judge(BY_NAME[name], PROBLEM, plant(sound)).status == "fails"


@pytest.mark.parametrize(("name", "plant"), NOTHING_TO_SAY)
def test_too_little_to_look_at_decides_nothing(name, plant, sound):
    assert judge(BY_NAME[name], PROBLEM, plant(sound)).status == "inconclusive"


@pytest.mark.parametrize("problem", [Problem.balanced(7, 2, 7, lambda_w=5e-3, lambda_h=2e-3), PROBLEMS["d < K - 1"]])
def test_not_covered(problem):
    assert judge(BY_NAME["whole landscape"], problem, None).status == "not covered"


def test_verify_adds_them_when_asked():
    verdicts = ufm.verify(PROBLEMS["d = K"], starts=1, atlas=True)
    assert {verdict.claim: verdict.status for verdict in verdicts[-2:]} == dict.fromkeys(BY_NAME, "holds")
