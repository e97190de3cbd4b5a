"""Training: reproducible, resumable to the bit, recorded every epoch, measured again from the weights."""

import contextlib
import csv
import dataclasses
import functools
import math
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import networks
from cli.main import main
from networks.backbones import BACKBONES, Family
from networks.checkpoints import save_training
from networks.distributed import ALONE
from networks.models import model_of
from networks.objective import FeaturesAndLogits, Objective
from networks.optimizers import build_optimizer
from networks.revalidate import remeasure
from networks.train import train_epoch
from ufm import InputError, Point
from validate import Run, compare_run, neural_collapse, not_covered


def rows_of(run):
    return [{k: v for k, v in row.items() if not math.isnan(v)} for row in run.epochs]


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


def test_same_seed_same_run(trained, small_recipe, tmp_path):
    again = networks.train(small_recipe, tmp_path / "again")
    assert rows_of(again) == rows_of(trained)
    other = networks.train(dataclasses.replace(small_recipe, seed=1, epochs=1), tmp_path / "other")
    assert other.epochs[0]["loss"] != trained.epochs[0]["loss"]


def test_resumed_is_uninterrupted(trained, small_recipe, tmp_path):
    networks.train(dataclasses.replace(small_recipe, epochs=3), tmp_path / "cut")
    resumed = networks.train(small_recipe, tmp_path / "cut", resume=True)
    assert rows_of(resumed) == rows_of(trained)
    assert Point.load(resumed.last_point).H.equal(Point.load(trained.last_point).H)


@pytest.mark.parametrize("last", [1, 4])
def test_killed_between_two_writes_resumes_to_the_same_numbers(last, small_recipe, trained, tmp_path, monkeypatch):
    """The process dies after an epoch's row was written and before its training state was."""

    def die(path, model, optimizer, epoch):
        if epoch == last:
            raise KeyboardInterrupt
        save_training(path, model, optimizer, epoch)

    monkeypatch.setattr("networks.recording.save_training", die)
    with pytest.raises(KeyboardInterrupt):
        networks.train(small_recipe, tmp_path / "run")
    monkeypatch.undo()
    half = tmp_path / "run" / "points" / ".epoch_0009.safetensors.x1y2"
    half.write_bytes(b"half")
    resumed = networks.train(small_recipe, tmp_path / "run", resume=True)
    assert rows_of(resumed) == rows_of(trained)
    assert not half.exists()


def test_resume_needs_the_same_recipe(run_copy, small_recipe):
    with pytest.raises(InputError, match=r"made with lr = 0.02, not 0.5; resume with the same recipe"):
        networks.train(dataclasses.replace(small_recipe, lr=0.5), run_copy.path, resume=True)


def test_resume_never_loses_epochs(run_copy, small_recipe):
    with pytest.raises(InputError, match="has 6 epochs already; --epochs 3 asks for fewer"):
        networks.train(dataclasses.replace(small_recipe, epochs=3), run_copy.path, resume=True)
    run_copy.last_checkpoint.unlink()
    with pytest.raises(InputError, match="no training state"):
        networks.train(small_recipe, run_copy.path, resume=True)
    assert len(run_copy.epochs) == 6


@pytest.mark.parametrize("batch_size", [300, 1399, 5000])
def test_no_batch_is_left_with_one_sample(small_recipe, batch_size, tmp_path):
    """BatchNorm needs two: 1,400 samples in batches of 1,399 would leave one."""
    run = networks.train(dataclasses.replace(small_recipe, batch_size=batch_size, epochs=1), tmp_path / "run")
    assert len(run.epochs) == 1


def test_an_existing_run_is_kept(run_copy, small_recipe):
    with pytest.raises(InputError, match="--force"):
        networks.train(small_recipe, run_copy.path)
    assert len(run_copy.epochs) == 6


def test_a_loss_that_explodes_is_refused_and_nothing_is_lost(small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, lr=1e30)
    with pytest.raises(InputError, match=r"the loss became .* in epoch 1; lower --lr \(the run keeps 0 epochs\)"):
        networks.train(recipe, tmp_path / "run")


