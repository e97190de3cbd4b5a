"""Networks beside models whose features are nonnegative or whose W is fixed, and which model is nearer."""

from dataclasses import replace

import pytest
import torch

import ufm
from ufm import InputError, Point
from ufm.closed_forms.simplex import unit_frame
from ufm.losses.tables import table
from ufm.models import FixedClassifier, Nonnegative
from validate import Deviation, Deviations, NotComparable, compare, nearer
from validate.theory.compare import Comparison
from validate.theory.implied import by_scale

COUNTS, DECAYS = (6, 3, 2), {"lambda_h": 2e-2, "lambda_b": 1e-2}
FRAME = table("W", unit_frame(3, 4), 2)
MODELS = {
    "nonnegative": Nonnegative(COUNTS, 4, 1e-2, bias=True, **DECAYS),
    "nonnegative, no bias": Nonnegative(COUNTS, 4, 1e-2, 2e-2),
    "fixed": FixedClassifier(FRAME, COUNTS, **DECAYS),
    "fixed, no bias": FixedClassifier(FRAME, COUNTS, 2e-2, bias=False),
    "fixed, nonnegative": FixedClassifier(FRAME, COUNTS, **DECAYS, nonnegative=True),
}
EACH = pytest.mark.parametrize("name", MODELS)


def asked(model) -> dict:
    fixed = isinstance(model, FixedClassifier)
    features = "nonnegative" if getattr(model, "nonnegative", True) else "free"
    found = {"features": features, "classifier": "fixed" if fixed else "free", "bias": model.bias}
    return found | {"lambda_b": model.lambda_b} | ({} if fixed else {"lambda_w": model.lambda_w})


def at_minimum(model) -> Point:
    return model.free.expand(model.minimize(1).point)


@EACH
def test_a_minimiser_is_what_theory_predicts_and_implies_its_decay(name):
    model = MODELS[name]
    found = compare(at_minimum(model), model.free.labels, **asked(model))
    assert type(found.model) is type(model)
    assert found.lambda_h == pytest.approx(model.lambda_h, rel=1e-8)
    assert found.certificate.verdict == "global minimizer"
    assert found.certified
    for row in found.rows:
        assert row.network == pytest.approx(row.theory, rel=1e-6, abs=1e-7), row.name


@EACH
def test_a_spoiled_layer_is_shown_to_be_off(name):
    model = MODELS[name]
    point = at_minimum(model)
    spoiled = replace(point, H=point.H * torch.linspace(0.8, 1.2, 11, dtype=torch.float64)[:, None])
    found = compare(spoiled, model.free.labels, lambda_h=model.lambda_h, **asked(model))
    assert found.certificate.verdict == "not critical"
    gap = next(row for row in found.rows if row.name == "gap")
    assert gap.network > 1e-5 > 1e-8 > abs(gap.theory)
    assert not found.implied


@EACH
def test_it_goes_to_plain_data_and_back(name):
    model = MODELS[name]
    found = compare(at_minimum(model), model.free.labels, **asked(model))
    again = Comparison.from_plain(found.plain())
    assert again.model == found.model
    assert again.rows == found.rows
    assert again.certificate.verdict == found.certificate.verdict


def verdicts(point: Point, model: Nonnegative) -> set[int]:
    """Which model is the nearer one in margin, |W| and loss: 1 the free one, 2 the nonnegative one."""
    labels = model.free.labels
    plain = {"lambda_w": model.lambda_w, "lambda_b": model.lambda_b, "bias": model.bias}
    found = {d.name: d.nearer for d in nearer(compare(point, labels, **plain), compare(point, labels, **asked(model)))}
    assert not {"objective", "norm_ratio"} & set(found)
    return {found[name] for name in ("mean_margin", "norm_w", "loss")}


def test_the_model_that_a_network_is_of_is_the_nearer_one():
    """At the nonnegative minimiser without a bias; and at the free one, which a bias lets shift into the orthant."""
    model = MODELS["nonnegative, no bias"]
    assert verdicts(at_minimum(model), model) == {2}
    model = MODELS["nonnegative"]
    free = model.free.expand(ufm.minimize(model.free, tol=1e-12).point)
    up = 0.1 - free.H.min() + torch.zeros(4, dtype=torch.float64)
    assert verdicts(Point(free.W, free.H + up, free.b - free.W @ up), model) == {1}


