"""Going on: a run killed at any moment goes on to the same numbers, and is never replaced or mixed up unasked."""

import dataclasses
import json
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import networks
from networks.models.backbones import BACKBONES, Family
from networks.runs.checkpoints import save_training
from networks.runs.resume import COLUMNS
from tests.networks.runs.records import files_of, rows_of
from ufm import InputError, Point
from ufm.storage.files import read_tensors, write_tensors
from ufm_cli.main import main
from validate import Run
from validate.runs.older import LATER


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

    monkeypatch.setattr("networks.runs.record.save_training", die)
    with pytest.raises(KeyboardInterrupt):
        networks.train(small_recipe, tmp_path / "run")
    monkeypatch.undo()
    halves = [tmp_path / "run" / name for name in ("points/.epoch_0009.safetensors.x1y2", ".epochs.csv.x1y2")]
    for half in halves:
        half.write_bytes(b"half")
    resumed = networks.train(small_recipe, tmp_path / "run", resume=True)
    assert rows_of(resumed) == rows_of(trained)
    assert not any(half.exists() for half in halves)


def test_resume_needs_the_same_recipe(run_copy, small_recipe):
    with pytest.raises(InputError, match=r"made with lr = 0.02, not 0.5; resume with the same recipe"):
        networks.train(dataclasses.replace(small_recipe, lr=0.5), run_copy.path, resume=True)


def test_resume_never_loses_epochs(run_copy, small_recipe):
    with pytest.raises(InputError, match="has 6 epochs already; epochs=3 asks for fewer"):
        networks.train(dataclasses.replace(small_recipe, epochs=3), run_copy.path, resume=True)
    run_copy.last_checkpoint.unlink()
    with pytest.raises(InputError, match="no training state"):
        networks.train(small_recipe, run_copy.path, resume=True)
    assert len(run_copy.epochs) == 6


def test_an_existing_run_is_kept(run_copy, small_recipe):
    with pytest.raises(InputError, match="replace it with force=True"):
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
    with pytest.raises(InputError, match="force=True replaces a run and resume=True goes on with it; give one of them"):
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
    monkeypatch.setattr("networks.models.build.BACKBONES", (family, *BACKBONES))
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
    flags += ["--runs", str(tmp_path), "--epochs", "40", "--keep", "7", "--augment", "crop-flip"]
    flags += ["--max-iter", "4"] if optimizer == "lbfgs" else []
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "ufm", "train", *flags, "--name", "killed"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        state, deadline = tmp_path / "killed" / "checkpoints" / "last.safetensors", time.monotonic() + 120
        while not state.is_file() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
    assert 1 <= len(Run.open(tmp_path / "killed").epochs) < 40
    assert main(["train", *flags, "--name", "killed", "--resume"]) == 0
    assert main(["train", *flags, "--name", "whole"]) == 0
    killed, whole = (files_of(Run.open(tmp_path / name)) for name in ("killed", "whole"))
    assert killed.keys() == whole.keys()
    assert [name for name in whole if killed[name] != whole[name]] == []


def test_cosine_needs_its_number_of_epochs(small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, schedule="cosine", epochs=1)
    networks.train(recipe, tmp_path / "run")
    with pytest.raises(InputError, match="made with epochs = 1, not 2"):
        networks.train(dataclasses.replace(recipe, epochs=2), tmp_path / "run", resume=True)


def test_resuming_forgets_what_was_validated(run_copy, small_recipe):
    run_copy.analysis.write_text("{}")
    networks.train(dataclasses.replace(small_recipe, epochs=7), run_copy.path, resume=True)
    assert not run_copy.analysis.exists()


def test_a_run_that_is_done_keeps_what_was_validated(run_copy, small_recipe):
    run_copy.analysis.write_text("{}")
    before = files_of(run_copy)
    networks.train(small_recipe, run_copy.path, resume=True)
    assert files_of(run_copy) == before


def without_epochs(run):
    (run.path / "epochs.csv").unlink()


def without_any_state(run):
    without_epochs(run)
    run.last_checkpoint.unlink()


def rewritten(change):
    """A damage: the rows of epochs.csv become those that `change` makes of them."""
    return lambda run: run.write_epochs(change(run.epochs))


def edited(change):
    """A damage: the text of epochs.csv becomes what `change` makes of it."""
    return lambda run: (run.path / "epochs.csv").write_text(change((run.path / "epochs.csv").read_text()))


def metadata(**entries):
    """A damage: the metadata of the training state."""

    def damage(run):
        tensors, found = read_tensors(run.last_checkpoint)
        write_tensors(run.last_checkpoint, tensors, found | entries)

    return damage


def without_a_name(run):
    """The state of a parameter that the model has not."""
    tree = json.loads(read_tensors(run.last_checkpoint)[1]["optimizer"])
    metadata(optimizer=json.dumps({f"another.{name}": state for name, state in tree.items()}))(run)


