"""Runs on few samples of some classes, under losses that weigh or shift classes, beside the theory of those losses."""

import dataclasses
import re
import shutil

import pytest
import torch
from sklearn.metrics import recall_score

import networks
import ufm
from networks.runs.checkpoints import load_model
from ufm import Point
from ufm.losses import CrossEntropy, Focal, LogitAdjusted, Weighted
from ufm_cli.main import main
from validate import Run, by_group, compare_run, not_covered

COUNTS = (15,) * 5 + (3,) * 5
WAYS = {
    "balanced weights": {"class_weights": "balanced"},
    "weights": {"class_weights": (1.0,) * 5 + (2.0,) * 5},
    "focal": {"loss": "focal", "focusing": 1.0, "class_weights": "balanced"},
    "adjusted": {"loss": "logit-adjusted", "tau": 0.5},
    "balanced softmax": {"loss": "balanced-softmax"},
}
LAWS = {  # what theory has to be asked, written out
    "balanced weights": Weighted(CrossEntropy(), [0.6] * 5 + [3.0] * 5),
    "weights": Weighted(CrossEntropy(), [1.0] * 5 + [2.0] * 5),
    "focal": Weighted(Focal(1.0), [0.6] * 5 + [3.0] * 5),
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


def test_head_and_tail_accuracy_are_sklearns_of_the_test_set(runs):
    """The recall of each class, averaged; a mean over all test samples is another number."""
    run = runs["weights"]
    recipe, row = networks.recipe_of(run), run.epochs[-1]
    images = networks.load(recipe, recipe.seed)
    model = networks.build_model("mlp", 10, width=32, depth=1, feature_dim=16)
    load_model(run.checkpoint(3), model)
    with torch.no_grad():
        found = model.eval()(images.normalized(images.test_images)).argmax(1)
    recalls = recall_score(images.test_labels, found, average=None)
    assert row["test_accuracy_head"] == pytest.approx(recalls[:5].mean(), rel=1e-12)
    assert row["test_accuracy_tail"] == pytest.approx(recalls[5:].mean(), rel=1e-12)
    assert "test_accuracy_middle" not in row
    assert abs(row["test_accuracy_head"] - row["test_accuracy"]) > 0.05


def test_validate_prints_them_with_a_row_of_collapse_for_each(runs, capsys):
    run = runs["weights"]
    assert main(["validate", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert "epoch  test_accuracy_head  test_accuracy_tail\n" in text
    assert "head, middle and tail: thirds" in text
    assert re.search(r"^metric +head +tail$", text, re.MULTILINE)
    assert "beside network: cross-entropy, class weights 1 1 1 1 1 2 2 2 2 2" in text
    point = Point.load(run.last_point)
    rows = by_group(point, groups={"head": range(5), "tail": range(5, 10)})
    assert [f"{row['cosine_w']:.4g}"[:6] in text for row in rows] == [True, True]


def test_a_record_of_a_former_version_has_none_and_agrees(runs, tmp_path):
    """And one in which they are wrong does not agree."""
    run = Run(shutil.copytree(runs["weights"].path, tmp_path / "former"))
    rows = run.epochs
    run.write_epochs([{k: v for k, v in row.items() if "accuracy_" not in k} for row in rows])
    assert all(item.agrees for item in networks.remeasure(run))
    run.write_epochs([row | {"test_accuracy_tail": row["test_accuracy_head"]} for row in rows])
    assert not any(item.agrees for item in networks.remeasure(run))


def test_a_run_with_tiers_goes_on(runs, tmp_path):
    run = Run(shutil.copytree(runs["adjusted"].path, tmp_path / "on"))
    longer = dataclasses.replace(networks.recipe_of(run), epochs=4)
    assert networks.train(longer, run.path, resume=True).epochs[:3] == runs["adjusted"].epochs
