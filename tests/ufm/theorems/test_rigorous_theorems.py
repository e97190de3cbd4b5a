"""Claims that are proved: they hold where they should, and a refused proof or a planted error makes them fail."""

from dataclasses import replace

import pytest

import ufm
from tests.cases import DECAY, PROBLEMS
from tests.ufm.theorems.test_theorems import spoiled
from ufm import THEOREMS, Problem
from ufm.theorems import RIGOROUS
from ufm.theorems.evidence import Evidence
from ufm.theorems.verification import judge

PROBLEM = PROBLEMS["balanced"]
BY_NAME = {theorem.name: theorem for theorem in RIGOROUS}


@pytest.fixture(scope="module")
def sound():
    """Evidence with everything computed, to be copied and spoiled."""
    evidence = Evidence(PROBLEM, starts=1)
    for theorem in RIGOROUS:
        judge(theorem, PROBLEM, evidence)
    return evidence


def moved(point):
    return replace(point, W=point.W + 1e-3)


def value_off_by_1e_29(evidence):
    proof = evidence.closed_form_proof
    digits = proof.digits.strip("[").split(" ")[0]
    assert digits.startswith("0.1018582448779041906175300526696")
    wrong = digits[:31] + str((int(digits[31]) + 5) % 10) + digits[32:]
    return spoiled(evidence, closed_form_proof=replace(proof, digits=wrong))


PLANTED = {
    "proved minimiser": [
        lambda e: spoiled(e, minimizer=e.saddles[2]),
        lambda e: spoiled(e, proofs=e.proofs | {"minimiser": replace(e.proofs["minimiser"], value=(0.1, 0.2))}),
    ],
    "proved closed form": [
        lambda e: spoiled(e, closed_form=e.saddles[1]),
        value_off_by_1e_29,
    ],
    "proved saddles": [
        lambda e: spoiled(e, saddles=e.saddles | {1: e.minimizer}),
        lambda e: spoiled(e, saddles={1: e.minimizer}),
    ],
    "proved dichotomy": [
        lambda e: spoiled(e, proofs=e.proofs | {"origin": replace(e.proofs["origin"], verdict="local minimizer")}),
    ],
}


# Points that are not critical: their proofs are refused. And a rank of which no point was found.
REFUSED = {
    "proved minimiser": lambda e: spoiled(e, minimizer=moved(e.minimizer)),
    "proved closed form": lambda e: spoiled(e, closed_form=moved(e.closed_form)),
    "proved saddles": lambda e: spoiled(e, origin=moved(e.origin)),
    "proved saddles, one missing": lambda e: spoiled(e, saddles={2: e.saddles[2]}),
    "proved dichotomy": lambda e: spoiled(e, saddles=e.saddles | {1: moved(e.saddles[1])}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_proof_decides_nothing(case, sound):
    verdict = judge(BY_NAME[case.split(",")[0]], PROBLEM, REFUSED[case](sound))
    assert verdict.status == "inconclusive", verdict
    assert verdict.worst is None
    assert "not proved" in verdict.note or "no point was found of rank 1" in verdict.note


def test_every_theorem_has_a_planted_error_and_a_name_of_its_own():
    assert set(PLANTED) == set(BY_NAME)
    assert not set(BY_NAME) & {theorem.name for theorem in THEOREMS}


@pytest.mark.parametrize("name", BY_NAME)
def test_holds(name, sound):
    verdict = judge(BY_NAME[name], PROBLEM, sound)
    assert verdict.status == "holds", verdict
    assert verdict.worst <= verdict.tolerance
    assert verdict.statement
    assert verdict.source


@pytest.mark.parametrize(("name", "error"), [(name, i) for name, errors in PLANTED.items() for i in range(len(errors))])
def test_planted_error_is_caught(name, error, sound):
    verdict = judge(BY_NAME[name], PROBLEM, PLANTED[name][error](sound))
    assert verdict.status == "fails", verdict
    assert verdict.worst > verdict.tolerance


@pytest.mark.parametrize("name", BY_NAME)
def test_no_claim_holds_when_there_is_nothing_to_look_at(name, sound):
    evidence = spoiled(sound, proofs={}, closed_form_proof=ufm.Proof("", "not proved", "", 128))
    try:
        status = judge(BY_NAME[name], PROBLEM, evidence).status
    except KeyError:
        return
    assert status == "inconclusive"


UNCOVERED = {
    "proved minimiser": PROBLEMS["d < K - 1"],
    "proved closed form": PROBLEMS["imbalanced"],
    "proved saddles": PROBLEMS["strong decay"],
    "proved dichotomy": PROBLEMS["d < K - 1"],
}


@pytest.mark.parametrize("name", UNCOVERED)
@pytest.mark.parametrize("why", ["its own hypothesis", "K = 11", "no python-flint"])
def test_hypotheses_that_do_not_hold_mean_not_covered(name, why, monkeypatch):
    problem = {"its own hypothesis": UNCOVERED[name], "K = 11": Problem.balanced(11, 1, 11, **DECAY)}.get(why, PROBLEM)
    if why == "no python-flint":
        monkeypatch.setattr("ufm.theorems.claims.proved.is_available", lambda: False)
    verdict = judge(BY_NAME[name], problem, None)
    assert verdict.status == "not covered"
    assert verdict.note.startswith("needs ")
    assert {"K = 11": "K <= 10", "no python-flint": "python-flint"}.get(why, "") in verdict.note


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_nothing_fails_on_any_problem(problem):
    evidence = Evidence(problem, starts=1)
    verdicts = [judge(theorem, problem, evidence) for theorem in RIGOROUS]
    assert [verdict for verdict in verdicts if verdict.status == "fails"] == []
    assert any(verdict.status == "holds" for verdict in verdicts) or problem.dim < problem.num_classes - 1


def test_the_threshold_itself_is_inconclusive():
    """K sqrt(n lW lH) = 1: the origin is degenerate, and no proof can tell."""
    problem = Problem.balanced(4, 1, 3, lambda_w=0.25, lambda_h=0.25, lambda_b=1e-2)
    statuses = {verdict.claim: verdict.status for verdict in ufm.verify(problem, starts=1, rigorous=True)}
    assert "fails" not in statuses.values()
    assert statuses["proved minimiser"] == statuses["proved dichotomy"] == "inconclusive"


def test_verify_adds_them_only_when_asked():
    plain = {verdict.claim for verdict in ufm.verify(PROBLEMS["two classes"], starts=1)}
    both = {verdict.claim for verdict in ufm.verify(PROBLEMS["two classes"], starts=1, rigorous=True)}
    assert both - plain == set(BY_NAME)
