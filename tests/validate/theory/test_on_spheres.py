"""Networks of unit rows and features of one norm, beside the model on spheres."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ufm import InputError, Point
from ufm.losses import LabelSmoothing, MeanSquare
from ufm.models import Spheres
from validate import (
    HeadFacts,
    LossFacts,
    Minimised,
    NotComparable,
    OnSpheres,
    compare_on_spheres,
    compare_run_on_spheres,
)
from validate.theory.trajectory import trajectory

COUNTS, SCALE = (6, 3, 2), 4.0
MODELS = {
    "balanced": Spheres((3, 3, 3), 4, SCALE),
    "imbalanced": Spheres(COUNTS, 3, SCALE),
    "smoothed": Spheres(COUNTS, 3, 2.0, LabelSmoothing(0.1)),
}
EACH = pytest.mark.parametrize("name", MODELS)


def of_network(model: Spheres, turn: float = 0.0) -> tuple[Point, torch.Tensor]:
    """(a minimiser as a head has it, features at the length of the scale, in any order of samples; the labels)."""
    point, labels = model.free.expand(model.minimize(1).point), model.free.labels
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(len(labels), generator=generator)
    noise = torch.randn(point.H.shape, generator=generator, dtype=torch.float64)
    H = functional.normalize(point.H + turn * noise, dim=1)[order]
    return Point(point.W, model.scale * H, point.b), labels[order]


@EACH
def test_a_minimiser_is_what_theory_predicts(name):
    model = MODELS[name]
    found = compare_on_spheres(*of_network(model), loss=model.loss)
    assert replace(found.model, scale=model.scale) == model
    assert found.model.scale == pytest.approx(model.scale, rel=1e-12)
    assert found.certified
    assert found.certificate.verdict == "global minimizer"
    for row in found.rows:
        assert row.network == pytest.approx(row.theory, rel=1e-6, abs=1e-7), row.name


@EACH
def test_a_spoiled_layer_is_shown_to_be_off(name):
    model = MODELS[name]
    found = compare_on_spheres(*of_network(model, turn=0.1), loss=model.loss)
    rows = {row.name: row for row in found.rows}
    assert found.certificate.verdict == "not critical"
    assert rows["gap"].network >= rows["objective"].network - rows["objective"].theory > 1e-5
    assert rows["cosine"].network < rows["cosine"].theory - 1e-3
    assert rows["nc1"].network > 1e-4


def test_the_numbers_are_those_of_the_definitions():
    model = MODELS["imbalanced"]
    point, labels = of_network(model, turn=0.2)
    rows = compare_on_spheres(point, labels).rows
    found = {row.name: row.network for row in rows}
    logits = point.H @ point.W.T
    loss = float(functional.cross_entropy(logits, labels))
    assert [found["loss"], found["objective"]] == pytest.approx([loss, loss], rel=1e-12)
    own = functional.cosine_similarity(point.H, point.W[labels])
    assert found["cosine"] == pytest.approx(float(own.mean()), rel=1e-12)
    spread = point.H - point.H.mean(0)
    assert found["norm_ratio"] == pytest.approx(math.sqrt(3) / float(spread.square().sum() / 11) ** 0.5, rel=1e-12)
    assert [row.name for row in rows if row.implied] == ["norm_w"] == [rows[-1].name]


def test_a_loss_that_the_minimiser_takes_to_0_is_0_and_not_rounding():
    """Mean squares with logits in reach of the scale; cross-entropy, whose least values are no rounding, keeps its."""
    point, labels = of_network(MODELS["balanced"], turn=0.1)
    squares = {row.name: row.theory for row in compare_on_spheres(point, labels, loss=MeanSquare()).rows}
    assert [squares[name] for name in ("objective", "mean_loss", "gap")] == [0.0, 0.0, 0.0]
    far = compare_on_spheres(replace(point, H=15 * point.H), labels)
    least = next(row.theory for row in far.rows if row.name == "objective")
    assert least == pytest.approx(2 * math.exp(-90), rel=1e-6)


def test_lengths_of_rows_go_into_the_scale():
    """Rows of W of length 2 and features of length 3: cosines times 6. A factor left out is seen in the objective."""
    model = MODELS["balanced"]
    point, labels = of_network(model)
    longer = replace(point, W=2 * point.W, H=3 / SCALE * point.H)
    found = compare_on_spheres(longer, labels)
    assert found.model.scale == pytest.approx(6.0, rel=1e-12)
    loss = float(functional.cross_entropy(longer.H @ longer.W.T, labels))
    assert next(row for row in found.rows if row.name == "objective").network == pytest.approx(loss, rel=1e-12)
    assert loss == pytest.approx(math.log1p(2 * math.exp(-9)), rel=1e-9)


def test_features_behind_a_relu_are_said_to_be():
    point, labels = of_network(MODELS["balanced"])
    assert not compare_on_spheres(point, labels).one_sign
    assert compare_on_spheres(replace(point, H=point.H.abs()), labels).one_sign


def test_plain_data_and_back():
    found = compare_on_spheres(*of_network(MODELS["smoothed"], 0.1), loss=LabelSmoothing(0.1))
    again = OnSpheres.from_plain(found.plain())
    assert again.plain() == found.plain()
    assert again.model == found.model


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: replace(p, W=p.W * torch.tensor([[1.0], [1.5], [1.0]])), "rows of W are to have one length"),
        (lambda p: replace(p, H=0 * p.H), "features are to have one length"),
    ],
)
def test_lengths_that_differ_are_not_comparable(change, words):
    point, labels = of_network(MODELS["balanced"])
    with pytest.raises(NotComparable, match=words):
        compare_on_spheres(change(point), labels)


def test_a_bias_is_refused():
    point, labels = of_network(MODELS["balanced"])
    with pytest.raises(InputError, match="no bias"):
        compare_on_spheres(replace(point, b=point.b + 1), labels)


def test_a_class_without_samples_is_not_comparable():
    point, labels = of_network(MODELS["balanced"])
    with pytest.raises(NotComparable, match="no sample of class 2"):
        compare_on_spheres(point, labels.clamp_max(1))


class OfRun:
    """What the comparison reads of a run."""

    def __init__(self, path, **facts):
        self.path, self.last_point = path, path / "last.safetensors"
        head = HeadFacts("of unit rows", bias=False, feature_norm=SCALE)
        self.minimised = Minimised(**{"loss": LossFacts("cross-entropy"), "head": head} | NONE | facts)


NONE = {"lambda_w": None, "lambda_h": None, "lambda_b": None}


def test_a_run_is_compared_with_its_own_loss_or_the_reason_said(tmp_path):
    point, labels = of_network(MODELS["imbalanced"], 0.1)
    run = OfRun(tmp_path)
    with pytest.raises(InputError, match="recorded no point"):
        compare_run_on_spheres(run)
    replace(point, labels=labels).save(run.last_point)
    assert compare_run_on_spheres(run).model.scale == pytest.approx(SCALE)
    smoothed = OfRun(tmp_path, loss=LossFacts("label-smoothing", {"smoothing": 0.1}))
    assert compare_run_on_spheres(smoothed).model.loss == LabelSmoothing(0.1)
    for facts, words in (
        ({"head": HeadFacts("of unit rows", bias=True, feature_norm=SCALE)}, "the head has a bias"),
        ({"head": HeadFacts()}, "not of one length each"),
        ({"reasons": ("the optimiser minimises no objective",)}, "minimises no objective"),
        ({"loss": LossFacts("mine")}, "no lower bound is known"),
    ):
        with pytest.raises(NotComparable, match=words):
            compare_run_on_spheres(OfRun(tmp_path, **facts))


def test_every_epoch_of_such_a_run_is_bounded(tmp_path):
    """Class means are inside the sphere: f is taken where they point to, from the definition."""
    model = MODELS["imbalanced"]
    run = OfRun(tmp_path)
    run.epochs = [{"epoch": 1.0}]
    run.point = lambda epoch: tmp_path / f"{epoch}.safetensors"
    spoiled, labels = of_network(model, 0.3)
    means = torch.stack([spoiled.H[labels == k].mean(0) for k in range(3)])
    replace(spoiled, H=means).save(run.point(1))
    (step,) = trajectory(run, model)
    logits = SCALE * functional.normalize(means, dim=1) @ spoiled.W.T
    losses = functional.cross_entropy(logits, torch.arange(3), reduction="none")
    assert step.objective == pytest.approx(float(losses @ torch.tensor(COUNTS).double()) / 11, rel=1e-12)
    least = float(model.objective(model.minimize(1).point))
    assert step.lower_bound <= least * (1 + 1e-12) <= step.objective
