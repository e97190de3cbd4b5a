"""Two processes on the CPU train to the numbers of one."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import networks
from networks.batches import require_batches
from networks.distributed import ALONE, Ranks
from networks.models.backbones import BACKBONES
from tests.networks.plain_network import PLAIN as FAMILY
from ufm import InputError
from ufm_cli.main import PATIENCE, main
from validate import Run

HOUSE = Path(__file__).parent.parent.parent
SMALL = ["--width", "24", "--feature-dim", "12", "--epochs", "2", "--device", "cpu"]
PLAIN = [*SMALL, "--model", "plain"]
RECIPES = {
    "sgd": [*PLAIN, "--augment", "crop-flip", "--feature-decay", "0.01", "--batch-size", "93"],
    "lbfgs": [*PLAIN, "--optimizer", "lbfgs", "--lr", "0.1", "--max-iter", "2", "--batch-size", "1400"],
    "adam": [*PLAIN, "--optimizer", "adam"],
    "adam-cut": [*PLAIN, "--optimizer", "adam", "--epochs", "1"],
    "norm": [*SMALL, "--depth", "1"],
}


def torchrun(*words):
    """(exit status, standard output, standard error); two processes that wait for each other for ever are ended."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with subprocess.Popen(
        [*start, "-m", "tests.networks.plain_network", *words],
        cwd=HOUSE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HOUSE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            text, errors = process.communicate(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        return process.returncode, text, errors


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """(the folder of runs made by two processes, what they printed); the last command cannot be carried out."""
    runs = tmp_path_factory.mktemp("runs")
    words = []
    for name, flags in RECIPES.items():
        words += ["ufm", "train", *flags, "--runs", str(runs), "--name", name]
    words += ["ufm", "train", *RECIPES["adam"], "--runs", str(runs), "--name", "adam-cut", "--resume"]
    words += ["ufm", "train", *PLAIN, "--epochs", "1", "--runs", str(runs), "--name", "shelf"]
    words += ["--data", "shelf", "--data-dir", str(runs)]
    words += ["ufm", "train", *RECIPES["adam"], "--runs", str(runs), "--name", "adam"]
    return runs, torchrun(*words)


@pytest.mark.parametrize("name", ["sgd", "lbfgs", "adam"])
def test_two_processes_train_to_the_numbers_of_one(name, of_two, tmp_path, monkeypatch):
    """L-BFGS takes few iterations here: a line search makes much of a difference in rounding, soon."""
    monkeypatch.setattr("networks.models.build.BACKBONES", (FAMILY, *BACKBONES))
    assert main(["train", *RECIPES[name], "--runs", str(tmp_path), "--name", name]) == 0
    one, two = Run.open(tmp_path / name).epochs, Run.open(of_two[0] / name).epochs
    assert one[1]["loss"] < one[0]["loss"]
    for expected, row in zip(one, two, strict=True):
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_two_processes_resume_to_the_same_bytes(of_two):
    whole, cut = ((of_two[0] / name / "epochs.csv").read_bytes() for name in ("adam", "adam-cut"))
    assert cut == whole


def test_batch_statistics_by_share_are_recorded_as_measured(of_two):
    """A network with normalisation is another one then, and its checkpoints measure what was recorded."""
    assert main(["validate", str(of_two[0] / "norm")]) == 0


def test_one_process_prints_and_a_refusal_is_everybodys(of_two):
    runs, (status, text, errors) = of_two
    for name in RECIPES:
        assert text.count(f"run: {runs / name}\n") == 1 + (name == "adam-cut")
    assert status != 0
    assert errors.count("exists; resume it with --resume") == errors.count("ufm: ") == 1


def test_what_is_missing_is_fetched_by_one_process(of_two):
    assert (of_two[0] / "notes").read_text() == "put\nfound\n"


def test_a_process_whose_trouble_is_its_own_says_so_in_the_end(monkeypatch, capsys):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main(["train", "--epochs", "0"]) == 2
    assert waited == [PATIENCE]
    assert "epochs must be >= 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "world", "norm", "message"),
    [
        (2, 3, False, "batches of 1 samples are too small for 3 processes; raise batch_size"),
        (5, 3, True, "batches of 5 samples are too small for 3 processes with batch normalisation"),
        (2, 1, True, "batches of 1 samples are too small for 1 process with batch normalisation"),
        (5, 3, False, None),
        (6, 3, True, None),
        (2, 1, False, None),
    ],
)
def test_every_process_gets_as_much_of_a_batch_as_it_needs(size, world, norm, message):
    """Of 5 (2 a batch) samples one batch has a single one."""
    images = networks.load(networks.DataRecipe(per_class=3))
    images = dataclasses.replace(images, train_labels=images.train_labels[: 5 if size == 2 else 30])
    model = torch.nn.BatchNorm1d(3) if norm else torch.nn.Linear(3, 3)
    with contextlib.nullcontext() if message is None else pytest.raises(InputError, match=message):
        require_batches(networks.Recipe(batch_size=size), images, Ranks(0, world), model)


def test_every_process_gets_a_test_image():
    images = networks.load("digits")
    images = dataclasses.replace(images, test_labels=images.test_labels[:2])
    with pytest.raises(InputError, match="2 test images are too few for 3 processes; start fewer"):
        require_batches(networks.Recipe(), images, Ranks(0, 3), torch.nn.Linear(3, 3))


@pytest.mark.parametrize("total", [2, 7, 9])
def test_shares_are_a_partition(total):
    rows = torch.arange(total)
    assert torch.cat([Ranks(rank, 3).share(rows) for rank in range(3)]).tolist() == list(range(total))


def test_alone_everything_is_itself():
    rows = torch.arange(4.0)
    assert ALONE.share(rows).equal(rows)
    assert ALONE.gather(rows, 4) is rows
    assert ALONE.mean(rows) is rows
    assert ALONE.first(5) == 5
    assert ALONE.in_turn(lambda: rows) is rows


def test_what_another_process_cannot_do_is_told_here_too(monkeypatch):
    """Process 1 of two fails where this one, 0, does not: a stand-in of torch's collectives says so."""

    def broadcast(tensor, src):
        assert src == 1
        tensor.copy_(torch.tensor(list("no é on disk".encode().ljust(len(tensor)))))

    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor, op: tensor.fill_(1))
    monkeypatch.setattr("torch.distributed.broadcast", broadcast)
    with pytest.raises(InputError, match=r"^no é on disk$"):
        Ranks(0, 2).agreed(lambda: "done")
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor, op: tensor)
    assert Ranks(0, 2).agreed(lambda: "done") == "done"
