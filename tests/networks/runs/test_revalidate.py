"""Measuring again: every checkpoint gives what training recorded, and what was changed since is seen."""

import dataclasses
import math

import pytest

import networks
from networks.runs.remeasure import Remeasured, remeasure
from ufm import InputError
from ufm_cli.main import main
from validate import Run


def test_what_is_left_of_a_run_that_exploded_can_be_validated(small_recipe, tmp_path, capsys):
    recipe = dataclasses.replace(small_recipe, gamma=1e20, patience=2, keep=20)
    with pytest.raises(InputError, match=r"the loss became .* in epoch 3; lower lr \(the run keeps 2 epochs\)"):
        networks.train(recipe, tmp_path / "run")
    assert [row["epoch"] for row in Run.open(tmp_path / "run").epochs] == [1, 2]
    assert main(["validate", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "1 checkpoints measure what training recorded" in text
    assert "theory: not covered (the run ended before it recorded a point)" in text


def test_every_checkpoint_measures_what_was_recorded(trained):
    found = remeasure(trained)
    assert [item.epoch for item in found] == [2, 4, 6]
    assert max(item.deviation for item in found) < 1e-5


def test_a_swapped_checkpoint_is_seen(run_copy):
    run_copy.checkpoint(4).write_bytes(run_copy.checkpoint(2).read_bytes())
    measured = remeasure(run_copy)
    assert [item.agrees for item in measured] == [True, False, True]
    found = {item.epoch: item.deviation for item in measured}
    assert found[4] > 1e-2
    assert max(found[2], found[6]) < 1e-5


@pytest.mark.parametrize(
    ("deviation", "agrees"), [(0.0, True), (1e-3, True), (1.1e-3, False), (math.inf, False), (math.nan, False)]
)
def test_a_deviation_is_allowed_up_to_rounding(deviation, agrees):
    assert Remeasured(1, {}, deviation).agrees is agrees


def test_what_somebody_put_beside_the_checkpoints_is_none(run_copy):
    (run_copy.path / "checkpoints" / "epoch_0004_old.safetensors").write_bytes(b"")
    run_copy.last_checkpoint.write_bytes(run_copy.checkpoint(2).read_bytes())
    assert [item.epoch for item in remeasure(run_copy)] == [2, 4, 6]


def test_a_changed_record_is_seen(run_copy):
    rows = run_copy.epochs
    rows[1]["nc1"] *= 1.01
    run_copy.write_epochs(rows)
    assert {item.epoch for item in remeasure(run_copy) if item.deviation > 1e-3} == {2}


def test_a_metric_that_is_not_defined_agrees_with_itself_alone(run_copy, small_recipe, tmp_path):
    """So much feature decay leaves all features in one place: no angles between class means."""
    dead = networks.train(dataclasses.replace(small_recipe, feature_decay=1e6), tmp_path / "dead")
    assert any(math.isnan(value) for value in dead.epochs[-1].values())
    assert max(item.deviation for item in remeasure(dead)) < 1e-3
    rows = run_copy.epochs
    rows[1]["nc1"] = math.nan
    run_copy.write_epochs(rows)
    assert {item.epoch for item in remeasure(run_copy) if item.deviation == math.inf} == {2}


def test_an_epoch_without_a_record_does_not_agree(run_copy):
    run_copy.write_epochs(run_copy.epochs[:1])
    assert all(item.deviation == math.inf for item in remeasure(run_copy))


def test_checkpoint_of_another_model_is_refused(run_copy):
    config = run_copy.config
    config["recipe"]["width"] = 33
    run_copy.write_config(config)
    with pytest.raises(InputError, match="does not fit the run's model"):
        remeasure(run_copy)
