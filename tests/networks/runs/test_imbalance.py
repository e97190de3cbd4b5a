"""Runs on few samples of some classes, under losses that weigh or shift classes, beside the theory of those losses."""

import dataclasses

import pytest

import networks
import ufm
from ufm import Point
from ufm.losses import LogitAdjusted, SoftCrossEntropy
from validate import Run, compare_run, not_covered

COUNTS = (15,) * 5 + (3,) * 5
WAYS = {
    "balanced weights": {"class_weights": "balanced"},
    "weights": {"class_weights": (1.0,) * 5 + (2.0,) * 5},
    "adjusted": {"loss": "logit-adjusted", "tau": 0.5},
    "balanced softmax": {"loss": "balanced-softmax"},
}
LAWS = {  # what theory has to be asked, written out
    "balanced weights": SoftCrossEntropy.weighted([0.6] * 5 + [3.0] * 5),
    "weights": SoftCrossEntropy.weighted([1.0] * 5 + [2.0] * 5),
}


@pytest.fixture(scope="module")
def runs(small_recipe, tmp_path_factory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("imbalance")
    few = dataclasses.replace(small_recipe, per_class=15, imbalance="step:0.2", epochs=3, batch_size=30)
    return {name: networks.train(dataclasses.replace(few, **way), folder / name) for name, way in WAYS.items()}


@pytest.mark.parametrize("name", WAYS)
def test_a_run_is_beside_the_minimiser_of_its_own_loss(name, runs):
    found = compare_run(runs[name])
    assert found.problem.class_counts == COUNTS
    if name in LAWS:
        assert found.problem.loss == LAWS[name]
    assert found.certified
    assert ufm.certify(found.problem, found.minimizer).verdict == "global minimizer"
    rows = {row.name: row for row in found.rows}
    assert rows["lower_bound"].network <= rows["objective"].theory <= rows["objective"].network


def test_offsets_of_other_counts_are_seen(runs):
    """The record of balanced softmax with the classes' offsets turned round: another minimiser, a worse network."""
    run, honest = runs["balanced softmax"], compare_run(runs["balanced softmax"])
    assert isinstance(honest.problem.loss, LogitAdjusted)
    planted = Run.create(run.path.parent / "planted", run.config)
    facts = run.config["minimised"]
    turned = facts["loss"]["parameters"]["offsets"][::-1]
    loss = facts["loss"] | {"parameters": {"offsets": turned}}
    planted.write_config(run.config | {"minimised": facts | {"loss": loss}})
    Point.load(run.last_point).save(planted.last_point)
    wrong = compare_run(planted)
    assert wrong.certificate.value > 1.1 * honest.certificate.value


def test_the_loss_in_words(runs):
    said = {name: run.minimised.loss.said for name, run in runs.items()}
    assert said["balanced weights"] == "weighted-cross-entropy (weights 0.6 ... 3)"
    assert said["balanced softmax"] == "logit-adjusted (offsets 2.708 ... 1.099)"


def test_a_record_with_a_weight_too_few_is_not_covered(runs):
    run = runs["weights"]
    facts = run.config["minimised"]
    for parameters in ({}, {"weights": [1.0, -1.0]}, {"weights": "much"}):
        planted = Run.create(run.path.parent / "damaged", run.config, force=True)
        planted.write_config(run.config | {"minimised": facts | {"loss": facts["loss"] | {"parameters": parameters}}})
        assert "the record of the run's loss is damaged" in not_covered(planted)
