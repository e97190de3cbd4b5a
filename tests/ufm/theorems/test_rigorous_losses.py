"""Claims that are proved, for every loss: for the convex ones they hold, and d = K - 1 is enough for some only."""

from dataclasses import replace

import pytest

from tests.ufm.losses.naive import NAIVE, problem_of
from ufm import Problem
from ufm.losses import BinaryCrossEntropy, MeanSquare
from ufm.results import PointVerdict
from ufm.theorems.claims.proved import PROVED_DICHOTOMY, PROVED_MINIMIZER
from ufm.theorems.evidence import Evidence
from ufm.theorems.verification import judge

CLAIMS = (PROVED_MINIMIZER, PROVED_DICHOTOMY)


@pytest.mark.parametrize("name", NAIVE)
def test_what_is_proved_of_every_convex_loss(name):
    problem = problem_of(name)
    evidence = Evidence(problem, starts=1)
    for claim in CLAIMS:
        verdict = judge(claim, problem, evidence)
        if problem.loss.convex:
            assert verdict.status == "holds", verdict
        else:
            assert (verdict.status, verdict.note) == ("not covered", "needs a convex loss")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_proof_of_something_else_fails(claim):
    problem = problem_of("bce")
    evidence = Evidence(problem, starts=1)
    wrong = replace(evidence.proofs["minimiser"], verdict=PointVerdict.LOCAL_MINIMIZER)
    evidence.proofs = evidence.proofs | {"minimiser": wrong}
    assert judge(claim, problem, evidence).status == "fails"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_the_rank_that_d_has_to_reach_is_that_of_the_loss(claim):
    """One logistic loss a class has local minimisers at d = K - 1 that are not global: the claim is not about them."""
    settings = {"lambda_w": 2e-3, "lambda_h": 2e-3, "bias": False}
    narrow = Problem.balanced(5, 1, 4, **settings, loss=BinaryCrossEntropy())
    assert "d >= K - 1 (K, if" in judge(claim, narrow, None).note
    assert claim.missing(Problem.balanced(5, 1, 4, **settings)) == []
    assert claim.missing(replace(narrow, dim=5)) == []


def test_a_value_of_zero_has_a_width():
    """Targets 0: the origin is the minimiser, and f is 0 there."""
    problem = Problem((2, 1, 1), 3, 5e-3, 2e-3, 1e-2, loss=MeanSquare([[0.0] * 3] * 3))
    verdict = judge(PROVED_MINIMIZER, problem, Evidence(problem, starts=1))
    assert verdict.status in ("holds", "inconclusive"), verdict
