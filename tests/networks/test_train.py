"""Training: reproducible, recorded every epoch, the same in every faster way, refused where it cannot go well."""

import contextlib
import csv
import dataclasses
import functools
import math

import numpy as np
import pytest
import torch

import networks
from networks.arrangement import arranged
from networks.distributed import ALONE
from networks.models.build import model_of
from networks.objective import FeaturesAndLogits, Objective
from networks.optim.optimizers import build_optimizer
from networks.runs.checkpoints import load_model
from networks.runs.remeasure import remeasure
from networks.train import train_epoch
from tests.networks.runs.records import rows_of
from ufm import InputError, Point
from ufm_cli.main import main
from validate import compare_run, neural_collapse, not_covered


def test_a_run_has_everything_on_disk(trained, small_recipe):
    assert [row["epoch"] for row in trained.epochs] == [1, 2, 3, 4, 5, 6]
    assert list(trained.checkpoints) == [2, 4, 6]
    assert all(trained.point(epoch).is_file() for epoch in range(1, 7))
    assert networks.recipe_of(trained) == small_recipe
    assert "torch" in trained.config["versions"]
    assert sorted(p.name for p in trained.path.iterdir()) == ["checkpoints", "config.json", "epochs.csv", "points"]


def test_it_learns(trained):
    first, last = trained.epochs[0], trained.epochs[-1]
    assert last["loss"] < first["loss"]
    assert last["test_accuracy"] > 0.7
    assert last["nc1"] < first["nc1"]


def test_recorded_metrics_are_those_of_the_recorded_point(trained):
    point = Point.load(trained.last_point)
    last = trained.epochs[-1]
    for name, value in dataclasses.asdict(neural_collapse(point)).items():
        assert last[name] == pytest.approx(value, rel=1e-9, abs=1e-12)
    means = Point.load(trained.point(6))
    torch.testing.assert_close(means.W, point.W)
    for k in range(10):
        torch.testing.assert_close(means.H[k], point.H[point.labels == k].mean(0), rtol=1e-4, atol=1e-5)


def test_test_columns_are_of_the_test_set_about_the_training_centres(trained, small_recipe):
    """In loops, from the features of the last checkpoint, and not what the test set's own means give."""
    images = networks.load("digits", small_recipe.seed)
    model = model_of(small_recipe, images.num_classes, images.image_shape)
    load_model(trained.checkpoint(6), model)
    model.eval()
    with torch.no_grad():
        features = model.backbone(images.normalized(images.test_images)).double().numpy()
    train, last = Point.load(trained.last_point), trained.epochs[-1]
    H, y, t = train.H.double().numpy(), train.labels.numpy(), images.test_labels.numpy()
    means = np.stack([H[y == k].mean(0) for k in range(10)])
    own = np.stack([features[t == k].mean(0) for k in range(10)])
    between = ((means - H.mean(0)) ** 2).sum() / 10
    quotients = [((features - centres[t]) ** 2).sum() / len(t) / between for centres in (means, own)]
    assert last["test_nc1_quotient"] == pytest.approx(quotients[0], rel=1e-5)
    assert quotients[0] > 1.01 * quotients[1]
    nearest = np.array([np.argmin(np.linalg.norm(means - h, axis=1)) for h in features])
    assert last["test_nearest_center_accuracy"] == pytest.approx(np.mean(nearest == t), abs=1e-12)
    assert last["test_nearest_center_accuracy"] < last["nearest_center_accuracy"]


def test_same_seed_same_run(trained, small_recipe, tmp_path):
    again = networks.train(small_recipe, tmp_path / "again")
    assert rows_of(again) == rows_of(trained)
    other = networks.train(dataclasses.replace(small_recipe, seed=1, epochs=1), tmp_path / "other")
    assert other.epochs[0]["loss"] != trained.epochs[0]["loss"]


