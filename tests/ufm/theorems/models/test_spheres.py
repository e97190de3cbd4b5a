"""Claims about features and rows of W on spheres: they hold, and each fails on an error planted for it."""

from dataclasses import replace

import pytest

import ufm
from tests.ufm.theorems.models.planting import elsewhere, planted, verdict
from ufm.losses import BinaryCrossEntropy, LabelSmoothing, MeanSquare
from ufm.models import Spheres
from ufm.results import PointVerdict
from ufm.theorems import MODELS, ModelEvidence
from ufm.theorems.claims.models import spheres as claims

MODEL = Spheres((2, 2, 2), 4, 5.0)
NAMES = [theorem.name for theorem in MODELS["spheres"]]


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        Spheres((4, 2, 1), 3, 12.0),
        Spheres((3, 1, 2), 2, 1.0),
        Spheres((2, 2, 2, 2, 2), 3, 8.0),
        Spheres((2, 2, 1), 4, 2.0, BinaryCrossEntropy()),
        Spheres((2, 2, 2), 3, 20.0, LabelSmoothing(0.1)),
        Spheres((2, 2, 2), 4, 2.0, MeanSquare()),
    ],
)
def test_the_claims_hold(model):
    found = ufm.verify(model)
    assert [v.claim for v in found] == NAMES
    assert {v.status for v in found} <= {"holds", "not covered", "inconclusive"}
    assert sum(v.status == "holds" for v in found) >= 3


def too_low(evidence):
    return planted(evidence, ends=[replace(end, value=0.999 * end.value) for end in evidence.ends])


def tilted(model, point, size):
    """The point with one feature turned a little."""
    H = point.H.clone()
    H[0] += size * H[1]
    return model.normalised(replace(point, H=H))


def other_frame(evidence):
    return planted(evidence, closed_form=tilted(evidence.model, evidence.closed_form, 1e-3))


def a_feature_aside(evidence):
    return planted(evidence, minimizers=[tilted(evidence.model, evidence.minimizers[0], 1e-4)])


def a_trap_is_seen(evidence):
    first, *others = evidence.judged
    return planted(evidence, judged=[replace(first, verdict=PointVerdict.LOCAL_MINIMIZER), *others])


def spectrum_of_another_point(evidence):
    return elsewhere(evidence, tilted(evidence.model, evidence.ends[0].point, 1e-3))


def other_multipliers(evidence):
    """Multipliers 1% off, as those of another scale would be."""
    model, wrong = evidence.model, type("Wrong", (Spheres,), {})

    def jet(self, point):
        found = Spheres.jet(self, point)
        found.multipliers = 1.01 * found.multipliers
        return found

    wrong.jet = jet
    return planted(evidence, model=wrong(model.class_counts, model.dim, model.scale))


PLANTED = {
    "spheres duality": too_low,
    "spheres minimiser": other_frame,
    "spheres geometry": a_feature_aside,
    "spheres within-class collapse": a_feature_aside,
    "spheres landscape": a_trap_is_seen,
    "spheres null direction": other_multipliers,
    "spheres spectrum": spectrum_of_another_point,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails(name):
    assert verdict(name, ModelEvidence(MODEL)) == "holds"
    assert verdict(name, PLANTED[name](ModelEvidence(MODEL))) == "fails"


def test_a_trap_does_not_collapse_within_classes():
    """At a critical point with mu < 0 a feature is not the only best of its class: another unit vector is better."""
    ends = [claims.TRAP.minimize(seed) for seed in range(8)]
    worst = max(ends, key=lambda end: end.value)
    evidence = planted(ModelEvidence(claims.TRAP), minimizers=[worst.point])
    assert verdict("spheres within-class collapse", evidence) == "fails"


def test_without_traps_d_of_k_minus_1_would_be_enough(monkeypatch):
    monkeypatch.setattr(claims, "TRAP", Spheres((2, 2, 2), 3, 10.0))
    assert verdict("spheres sharpness", ModelEvidence(MODEL)) == "fails"


def test_every_claim_has_a_planted_error():
    assert {*PLANTED, "spheres sharpness"} == set(NAMES)


def test_a_random_point_is_no_minimiser_of_the_claims():
    evidence = planted(ModelEvidence(MODEL), minimizers=[MODEL.random_point(1)])
    assert verdict("spheres geometry", evidence) == "fails"
