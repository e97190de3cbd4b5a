"""Claims about a classifier that is given: they hold, and each fails on an error planted for it."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.theorems.models.planting import elsewhere, planted, verdict
from ufm.closed_forms.simplex import simplex_frame, unit_frame
from ufm.losses import BinaryCrossEntropy, Focal
from ufm.models import FixedClassifier
from ufm.theorems import MODELS, ModelEvidence

NAMES = [theorem.name for theorem in MODELS["fixed-classifier"]]
MODEL = FixedClassifier(unit_frame(4, 6), (3, 9, 1, 3), 2e-3, bias=False)
BEHIND = replace(MODEL, nonnegative=True)


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        BEHIND,
        FixedClassifier(simplex_frame(4, 3), (3, 3, 3, 3), 2e-3, 1e-2),
        FixedClassifier(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), (1, 2, 3), 2e-2, 1e-2),
        FixedClassifier(unit_frame(3, 3), (1, 2, 3), 2e-2, loss=BinaryCrossEntropy(), nonnegative=True),
        FixedClassifier(unit_frame(3, 3), (1, 2, 3), 2e-2, bias=False, loss=Focal(2.0)),
    ],
)
def test_the_claims_hold(model):
    found = ufm.verify(model)
    assert [v.claim for v in found] == NAMES
    assert {v.status for v in found} <= {"holds", "not covered"}
    assert sum(v.status == "holds" for v in found) >= 2


def with_end(evidence, change):
    first, *others = evidence.ends
    return planted(evidence, ends=[replace(first, point=replace(first.point, H=change(first.point.H))), *others])


def too_low(evidence):
    return planted(evidence, ends=[replace(end, value=0.999 * end.value) for end in evidence.ends])


def other_minimizer(evidence):
    model = evidence.model
    return planted(evidence, closed_form=replace(model, lambda_h=1.001 * model.lambda_h).closed_form())


def one_class_nearer(evidence):
    """A class's feature of another length, as it would be if margins followed the counts."""
    return with_end(evidence, lambda H: H * torch.tensor([[1.0], [1.001], [1.0], [1.0]]))


def spectrum_of_another_point(evidence):
    found = evidence.ends[0].point
    return elsewhere(evidence, replace(found, H=1.01 * found.H))


PLANTED = {
    "fixed-classifier duality": too_low,
    "fixed-classifier minimiser": one_class_nearer,
    "fixed frame, closed form": other_minimizer,
    "fixed frame, margins": one_class_nearer,
    "fixed-classifier spectrum": spectrum_of_another_point,
}


@pytest.mark.parametrize("model", [MODEL, BEHIND], ids=["free features", "nonnegative"])
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails(name, model):
    assert verdict(name, ModelEvidence(model)) == "holds"
    assert verdict(name, PLANTED[name](ModelEvidence(model))) == "fails"


def test_every_claim_has_a_planted_error():
    assert set(PLANTED) == set(NAMES)