def test_what_is_of_a_given_w_alone_agrees_by_construction():
    """|W| and NC2 say nothing of a prediction where W is given: they come last, and no model is nearer in them."""
    model = MODELS["fixed"]
    point = at_minimum(replace(model, nonnegative=True))
    found = compare(point, model.free.labels, **asked(model))
    assert [row.name for row in found.rows if row.implied] == ["norm_w", "nc2"]
    assert {row.name for row in found.rows[-2:]} == {"norm_w", "nc2"}
    behind = compare(point, model.free.labels, **asked(MODELS["fixed, nonnegative"]))
    assert not {"norm_w", "nc2"} & {one.name for one in nearer(found, behind)}


def test_comparisons_of_different_networks_are_not_put_beside_each_other():
    model = MODELS["nonnegative"]
    point, labels = at_minimum(model), model.free.labels
    free = compare(point, labels, lambda_w=model.lambda_w, lambda_b=model.lambda_b)
    other = compare(replace(point, W=1.01 * point.W), labels, **asked(model))
    with pytest.raises(InputError, match="different last layers: mean_margin"):
        nearer(free, other)


@pytest.mark.parametrize("name", ["nonnegative", "fixed"])
def test_decays_too_small_for_verdicts_are_refused(name):
    model = MODELS[name]
    small = asked(model) | {"lambda_h": 1e-30}
    with pytest.raises(InputError, match="verdicts in float64 need"):
        compare(at_minimum(model), model.free.labels, **small)


def test_the_decay_by_scale_is_that_of_a_difference_quotient():
    """f of the features' length t has slope 0 at t = 1 with this decay; W and b are anything."""
    problem = MODELS["nonnegative"].free
    generator = torch.Generator().manual_seed(0)
    point = Point(
        *(torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((3, 4), (11, 4), (3,))),
    )
    decay = by_scale(problem, point)

    def mean_loss(t: float) -> float:
        logits = t * point.H @ point.W.T + point.b
        return float(torch.nn.functional.cross_entropy(logits, problem.labels))

    slope = (mean_loss(1 + 1e-5) - mean_loss(1 - 1e-5)) / 2e-5
    assert decay * float(point.H.square().sum()) == pytest.approx(-slope, rel=1e-7)


def test_what_does_not_fit_is_refused():
    model = MODELS["nonnegative, no bias"]
    point = at_minimum(model)
    labels = model.free.labels
    for change, words in (
        ({"features": "odd"}, "unknown features 'odd'"),
        ({"classifier": "odd"}, "unknown classifier 'odd'"),
        ({"lambda_w": None}, "pass lambda_w"),
        ({"classifier": "fixed"}, "leave lambda_w out"),
    ):
        with pytest.raises(InputError, match=words):
            compare(point, labels, **(asked(model) | change))
    with pytest.raises(InputError, match="lambda_h must be a finite number > 0, got 0; without it features run"):
        compare(point, labels, lambda_h=0, classifier="fixed")
    below = replace(point, H=point.H - 0.1)
    with pytest.raises(InputError, match="features must be >= 0"):
        compare(below, labels, **asked(model))
    with pytest.raises(NotComparable, match="longer features would raise"):
        compare(replace(point, W=-point.W), labels, bias=False, classifier="fixed")


def test_the_deviations_are_printed_as_a_table():
    rows = [("margin", "mean margin", 0.02, 0.5), ("norm", "norm of W", 0.3, 0.1), ("loss", "loss", float("nan"), 0.1)]
    lines = str(Deviations(Deviation(*row) for row in rows)).splitlines()
    assert lines[0] == "nearer: the first model in 1, the second in 1 of 3 quantities"
    assert [line.split()[3] for line in lines[2:4]] == ["first", "second"]
    assert len(lines) == 5
    assert max(map(len, lines)) <= 100
