"""Claims about other losses: they hold where they should, and fail on an error planted for each."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.theorems.test_theorems import spoiled
from ufm import Problem
from ufm.losses import BinaryCrossEntropy, Focal, LabelSmoothing, MeanSquare, SoftCrossEntropy
from ufm.theorems import ATLAS, OTHER_ATLAS, OTHER_LOSSES, THEOREMS
from ufm.theorems.evidence import Evidence
from ufm.theorems.verification import judge

DECAY = {"lambda_w": 5e-3, "lambda_h": 2e-3}
BY_NAME = {theorem.name: theorem for theorem in (*THEOREMS, *OTHER_LOSSES, *OTHER_ATLAS, *ATLAS)}
ABOUT = {  # a problem for each claim
    "mean-square minimiser": Problem.balanced(4, 3, 5, **DECAY, lambda_b=1e-2, loss=MeanSquare()),
    "regression minimiser": Problem((1, 2, 2), 4, **DECAY, loss=MeanSquare([[1, 0, 2], [0, 1, 1], [2, 1, 0]])),
    "smoothed minimiser": Problem.balanced(4, 3, 5, **DECAY, lambda_b=1e-2, loss=LabelSmoothing(0.1)),
    "binary minimiser": Problem.balanced(4, 3, 5, **DECAY, lambda_b=1e-2, loss=BinaryCrossEntropy()),
    "tag-wise average": Problem((2, 2, 2, 1, 1, 1), 4, **DECAY, lambda_b=1e-2, loss=SoftCrossEntropy.pick_all(3)),
    "mean square, any d": Problem((1, 3, 2), 3, 1e-2, 1e-2, bias=False, loss=MeanSquare()),
    "mean square, all points": Problem((1, 2, 4), 3, 2e-2, 3e-2, bias=False, loss=MeanSquare()),
    "focal collapse": Problem.balanced(4, 3, 5, **DECAY, bias=False, loss=Focal(2.0)),
    "focal landscape": Problem((3, 1, 2, 3), 5, **DECAY, bias=False, loss=Focal(2.0)),
    "binary sharpness": Problem.balanced(3, 1, 3, **DECAY, loss=BinaryCrossEntropy()),
    "minority collapse": Problem((12, 12, 1, 1), 4, 4e-2, 4e-2, 1e-2),
}


def with_end(evidence: Evidence, **parts) -> Evidence:
    """The first free solution with parts of its point changed by functions of them."""
    first, *others = evidence.solutions
    point = replace(first.point, **{name: change(getattr(first.point, name)) for name, change in parts.items()})
    value = float(evidence.problem.objective(point))
    return spoiled(evidence, solutions=[replace(first, point=point, value=value), *others])


def moved(W):
    W = W.clone()
    W[0, 0] += 1e-4
    return W


def one_sample_moved(H):
    H = H.clone()
    H[0, 0] += 1e-5
    return H


def other_target(evidence: Evidence) -> Evidence:
    """The closed form of a problem with another decay."""
    other = replace(evidence.problem, lambda_w=1.001 * evidence.problem.lambda_w)
    return spoiled(evidence, closed_form=ufm.global_minimizer(other))


def another_level(evidence: Evidence) -> Evidence:
    """A descent that rests above the others, at some d."""
    narrow = evidence.narrowed(1)
    stuck = Evidence(replace(evidence.problem, dim=1), 0, 2)
    stuck.ends = [narrow[0], replace(narrow[0], value=1.001 * narrow[0].value)]
    return spoiled(evidence, _narrowed={1: stuck})


def without_a_point(evidence: Evidence) -> Evidence:
    return spoiled(evidence, atlas=replace(evidence.atlas, points=evidence.atlas.points[:-1]))


def with_a_trap(evidence: Evidence) -> Evidence:
    flat, local, _ = evidence.trap
    return spoiled(evidence, judged=[*evidence.judged, ufm.certify(flat, local)])


def no_trap(evidence: Evidence) -> Evidence:
    problem, _, better = evidence.binary_trap
    return spoiled(evidence, binary_trap=(problem, better, better))


def half_merged(evidence: Evidence) -> Evidence:
    """The merged group's rows stand apart."""
    W = evidence.minimizer.W.clone()
    W[2, 0] += 1e-3
    return spoiled(evidence, minimizer=replace(evidence.minimizer, W=W))