def test_global_generator_is_left_alone(small_recipe, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    networks.train(dataclasses.replace(small_recipe, epochs=1), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_what_is_left_of_a_run_that_exploded_can_be_validated(small_recipe, tmp_path, capsys):
    recipe = dataclasses.replace(small_recipe, gamma=1e20, patience=2, keep=20)
    with pytest.raises(InputError, match=r"the loss became .* in epoch 3; lower --lr \(the run keeps 2 epochs\)"):
        networks.train(recipe, tmp_path / "run")
    assert [row["epoch"] for row in Run.open(tmp_path / "run").epochs] == [1, 2]
    assert main(["validate", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "1 checkpoints measure what training recorded" in text
    assert "theory: not covered (the run ended before it recorded a point)" in text


def test_killed_while_replacing_a_run_replaces_it_the_next_time(run_copy, small_recipe, monkeypatch):
    def die(path, **_):
        for config in path.glob("config.json"):
            config.unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", die)
    with pytest.raises(KeyboardInterrupt):
        networks.train(small_recipe, run_copy.path, force=True)
    monkeypatch.undo()
    run = networks.train(dataclasses.replace(small_recipe, epochs=1), run_copy.path, force=True)
    assert len(run.epochs) == 1
    assert [path.name for path in run.path.parent.iterdir()] == [run.path.name]


def test_replacing_and_going_on_exclude_each_other(run_copy, small_recipe):
    with pytest.raises(InputError, match="--force replaces a run and --resume goes on with it; give one of them"):
        networks.train(small_recipe, run_copy.path, force=True, resume=True)
    assert len(run_copy.epochs) == 6


BAD = [
    ({"epochs": 0}, "epochs must be >= 1, got 0"),
    ({"batch_size": 0}, "batch_size must be >= 2"),
    ({"seed": -1}, r"seed must lie in \[0, 2\^32\), got -1"),
    ({"seed": 2**32}, r"seed must lie in \[0, 2\^32\), got 4294967296"),
    ({"lr": -0.1}, "lr must be a finite number > 0, got -0.1"),
    ({"lr": math.nan}, "lr must be a finite number > 0, got nan"),
    ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
    ({"weight_decay": -1e-3}, "weight_decay must be a finite number > 0"),
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


def test_every_checkpoint_measures_what_was_recorded(trained):
    found = remeasure(trained)
    assert [item.epoch for item in found] == [2, 4, 6]
    assert max(item.deviation for item in found) < 1e-5


def test_a_swapped_checkpoint_is_seen(run_copy):
    run_copy.checkpoint(4).write_bytes(run_copy.checkpoint(2).read_bytes())
    found = {item.epoch: item.deviation for item in remeasure(run_copy)}
    assert found[4] > 1e-2
    assert max(found[2], found[6]) < 1e-5


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


def test_no_pickle_is_written(trained):
    kinds = {path.suffix for path in trained.path.rglob("*") if path.is_file()}
    assert kinds == {".json", ".csv", ".safetensors"}
    with (trained.path / "epochs.csv").open() as file:
        assert len({len(row) for row in csv.reader(file)}) == 1


class Noisy(torch.nn.Sequential):
    """A backbone that draws from all generators there are while it trains."""

    def forward(self, x):
        if self.training:
            x = x + 0.1 * random.random() + 0.1 * float(np.random.rand())
        return super().forward(x)


def noisy(recipe, image_shape):
    first, dropout, last = torch.nn.Linear(64, 32), torch.nn.Dropout(0.2), torch.nn.Linear(32, 16)
    return Noisy(torch.nn.Flatten(), first, torch.nn.ReLU(), dropout, last), 16


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
def test_random_layers_and_augmentation_resume_to_the_same_numbers(augment, small_recipe, tmp_path, monkeypatch):
    family = Family(lambda: ("noisy",), ("width", "depth"), False, (1, 8, 8), noisy)
    monkeypatch.setattr("networks.models.BACKBONES", (family, *BACKBONES))
    recipe = dataclasses.replace(small_recipe, model="noisy", augment=augment, epochs=3)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    whole = networks.train(recipe, tmp_path / "whole")
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert states[0].equal(after[0])
    assert states[1:] == after[1:]
    torch.rand(3), random.random(), np.random.rand()
    networks.train(dataclasses.replace(recipe, epochs=1), tmp_path / "cut")
    resumed = networks.train(recipe, tmp_path / "cut", resume=True)
    assert (resumed.path / "epochs.csv").read_bytes() == (whole.path / "epochs.csv").read_bytes()


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_killed_in_an_epoch_resumes_to_the_same_bytes(optimizer, tmp_path):
    flags = ["--optimizer", optimizer, "--width", "16", "--depth", "1", "--batch-size", "350", "--device", "cpu"]
    flags += ["--runs", str(tmp_path), "--epochs", "40", "--keep", "7", "--augment", "crop-flip", "--max-iter", "4"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "cli", "train", *flags, "--name", "killed"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        state, deadline = tmp_path / "killed" / "checkpoints" / "last.safetensors", time.monotonic() + 120
        while not state.is_file() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    assert 1 <= len(Run.open(tmp_path / "killed").epochs) < 40
    assert main(["train", *flags, "--name", "killed", "--resume"]) == 0
    assert main(["train", *flags, "--name", "whole"]) == 0
    killed, whole = ((tmp_path / name / "epochs.csv").read_bytes() for name in ("killed", "whole"))
    assert killed == whole


def test_cosine_needs_its_number_of_epochs(small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, schedule="cosine", epochs=1)
    networks.train(recipe, tmp_path / "run")
    with pytest.raises(InputError, match="made with epochs = 1, not 2"):
        networks.train(dataclasses.replace(recipe, epochs=2), tmp_path / "run", resume=True)


def test_feature_decay_is_recorded_as_lambda_h_and_compared_with(small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, feature_decay=0.7, epochs=2)
    run = networks.train(recipe, tmp_path / "run")
    assert run.config["lambda_h"] == pytest.approx(0.7 / 1400, rel=1e-12)
    assert compare_run(run).problem.lambda_h == pytest.approx(0.7 / 1400, rel=1e-12)
    resumed = networks.train(dataclasses.replace(recipe, epochs=3), run.path, resume=True)
    assert resumed.config["lambda_h"] == run.config["lambda_h"]
    free = networks.train(dataclasses.replace(recipe, feature_decay=0.0), tmp_path / "free")
    assert "lambda_h" not in free.config
    assert run.epochs[1]["norm_h"] < free.epochs[1]["norm_h"]


NOT_COMPARED = {"loss": ("mse", "trained with the loss mse"), "optimizer": ("adamw", "decoupled")}


@pytest.mark.parametrize("setting", NOT_COMPARED)
def test_another_objective_is_measured_but_not_compared(setting, small_recipe, tmp_path, capsys):
    value, reason = NOT_COMPARED[setting]
    run = networks.train(dataclasses.replace(small_recipe, epochs=2, **{setting: value}), tmp_path / "run")
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
    with pytest.raises(InputError, match=r"torch cannot compile mlp here \(.*no compiler.*\); leave --compile out"):
        networks.train(dataclasses.replace(small_recipe, epochs=1, compile=True), tmp_path / "run")


def scalars(run):
    """What TensorBoard itself reads of a run: {(name, epoch): value}, once each."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = [((name, event.step), event.value) for name in events.Tags()["scalars"] for event in events.Scalars(name)]
    assert len(found) == len(dict(found))
    return dict(found)


def numbers(rows):
    return {(name, int(row["epoch"])): value for row in rows for name, value in row.items() if name != "epoch"}


def test_tensorboard_has_every_number_once(small_recipe, tmp_path, monkeypatch):
    """Of epochs without a board, of one whose process died before it wrote to it, and of those after."""
    recipe = dataclasses.replace(small_recipe, tensorboard=True)
    networks.train(dataclasses.replace(small_recipe, epochs=1), tmp_path / "run")
    run = networks.train(dataclasses.replace(recipe, epochs=2), tmp_path / "run", resume=True)
    assert scalars(run) == pytest.approx(numbers(run.epochs), rel=1e-6, nan_ok=True)

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.flush", die)
    with pytest.raises(KeyboardInterrupt):
        networks.train(dataclasses.replace(recipe, epochs=3), tmp_path / "run", resume=True)
    monkeypatch.undo()
    networks.train(dataclasses.replace(recipe, epochs=4), tmp_path / "run", resume=True)
    assert len(run.epochs) == 4
    assert scalars(run) == pytest.approx(numbers(run.epochs), rel=1e-6, nan_ok=True)


def test_without_tensorboard_one_line_says_what_to_install(small_recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        networks.train(dataclasses.replace(small_recipe, tensorboard=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_that_overflow_after_the_last_batch_are_refused(small_recipe, tmp_path):
    """The loss of the only batch was finite, what the step made of the weights is not."""
    recipe = dataclasses.replace(small_recipe, batch_size=1400, lr=1e38, weight_decay=1e30)
    with pytest.raises(InputError, match=r"epoch 1 cannot be measured: .* not finite .*lower --lr .*keeps 0 epochs"):
        networks.train(recipe, tmp_path / "run")


def test_resuming_forgets_what_was_validated(run_copy, small_recipe):
    run_copy.analysis.write_text("{}")
    networks.train(dataclasses.replace(small_recipe, epochs=7), run_copy.path, resume=True)
    assert not run_copy.analysis.exists()


def test_resume_wants_every_epoch(run_copy, small_recipe):
    rows = run_copy.epochs
    run_copy.write_epochs([rows[0], *rows[3:]])
    with pytest.raises(InputError, match="does not list the epochs 1, 2"):
        networks.train(small_recipe, run_copy.path, resume=True)


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
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
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
