"""Claims about deep linear models: they hold, and each fails on an error planted for it."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.theorems.models.planting import elsewhere, planted, verdict
from ufm.losses import Focal, LabelSmoothing, MeanSquare
from ufm.models import DeepLinear
from ufm.theorems import MODELS, ModelEvidence
from ufm.theorems.claims.models import deep_linear as claims

NAMES = [theorem.name for theorem in MODELS["deep-linear"]]
PAIRED = DeepLinear((2, 2, 2, 2), 4, 4, 2e-3)
SQUARED = DeepLinear((4, 4, 4), 3, 3, 1e-2, loss=MeanSquare())
TWO = DeepLinear((3, 1, 2), 4, 2, 1e-2)


@pytest.mark.parametrize(
    "model",
    [
        PAIRED,
        SQUARED,
        TWO,
        DeepLinear((1,) * 6, 5, 3, 1e-2),
        DeepLinear((9, 4, 1), 3, 3, 5e-3, loss=MeanSquare()),
        DeepLinear((3, 2, 1), 4, 3, 1e-2, loss=LabelSmoothing(0.1)),
        DeepLinear((3, 2, 1), 3, 4, 1e-2, loss=Focal(2.0)),
        DeepLinear((1, 1, 1), 3, 3, 2.0),
    ],
    ids=lambda model: f"{model.loss.name} {model.class_counts} {model.depth}",
)
def test_the_claims_hold(model):
    found = ufm.verify(model)
    assert [v.claim for v in found] == NAMES
    assert {v.status for v in found} <= {"holds", "not covered"}, [(v.claim, v.note) for v in found]
    assert sum(v.status == "holds" for v in found) >= 4


def too_low(evidence, monkeypatch):
    return planted(evidence, ends=[replace(end, value=0.5 * evidence.model.lower_bound()) for end in evidence.ends])


def unbalanced(evidence, monkeypatch):
    first, *others = evidence.ends
    moved = replace(first.point, H=2 * first.point.H, layers=(first.point.layers[0] / 2, *first.point.layers[1:]))
    return planted(evidence, ends=[replace(first, point=moved), *others])


def apart(evidence, monkeypatch):
    """Descents whose first feature has been moved a little from its type's."""

    def moved(self, seed, *rest, **named):
        end = minimize(self, seed, *rest, **named)
        H = end.point.H.clone()
        H[0] *= 1.0001
        return replace(end, point=replace(end.point, H=H))

    minimize = DeepLinear.minimize
    monkeypatch.setattr(DeepLinear, "minimize", moved)
    return evidence


def other_minimizer(evidence, monkeypatch):
    model = evidence.model
    return planted(evidence, closed_form=replace(model, decay=1.001 * model.decay).closed_form())


def threshold_elsewhere(evidence, monkeypatch):
    true = claims.threshold
    monkeypatch.setattr(claims, "threshold", lambda *given: 1.02 * true(*given))
    return evidence


def one_group(evidence, monkeypatch):
    """The simplex itself in place of pairs."""
    monkeypatch.setattr(claims, "pairs", lambda K: (K,))
    return evidence


def not_the_origin(evidence, monkeypatch):
    end = evidence.ends[0].point
    monkeypatch.setattr(DeepLinear, "origin", lambda model: end)
    return evidence


def negative_when_wider(evidence, monkeypatch):
    true, width = claims.dense_levels, evidence.model.dim

    def levels(model, point):
        return true(model, point) - (0.5 * model.decay if model.dim > width else 0.0)

    monkeypatch.setattr(claims, "dense_levels", levels)
    return evidence


def spectrum_of_another_point(evidence, monkeypatch):
    return elsewhere(evidence, evidence.model.origin())


PLANTED = {
    "deep duality": (PAIRED, too_low),
    "deep balance": (PAIRED, unbalanced),
    "deep collapse": (PAIRED, apart),
    "deep closed form": (SQUARED, other_minimizer),
    "first-order jump": (SQUARED, threshold_elsewhere),
    "simplex not optimal": (PAIRED, one_group),
    "deep origin": (PAIRED, not_the_origin),
    "width is no help": (PAIRED, negative_when_wider),
    "deep spectrum": (PAIRED, spectrum_of_another_point),
    "two factors": (TWO, spectrum_of_another_point),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails(name, monkeypatch):
    model, plant = PLANTED[name]
    assert verdict(name, ModelEvidence(model)) == "holds"
    assert verdict(name, plant(ModelEvidence(model), monkeypatch)) == "fails"


def test_every_claim_has_a_planted_error():
    assert set(PLANTED) == set(NAMES)


def test_where_no_descent_over_all_features_converges_nothing_is_decided(monkeypatch):
    true = DeepLinear.minimize
    monkeypatch.setattr(DeepLinear, "minimize", lambda *given, **named: replace(true(*given, **named), converged=False))
    assert verdict("deep collapse", ModelEvidence(PAIRED)) == "inconclusive"


def test_the_wide_hessian_is_that_of_a_wider_model():
    """An end of two factors and rank d: there, one dimension more does add a negative eigenvalue."""
    narrow = replace(TWO, dim=1)
    end = narrow.minimize()
    wide = replace(narrow, dim=2)
    assert float(claims.dense_levels(narrow, end.point).min()) > -1e-9
    assert float(claims.dense_levels(wide, end.point.padded(2)).min()) < -1e-3
    assert torch.is_tensor(end.point.H)
