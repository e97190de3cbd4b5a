"""Two processes that would write the same thing: one does, the other says who does and exits with 2."""

import os
import re
import signal
import sys
import time

import pytest
import torch

import ufm
from tests.forked import forked, holding
from tests.networks.runs.records import files_of
from ufm import InputError
from ufm.storage.locks import held
from ufm.traps.grid import Grid, explore
from ufm_cli.main import main
from validate import Run

TINY = ["--width", "16", "--depth", "0", "--feature-dim", "10", "--device", "cpu", "--keep", "5"]


def train(*flags):
    """The command in a process of its own, which ends with the command's exit status."""
    sys.exit(main(["train", *TINY, *flags]))


@pytest.fixture
def training(tmp_path):
    """A process that trains tmp_path/run and will not end by itself, past its first epochs."""
    with forked(train, "--epochs", "1000000", "--runs", str(tmp_path), "--name", "run") as other:
        run, deadline = Run(tmp_path / "run"), time.monotonic() + 120
        while len(run.epochs) < 5 and other.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield other


def refused(capsys, arguments, pid):
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert re.search(rf"is being written by process {pid} on \S+ since .*; wait for it, or end it", errors)


def test_a_run_that_is_trained_is_neither_gone_on_with_nor_replaced(training, tmp_path, capsys):
    """The process is stopped while others are refused, and trains on while figures are drawn."""
    where = ["--runs", str(tmp_path), "--name", "run"]
    os.kill(training.pid, signal.SIGSTOP)
    refused(capsys, ["train", *TINY, *where, "--epochs", "1000000", "--resume"], training.pid)
    refused(capsys, ["train", *TINY, *where, "--epochs", "1", "--force"], training.pid)
    refused(capsys, ["train", *TINY, *where], training.pid)
    refused(capsys, ["validate", str(tmp_path / "run")], training.pid)
    os.kill(training.pid, signal.SIGCONT)
    assert main(["figures", str(tmp_path / "run"), "--only", "accuracy", "--out", str(tmp_path / "figures")]) == 0
    assert training.is_alive()


def test_a_killed_training_holds_nothing(training, tmp_path):
    os.kill(training.pid, signal.SIGKILL)
    training.join()
    run = Run.open(tmp_path / "run")
    done = len(run.epochs)
    assert (tmp_path / ".run.lock").is_file()
    assert main(["train", "--resume", str(run.path), "--epochs", str(done + 2)]) == 0
    assert len(run.epochs) == done + 2
    assert not (tmp_path / ".run.lock").exists()


def test_who_is_refused_leaves_the_run_as_if_nobody_had_asked(tmp_path, capsys):
    """The first writer is stopped for as long as the second one takes."""
    torch.set_num_threads(1)  # as the first writer computes
    flags, lock = ["--epochs", "60", "--runs", str(tmp_path)], tmp_path / ".raced.lock"
    with forked(train, *flags, "--name", "raced") as other:
        while not (lock.is_file() and lock.stat().st_size) and other.is_alive():
            time.sleep(0.005)
        os.kill(other.pid, signal.SIGSTOP)
        refused(capsys, ["train", *TINY, *flags, "--name", "raced", "--force"], other.pid)
        os.kill(other.pid, signal.SIGCONT)
        other.join()
        assert other.exitcode == 0
    assert main(["train", *TINY, *flags, "--name", "alone"]) == 0
    assert files_of(Run.open(tmp_path / "raced")) == files_of(Run.open(tmp_path / "alone"))


MAP = ["--classes", "3", "--dims", "2", "--lambdas", "2e-3", "--starts", "2", "--jobs", "1"]
ATLAS = ["-K", "3", "-n", "2", "-d", "2", "--jobs", "1", "--until-quiet", "1"]
HELD = {
    "map": (["map", *MAP, "--name", "it"], "it/map.json"),
    "map anew": (["map", *MAP, "--name", "it", "--force"], "it/map.json"),
    "atlas": (["atlas", *ATLAS, "--name", "it"], "it/atlas.json"),
    "atlas anew": (["atlas", *ATLAS, "--name", "it", "--force"], "it/atlas.json"),
}


@pytest.mark.parametrize(("arguments", "file"), HELD.values(), ids=HELD)
def test_maps_and_atlases_are_held(arguments, file, tmp_path, capsys):
    (tmp_path / "it").mkdir()
    (tmp_path / file).write_text("somebody's")
    with holding(tmp_path / file) as (other, release):
        refused(capsys, [*arguments, "--runs", str(tmp_path)], other.pid)
        assert (tmp_path / file).read_text() == "somebody's"
        release()
        other.join()
    assert main([*arguments, "--runs", str(tmp_path), *([] if "--force" in arguments else ["--force"])]) == 0


def test_explorations_hold_their_files_while_they_search(tmp_path):
    """What the search calls back finds the file held, by this process."""
    seen = []

    def look(file):
        with pytest.raises(InputError, match=f"process {os.getpid()} "):
            held(file).__enter__()
        seen.append(file)

    def track(items):
        for item in items:
            look(tmp_path / "map.json")
            yield item

    explore(Grid((3,), (2,), (2e-3,), starts=1), tmp_path / "map.json", track=track)
    problem = ufm.Problem.balanced(3, 2, 2, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
    atlas = tmp_path / "atlas.json"
    ufm.explore(problem, until_quiet=1, file=atlas, on_round=lambda *_: look(atlas))
    assert {file.name for file in seen} == {"map.json", "atlas.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"map.json", "atlas.json"}