PLANTED = {
    "mean-square minimiser": other_target,
    "regression minimiser": other_target,
    "smoothed minimiser": other_target,
    "binary minimiser": lambda e: with_end(e, W=moved),
    "tag-wise average": lambda e: with_end(e, H=lambda H: H + 1e-4 * torch.arange(len(H))[:, None]),
    "mean square, any d": another_level,
    "mean square, all points": without_a_point,
    "focal collapse": lambda e: with_end(e, H=one_sample_moved),
    "focal landscape": with_a_trap,
    "binary sharpness": no_trap,
    "minority collapse": half_merged,
}


@pytest.fixture(scope="module")
def evidence():
    return {name: Evidence(problem, starts=2) for name, problem in ABOUT.items()}


def test_every_claim_about_other_losses_has_a_problem_and_a_planted_error():
    names = {theorem.name for theorem in (*OTHER_LOSSES, *OTHER_ATLAS)} | {"minority collapse"}
    assert names == set(ABOUT) == set(PLANTED)


@pytest.mark.parametrize("name", ABOUT)
def test_holds_and_a_planted_error_is_caught(name, evidence):
    problem, sound = ABOUT[name], evidence[name]
    verdict = judge(BY_NAME[name], problem, sound)
    assert verdict.status == "holds", verdict
    verdict = judge(BY_NAME[name], problem, PLANTED[name](sound))
    assert verdict.status == "fails", verdict


@pytest.mark.parametrize("name", ABOUT)
def test_nothing_fails_where_the_loss_is_another(name):
    problem = ABOUT[name]
    verdicts = ufm.verify(problem, starts=2)
    assert [v for v in verdicts if v.status == "fails"] == []
    assert {"weak duality", "exact spectrum", "balance"} <= {v.claim for v in verdicts if v.status == "holds"}
    others = {theorem.name for theorem in OTHER_LOSSES}
    assert (others <= {v.claim for v in verdicts}) == (problem.loss.name != "cross-entropy")


def test_cross_entropys_verdicts_list_its_own_claims():
    claims = [v.claim for v in ufm.verify(Problem.balanced(2, 1, 2, **DECAY), starts=1)]
    assert claims == [theorem.name for theorem in THEOREMS]


def test_focal_claims_are_not_made_where_k_is_too_large_or_there_is_a_bias():
    """exp(u2) = 6.1 and exp(u1) = 17.3 for g = 2."""
    seven = Problem.balanced(7, 2, 7, **DECAY, bias=False, loss=Focal(2.0))
    biased = Problem.balanced(4, 2, 5, **DECAY, lambda_b=1e-2, loss=Focal(2.0))
    assert BY_NAME["focal landscape"].missing(seven) == [
        "K <= exp(u2), up to which focal loss is its convex envelope at critical points"
    ]
    assert BY_NAME["focal collapse"].missing(seven) == []
    assert "no bias" in BY_NAME["focal landscape"].missing(biased)


@pytest.mark.parametrize("factor", [0.97, 1.03])
@pytest.mark.parametrize("name", ["cross-entropy", "mse", "bce", "label-smoothing", "logit-adjusted", "weighted"])
def test_minorities_merge_at_the_threshold_of_theory(name, factor):
    """D0^2 n = N^2 lW lH, at 0.97 and 1.03 of it: the spread of the group's rows is rounding, or it is not."""
    losses = {
        "cross-entropy": (ufm.losses.CrossEntropy(), 1.0),
        "mse": (MeanSquare(), 1.0),
        "bce": (BinaryCrossEntropy(), 1.0),
        "label-smoothing": (LabelSmoothing(0.2), 0.8),
        "logit-adjusted": (ufm.losses.LogitAdjusted([0.5, 0.5, 0.0, 0.0], [1, 1, 2, 2]), 2.0),
        "weighted": (ufm.losses.Weighted(LabelSmoothing(0.2), [0.7, 0.7, 1.5, 1.5]), 1.2),
    }
    loss, tied = losses[name]
    counts, n = (10, 10, 2, 2), 2
    decay = factor * tied * n**0.5 / sum(counts)
    problem = Problem(counts, 5, decay, decay, 1e-2, loss=loss)
    point = ufm.analysis.analysis(problem, ufm.minimize(problem, tol=1e-12).point).point
    spread = float((point.W[2] - point.W[3]).norm())
    assert spread < 1e-7 if factor > 1 else spread > 0.05
