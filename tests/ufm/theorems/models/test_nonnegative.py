"""Claims about features behind a ReLU: they hold, and each fails on an error planted for it."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.theorems.models.planting import BY_NAME, elsewhere, planted, verdict
from ufm.losses import LabelSmoothing, MeanSquare
from ufm.models import Nonnegative
from ufm.models.orthant import Largest
from ufm.theorems import MODELS, ModelEvidence
from ufm.theorems.claims.models import nonnegative as claims

MODEL = Nonnegative((9, 4, 1), 4, 7e-2, 7e-2)  # the last class vanishes
NAMES = [theorem.name for theorem in MODELS["nonnegative"]]


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        Nonnegative((3, 3, 3, 3), 5, 5e-3, 2e-3),
        Nonnegative((20, 20, 1, 1), 6, 2e-2, 2e-2),
        Nonnegative((5, 3, 1), 3, 1e-2, 1e-2, loss=MeanSquare()),
        Nonnegative((2, 2, 2), 3, 1e-2, 2e-2, 1e-2, bias=True, loss=LabelSmoothing(0.1)),
    ],
)
def test_the_claims_hold(model):
    found = ufm.verify(model)
    assert [v.claim for v in found] == NAMES
    assert {v.status for v in found} <= {"holds", "not covered"}
    assert sum(v.status == "holds" for v in found) >= 3


def moved(solution, **parts):
    point = replace(solution.point, **{name: part + getattr(solution.point, name) for name, part in parts.items()})
    return replace(solution, point=point, value=float(MODEL.objective(point)))


def leak(evidence):
    """A feature of one class gets a part of another's unit."""
    H = torch.zeros(3, 4, dtype=torch.float64)
    H[1] = 1e-3 * evidence.ends[0].point.H[0]
    return planted(evidence, minimizers=[moved(evidence.ends[0], H=H).point])


def other_minimizer(evidence):
    return planted(evidence, closed_form=replace(MODEL, lambda_w=1.001 * MODEL.lambda_w).closed_form())


def revived(evidence):
    """A class that vanishes gets a small feature."""
    H = torch.zeros(3, 4, dtype=torch.float64)
    H[2, 0] = 1e-3
    return planted(evidence, minimizers=[moved(evidence.ends[0], H=H).point])


def too_low(evidence):
    return planted(evidence, ends=[replace(end, value=0.999 * end.value) for end in evidence.ends])


PLANTED = {
    "nonnegative duality": too_low,
    "nonnegative minimiser": other_minimizer,
    "nonnegative geometry": leak,
    "nonnegative vanishing": revived,
    "nonnegative spectrum": lambda evidence: elsewhere(evidence, moved(evidence.ends[0], H=1e-2).point),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails(name):
    evidence = ModelEvidence(MODEL)
    assert verdict(name, evidence) == "holds"
    assert verdict(name, PLANTED[name](ModelEvidence(MODEL))) == "fails"


def test_a_wrong_copositivity_fails_the_landscape(monkeypatch):
    """A largest value that is too small leaves a trap with a dead unit undecided."""
    steepest = Nonnegative.steepest

    def smaller(self, point):
        found = steepest(self, point)
        return Largest(0.9 * found.value, found.vector)

    model = Nonnegative((20, 20, 1, 1), 5, 2e-2, 2e-2)
    assert verdict("nonnegative landscape", ModelEvidence(model)) == "holds"
    monkeypatch.setattr(Nonnegative, "steepest", smaller)
    assert verdict("nonnegative landscape", ModelEvidence(model)) == "fails"


def test_without_traps_the_free_theorem_would_stand(monkeypatch):
    """The claim that it fails fails where no descent is trapped: one unit more than the classes need, kept dead."""
    monkeypatch.setattr(claims, "TRAPS", (Nonnegative((2, 2, 2, 2), 8, 5e-3, 5e-3),))
    assert verdict("free theorem behind a ReLU", ModelEvidence(MODEL)) == "fails"


def test_two_classes_with_a_free_bias_have_many_minimisers():
    """Certified ends with other logits than the closed form's: the claim about its geometry needs more."""
    model = Nonnegative((1, 1), 4, 4.6e-4, 3.5e-2, bias=True)
    evidence = ModelEvidence(model, 7)
    logits = [point.H @ point.W.T for point in evidence.minimizers]
    form = evidence.closed_form.H @ evidence.closed_form.W.T
    assert max(float((z - form).abs().max()) for z in logits) > 1e-3
    assert verdict("nonnegative geometry", evidence) == "not covered"
    assert verdict("nonnegative minimiser", evidence) == "holds"


def test_every_claim_has_a_planted_error():
    others = {"nonnegative landscape", "free theorem behind a ReLU"}
    assert set(PLANTED) | others == set(NAMES)
    assert set(NAMES) <= set(BY_NAME)


def test_a_class_at_its_threshold_decides_nothing():
    decay = (2 * 2 / 3) ** 0.5 / 26
    model = Nonnegative((12, 12, 2), 4, decay, decay)
    assert verdict("nonnegative vanishing", ModelEvidence(model)) == "inconclusive"