@pytest.mark.parametrize("batch_size", [300, 1399, 5000])
def test_no_batch_is_left_with_one_sample(small_recipe, batch_size, tmp_path):
    """BatchNorm needs two: 1,400 samples in batches of 1,399 would leave one."""
    run = networks.train(dataclasses.replace(small_recipe, batch_size=batch_size, epochs=1), tmp_path / "run")
    assert len(run.epochs) == 1


def test_a_loss_that_explodes_is_refused_and_nothing_is_lost(small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, lr=1e30)
    with pytest.raises(InputError, match=r"the loss became .* in epoch 1; lower lr \(the run keeps 0 epochs\)"):
        networks.train(recipe, tmp_path / "run")


def test_global_generator_is_left_alone(small_recipe, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    networks.train(dataclasses.replace(small_recipe, epochs=1), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


BAD = [
    ({"epochs": 0}, "epochs must be >= 1, got 0"),
    ({"batch_size": 0}, "batch_size must be >= 2"),
    ({"seed": -1}, r"seed must lie in \[0, 2\^32\), got -1"),
    ({"seed": 2**32}, r"seed must lie in \[0, 2\^32\), got 4294967296"),
    ({"lr": -0.1}, "lr must be a finite number > 0, got -0.1"),
    ({"lr": math.nan}, "lr must be a finite number > 0, got nan"),
    ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
    ({"weight_decay": -1e-3}, "weight_decay must be a finite number >= 0"),
    ({"milestones": 3}, "milestones must be whole numbers, got 3"),
    ({"milestones": (3, "4")}, "milestones must be whole numbers"),
    ({"schedule": "milestones", "milestones": (5, 3)}, "milestones must be epochs in ascending order"),
    ({"epochs": "x"}, "epochs must be a whole number, got 'x'"),
    ({"epochs": True}, "epochs must be a whole number, got True"),
    ({"lr": None}, "lr must be a number, got None"),
    ({"lr": 10**400}, "lr must be a number"),
    ({"head": []}, "head must be text"),
    ({"imbalance": -1}, "imbalance must be text or None, got -1"),
    ({"bias": None}, "bias must be True or False"),
    ({"width": "wide"}, "width must be a whole number or None"),
]


def test_the_largest_seed_trains(small_recipe, tmp_path):
    assert networks.train(dataclasses.replace(small_recipe, seed=2**32 - 1, epochs=1), tmp_path / "run").epochs


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_refuses_recipes(changes, message):
    with pytest.raises(InputError, match=message):
        networks.Recipe(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"data": "nothing"}, "unknown data set"), ({"model": "nothing"}, "unknown model"), ({"device": "tpu"}, "device")],
)
def test_refuses_what_does_not_exist_before_a_run_is_made(small_recipe, changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        networks.train(dataclasses.replace(small_recipe, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_pickle_is_written(trained):
    kinds = {path.suffix for path in trained.path.rglob("*") if path.is_file()}
    assert kinds == {".json", ".csv", ".safetensors"}
    with (trained.path / "epochs.csv").open() as file:
        assert len({len(row) for row in csv.reader(file)}) == 1


def test_feature_decay_is_recorded_as_lambda_h_and_compared_with(small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, feature_decay=0.7, epochs=2)
    run = networks.train(recipe, tmp_path / "run")
    assert run.minimised.lambda_h == pytest.approx(0.7 / 1400, rel=1e-12)
    assert compare_run(run).problem.lambda_h == pytest.approx(0.7 / 1400, rel=1e-12)
    resumed = networks.train(dataclasses.replace(recipe, epochs=3), run.path, resume=True)
    assert resumed.minimised == run.minimised
    free = networks.train(dataclasses.replace(recipe, feature_decay=0.0), tmp_path / "free")
    assert (free.minimised.lambda_h, free.minimised.implied_by) == (None, "balance")
    assert run.epochs[1]["norm_h"] < free.epochs[1]["norm_h"]


def test_another_objective_is_measured_but_not_compared(small_recipe, tmp_path, capsys):
    reason = "decoupled"
    run = networks.train(dataclasses.replace(small_recipe, epochs=2, optimizer="adamw"), tmp_path / "run")
    with pytest.raises(InputError, match=reason):
        compare_run(run)
    assert main(["validate", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert "1 checkpoints measure what training recorded" in text
    assert f"theory: not covered ({not_covered(run)})" in text
    assert "beside network" not in text
    assert main(["report", str(run.path)]) == 0
    assert reason in (run.path / "report.html").read_text()


@pytest.mark.parametrize("changes", [{"amp": True}, {"channels_last": True}, {"optimizer": "lbfgs", "amp": True}])
def test_faster_ways_train_alike(changes, trained, small_recipe, tmp_path):
    run = networks.train(dataclasses.replace(small_recipe, epochs=3, **changes), tmp_path / "run")
    assert run.epochs[-1]["loss"] < run.epochs[0]["loss"]
    assert max(item.deviation for item in remeasure(run)) < 1e-5
    if changes == {"channels_last": True}:
        assert rows_of(run) == rows_of(trained)[:3]


def test_the_compiled_pass_is_the_same_function(trained, small_recipe, tmp_path, monkeypatch):
    """Captured by dynamo and run as captured; what a code generator makes of it is torch's affair."""
    captured = []

    def backend(graph, inputs):
        captured.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    run = networks.train(dataclasses.replace(small_recipe, epochs=2, compile=True), tmp_path / "run")
    assert captured
    for row, expected in zip(rows_of(run), rows_of(trained), strict=False):
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_without_a_compiler_one_line_says_what_to_leave_out(small_recipe, tmp_path, monkeypatch):
    def backend(graph, inputs):
        raise OSError("no compiler")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    with pytest.raises(InputError, match=r"torch cannot compile mlp here \(.*no compiler.*\); leave compile=True out"):
        networks.train(dataclasses.replace(small_recipe, epochs=1, compile=True), tmp_path / "run")


def test_weights_that_overflow_after_the_last_batch_are_refused(small_recipe, tmp_path):
    """The loss of the only batch was finite, what the step made of the weights is not."""
    recipe = dataclasses.replace(small_recipe, batch_size=1400, lr=1e38, weight_decay=1e30)
    with pytest.raises(InputError, match=r"epoch 1 cannot be measured: .* not finite .*lower lr .*keeps 0 epochs"):
        networks.train(recipe, tmp_path / "run")


STEPS = [
    {"optimizer": "sgd", "feature_decay": 0.1},
    {"optimizer": "adam", "loss": "mse"},
    {"optimizer": "adamw", "loss": "focal", "head": "normalized"},
    {"loss": "label-smoothing", "amp": True, "head": "etf"},
    {"model": "resnet18", "width": 8, "depth": None, "channels_last": True, "augment": "crop-flip"},
]


@pytest.mark.parametrize("changes", STEPS)
def test_no_step_waits_for_the_device(changes, small_recipe, monkeypatch):
    """On torch's meta device, where tensors have no values, whatever asks for one raises."""
    recipe, device = dataclasses.replace(small_recipe, **changes), torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it knows no meta device
    images = networks.load("digits").to(device)
    with device:
        model = model_of(recipe, images.num_classes, images.image_shape)
    model = arranged(model, recipe, device)
    objective = Objective(recipe, model, FeaturesAndLogits(model))
    total = train_epoch(objective, build_optimizer(recipe, model), images, ALONE, epoch=1)
    assert (total.device, total.shape, total.dtype) == (device, (), torch.float64)


def test_metrics_are_measured_without_tf32():
    seen, images = [], networks.load("digits")
    model = networks.build_model("mlp", 10, width=8, depth=0)
    model.head.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    networks.measure(model, images)
    assert set(seen) == {False}
    assert torch.backends.cudnn.allow_tf32 is before
