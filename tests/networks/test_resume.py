"""Going on: a run killed at any moment goes on to the same numbers, and is never replaced or mixed up unasked."""

import dataclasses
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
from tests.networks.records import rows_of
from ufm import InputError, Point
from validate import Run


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


def test_an_existing_run_is_kept(run_copy, small_recipe):
    with pytest.raises(InputError, match="--force"):
        networks.train(small_recipe, run_copy.path)
    assert len(run_copy.epochs) == 6


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


def test_resuming_forgets_what_was_validated(run_copy, small_recipe):
    run_copy.analysis.write_text("{}")
    networks.train(dataclasses.replace(small_recipe, epochs=7), run_copy.path, resume=True)
    assert not run_copy.analysis.exists()


def test_resume_wants_every_epoch(run_copy, small_recipe):
    rows = run_copy.epochs
    run_copy.write_epochs([rows[0], *rows[3:]])
    with pytest.raises(InputError, match="does not list the epochs 1, 2"):
        networks.train(small_recipe, run_copy.path, resume=True)
