"""Claims about decays that vanish: they hold, and each fails on an error planted for it."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.theorems.models.planting import planted, verdict
from ufm.models import Ridgeless
from ufm.theorems import MODELS, ModelEvidence

NAMES = [theorem.name for theorem in MODELS["ridgeless"]]
MODEL, BALANCED = Ridgeless((5, 2, 1), 3, 2.0), Ridgeless((3, 3, 3), 4)


@pytest.fixture(scope="module")
def found():
    """The evidence of both models, its material made once."""
    made = [ModelEvidence(model, starts=2) for model in (MODEL, BALANCED)]
    for evidence in made:
        for name in NAMES:
            verdict(name, evidence)
    return made


def test_the_claims_hold(found):
    for evidence, missing in zip(found, ({"central path"}, {"logarithmic rate"}), strict=True):
        status = {name: verdict(name, evidence) for name in NAMES}
        assert {name for name, word in status.items() if word == "not covered"} == missing
        assert set(status.values()) == {"holds", "not covered"}


def test_fewer_dimensions_leave_what_needs_no_closed_form():
    status = {v.claim: v.status for v in ufm.verify(Ridgeless((2, 2, 1, 1), 2), starts=2)}
    assert status["ridgeless duality"] == status["flow keeps its balance"] == "holds"
    assert status["SELI"] == "not covered"


def test_the_flow_is_not_asked_about_where_norms_lie_far_apart():
    model = Ridgeless((1, 1, 1), 2, 5e5)
    assert verdict("SELI attracts the flow", ModelEvidence(model, starts=1)) == "not covered"


def copied(evidence):
    other = ModelEvidence(evidence.model, starts=2)
    vars(other).update(vars(evidence))
    return other


def too_low(evidence):
    return planted(evidence, ends=[replace(end, value=0.999 * end.value) for end in evidence.ends])


def positive_entry(evidence):
    dual = evidence.dual.clone()
    dual[0, 1] *= -1
    return planted(evidence, dual=dual)


def other_form(evidence):
    form = evidence.closed_form
    return planted(evidence, closed_form=replace(form, W=1.001 * form.W))


def one_margin_more(evidence):
    point = evidence.minimizers[0]
    H = point.H * torch.tensor([[1.0], [1.001], [1.0]], dtype=torch.float64)
    return planted(evidence, minimizers=[replace(point, H=H)])


def turned_back(evidence):
    """The minimiser of the smallest decay has the angle of the largest."""
    first, *others = evidence.approach
    return planted(evidence, approach=[first, *others[:-1], replace(others[-1], tangent=first.tangent)])


def other_rate(evidence):
    """All angles as if the constant were 2% more."""
    return planted(evidence, approach=[replace(one, tangent=1.02 * one.tangent) for one in evidence.approach])


def drifting(evidence):
    return planted(evidence, flow=[*evidence.flow[:-1], replace(evidence.flow[-1], drift=1e-6)])


def stuck(evidence):
    """The KKT residual stays what it was early on."""
    early = next(moment for moment in evidence.attracted if moment.log_loss <= -12.5)
    last = replace(evidence.attracted[-1], residual=early.residual)
    return planted(evidence, attracted=[*evidence.attracted[:-1], last])


def off_the_path(evidence):
    last = evidence.path[-1]
    return planted(evidence, path=[*evidence.path[:-1], replace(last, values=1.00001 * last.values)])


PLANTED = {
    "ridgeless duality": too_low,
    "ridgeless sign certificate": positive_entry,
    "SELI": other_form,
    "SELI geometry": one_margin_more,
    "vanishing decay": turned_back,
    "logarithmic rate": other_rate,
    "flow keeps its balance": drifting,
    "SELI attracts the flow": stuck,
    "central path": off_the_path,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_fails(name, found):
    evidence = found[1] if name == "central path" else found[0]
    assert verdict(name, evidence) == "holds"
    assert verdict(name, PLANTED[name](copied(evidence))) == "fails"


def test_every_claim_has_a_planted_error():
    assert set(PLANTED) == set(NAMES)