DAMAGE = {
    "no epochs.csv": (without_epochs, "epochs.csv lists 0 epochs, but the training state is of epoch 6; put back"),
    "an empty epochs.csv": (edited(lambda text: ""), "epochs.csv lists 0 epochs, but the training state is of epoch 6"),
    "a header alone": (edited(lambda text: text.splitlines()[0] + "\n"), "lists 0 epochs, but the training state"),
    "neither": (without_any_state, "has files of epoch 6, but its training state is of 0; put back"),
    "a cut epochs.csv": (rewritten(lambda rows: rows[:4]), "lists 4 epochs, but the training state is of epoch 6"),
    "a state of long ago": (metadata(epoch="3"), "lists 6 epochs, but the training state is of epoch 3"),
    "a state of no epoch": (metadata(epoch="?"), "does not say which epoch it is of"),
    "another optimiser's state": (without_a_name, "holds no optimiser's state"),
    "a cut state": (lambda run: os.truncate(run.last_checkpoint, 1000), "is not a safetensors file"),
    "a row is missing": (rewritten(lambda rows: [rows[0], *rows[3:]]), "does not list the epochs 1, 2, ..."),
    "a column is missing": (
        rewritten(lambda rows: [{k: v for k, v in row.items() if k != "nc1"} for row in rows]),
        "has not the columns of this version (nc1)",
    ),
    "a column too many": (
        rewritten(lambda rows: [row | {"nc5": 0.0} for row in rows]),
        "has not the columns of this version (nc5)",
    ),
    "a cut row": (edited(lambda text: text[:-100]), "epochs.csv is damaged"),
    "a row too long": (edited(lambda text: text.rstrip() + ",1.0\n"), "epochs.csv is damaged"),
    "an epoch that is none": (edited(lambda text: text.replace("\n6,", "\nnan,")), "epochs.csv is damaged"),
    "half an epoch": (edited(lambda text: text.replace("\n6,", "\n5.5,")), "epochs.csv is damaged"),
    "a field without end": (edited(lambda text: text + '"' + "9" * 200_000), "epochs.csv is damaged"),
    "no config.json": (lambda run: (run.path / "config.json").unlink(), "no run at"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_run_is_refused_and_nothing_lost(damage, message, run_copy, capsys):
    run_copy.analysis.write_text("{}")
    damage(run_copy)
    before = files_of(run_copy)
    flags = ["--runs", str(run_copy.path.parent), "--name", run_copy.name, "--device", "cpu", "--epochs", "7"]
    assert (
        main(["train", *flags, "--width", "32", "--depth", "1", "--feature-dim", "16", "--keep", "2", "--resume"]) == 2
    )
    text, errors = capsys.readouterr()
    assert (text, errors.count("\n")) == ("", 1)
    assert message in errors
    assert files_of(run_copy) == before


def test_the_columns_are_those_that_training_writes(trained):
    assert trained.epochs[0].keys() == COLUMNS


def test_resume_wants_every_epoch(run_copy, small_recipe):
    rows = run_copy.epochs
    run_copy.write_epochs([rows[0], *rows[3:]])
    with pytest.raises(InputError, match="does not list the epochs 1, 2"):
        networks.train(small_recipe, run_copy.path, resume=True)


def of_an_earlier_version(run):
    """The run without the columns that came later."""
    run.write_epochs([{k: v for k, v in row.items() if k not in LATER} for row in run.epochs])


def test_a_run_of_an_earlier_version_goes_on_with_the_columns_of_this_one(run_copy, trained, small_recipe, tmp_path):
    networks.train(dataclasses.replace(small_recipe, epochs=3), tmp_path / "cut")
    of_an_earlier_version(cut := Run.open(tmp_path / "cut"))
    assert not LATER & cut.epochs[-1].keys()
    resumed = networks.train(small_recipe, cut.path, resume=True)
    expected = [{k: v for k, v in row.items() if k not in LATER} for row in rows_of(trained)[:3]]
    assert rows_of(resumed) == [*expected, *rows_of(trained)[3:]]
    of_an_earlier_version(run_copy)
    for run in (resumed, run_copy):
        assert max(item.deviation for item in networks.remeasure(run)) < 1e-5


def test_other_columns_that_are_missing_or_empty_are_not_excused(run_copy, small_recipe):
    rows = run_copy.epochs
    run_copy.write_epochs([{k: v for k, v in row.items() if k != "cdnv"} for row in rows])
    with pytest.raises(InputError, match=r"has not the columns of this version \(cdnv\)"):
        networks.train(small_recipe, run_copy.path, resume=True)
    run_copy.write_epochs([rows[0] | {"cdnv": ""}, *rows[1:]])
    with pytest.raises(InputError, match="damaged"):
        _ = run_copy.epochs
