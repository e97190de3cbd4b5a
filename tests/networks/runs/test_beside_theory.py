"""Runs of every loss beside theory: the record says the loss, and the comparison is with that loss's model."""

import dataclasses

import pytest
import torch

import networks
import ufm
from networks.optim.losses import LOSSES
from ufm import Point
from ufm_cli.main import main
from validate import Run, compare_run, locate, not_covered
from validate.theory.trajectory import trajectory

FREE = [name for name, loss in LOSSES.items() if not loss.given_w]


@pytest.fixture(scope="module")
def runs(small_recipe, tmp_path_factory) -> dict[str, Run]:
    """Three epochs under each loss."""
    folder = tmp_path_factory.mktemp("losses")
    recipes = {name: dataclasses.replace(small_recipe, loss=name, epochs=3, focusing=1.0) for name in FREE}
    return {name: networks.train(recipe, folder / name) for name, recipe in recipes.items()}


@pytest.mark.parametrize("name", FREE)
def test_a_run_is_beside_the_minimiser_of_its_own_loss(name, runs):
    run = runs[name]
    assert not_covered(run) is None
    found = compare_run(run)
    assert found.problem.loss == run.minimised.loss.of_theory
    assert found.certified
    assert ufm.certify(found.problem, found.minimizer).verdict == "global minimizer"
    rows = {row.name: row for row in found.rows}
    least, objective = rows["objective"].theory, rows["objective"].network
    assert rows["lower_bound"].network <= least <= objective
    assert rows["lower_bound"].theory == pytest.approx(least, rel=1e-8)
    assert rows["gap"].network >= objective - least > 0
    assert locate(found).verdict == "global minimizer"


@pytest.mark.parametrize("name", FREE)
def test_the_objective_beside_theory_is_the_one_that_training_minimises(name, runs):
    """Of the last point: the loss that the training computes, and the decays where the shift puts features and bias."""
    run = runs[name]
    point, recipe, found = Point.load(run.last_point).double(), networks.recipe_of(run), compare_run(run)
    counts = tuple(torch.bincount(point.labels).tolist())
    mean = float(LOSSES[name](point.logits, point.labels, recipe, counts))
    rows = {row.name: row.network for row in found.rows}
    assert rows["loss" if name == "cross-entropy" else "mean_loss"] == pytest.approx(mean, rel=1e-9)
    W, H, b = (float(part.square().sum()) for part in (found.point.W, found.point.H, found.point.b))
    decay = recipe.weight_decay * (W + b) + found.problem.lambda_h * H
    assert rows["objective"] == pytest.approx(mean + decay / 2, rel=1e-9)
    torch.testing.assert_close(found.point.logits, point.logits)


@pytest.mark.parametrize("name", FREE)
def test_every_epoch_is_bounded_under_the_runs_loss(name, runs):
    found = compare_run(runs[name])
    least = next(row.theory for row in found.rows if row.name == "objective")
    steps = trajectory(runs[name], found.problem)
    assert [step.epoch for step in steps] == [1, 2, 3]
    assert all(step.lower_bound <= least <= step.objective for step in steps)


def test_another_loss_than_the_runs_is_seen(runs):
    """The record of a run with mean squares changed to say cross-entropy: another minimiser, another margin."""
    run = runs["mse"]
    config, honest = run.config, compare_run(run)
    margin = next(row.theory for row in honest.rows if row.name == "mean_margin")
    planted = Run.create(run.path.parent / "planted", config)
    planted.write_config(config | {"minimised": config["minimised"] | {"loss": {"name": "bce", "parameters": {}}}})
    Point.load(run.last_point).save(planted.last_point)
    wrong = compare_run(planted)
    assert abs(next(row.theory for row in wrong.rows if row.name == "mean_margin") / margin - 1) > 0.5
    assert wrong.certificate.value / honest.certificate.value > 10


def test_the_command_puts_theory_beside_it(runs, capsys):
    run = runs["mse"]
    assert main(["validate", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert "theory (" in text
    assert "beside network: mse, lambda_w = 0.005" in text
    assert "mean loss: mse" in text
    assert "not covered" not in text
    assert "certified by duality" in text
    assert main(["report", str(run.path)]) == 0
    page = (run.path / "report.html").read_text()
    assert "minimiser of the run&#39;s own unconstrained feature model (loss: mse)" in page
    assert "training cross-entropy" in page


def test_rescaled_squares_are_compared_with_theirs(small_recipe, tmp_path):
    few = dataclasses.replace(small_recipe, loss="mse", own_weight=3.0, own_target=2.0, per_class=10, epochs=3)
    run = networks.train(few, tmp_path / "run")
    found = compare_run(run)
    assert found.problem.loss == ufm.losses.MeanSquare(weight=3.0, target=2.0)
    assert run.minimised.loss.said == "mse (weight 3, target 2)"
    assert found.certified


def test_dot_regression_is_beside_features_along_the_frame(small_recipe, tmp_path, capsys):
    """h = a w_y with a = T/(|w|^2 + N lambda_h T), worked out by hand; with another T the minimiser is another."""
    settings = {"loss": "dot-regression", "own_target": 2.0, "head": "etf", "bias": False, "feature_decay": 0.1}
    few = dataclasses.replace(small_recipe, **settings, per_class=10, epochs=8, batch_size=20)
    run = networks.train(few, tmp_path / "run")
    found = compare_run(run)
    T, W = 2.0, Point.load(run.last_point).W.double()
    a = T / (float(W[0].square().sum()) + 0.1 * T)
    torch.testing.assert_close(found.minimizer.H, a * W, rtol=1e-4, atol=1e-7)
    assert found.certified
    rows = {row.name: row for row in found.rows}
    assert rows["lower_bound"].network <= rows["objective"].theory <= rows["objective"].network
    planted = Run.create(tmp_path / "planted", run.config)
    facts = run.config["minimised"]
    loss = facts["loss"] | {"parameters": {"target": 1.0}}
    planted.write_config(run.config | {"minimised": facts | {"loss": loss}})
    Point.load(run.last_point).save(planted.last_point)
    wrong = {row.name: row.theory for row in compare_run(planted).rows}
    assert abs(wrong["mean_margin"] / rows["mean_margin"].theory - 1) > 0.1
    assert main(["validate", str(run.path)]) == 0
    assert "dot-regression, target 2" in capsys.readouterr().out
