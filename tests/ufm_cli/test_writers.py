"""Two processes that would write the same thing: one does, the other says who does and exits with 2."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import ufm
from tests.forked import holding
from tests.networks.runs.records import files_of
from ufm import InputError
from ufm.storage.locks import held
from ufm.traps.grid import Grid, explore
from ufm_cli.main import main
from validate import Run

HOUSE = Path(__file__).parents[2]
TINY = ["--width", "16", "--depth", "0", "--feature-dim", "10", "--device", "cpu", "--keep", "5"]


def train(*flags):
    """A new process, not a fork: where there is a GPU, autograd refuses to work in a fork."""
    command = [sys.executable, "-m", "ufm", "train", *TINY, *flags]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        command, cwd=HOUSE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def training(tmp_path):
    """A process that trains tmp_path/run and will not end by itself, past its first epochs."""
    with train("--epochs", "1000000", "--runs", str(tmp_path), "--name", "run") as other:
        run, deadline = Run(tmp_path / "run"), time.monotonic() + 120
        while len(run.epochs) < 5 and other.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        yield other
        other.kill()


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
    assert training.poll() is None


def test_a_killed_training_holds_nothing(training, tmp_path):
    os.kill(training.pid, signal.SIGKILL)
    training.wait()
    run = Run.open(tmp_path / "run")
    done = len(run.epochs)
    assert (tmp_path / ".run.lock").is_file()
    assert main(["train", "--resume", str(run.path), "--epochs", str(done + 2)]) == 0
    assert len(run.epochs) == done + 2
    assert not (tmp_path / ".run.lock").exists()


def test_who_is_refused_leaves_the_run_as_if_nobody_had_asked(tmp_path, capsys):
    """The first writer is stopped for as long as the second one takes."""
    flags, lock = ["--epochs", "60", "--runs", str(tmp_path)], tmp_path / ".raced.lock"
    with train(*flags, "--name", "raced") as other:
        while not (lock.is_file() and lock.stat().st_size) and other.poll() is None:
            time.sleep(0.005)
        other.send_signal(signal.SIGSTOP)
        refused(capsys, ["train", *TINY, *flags, "--name", "raced", "--force"], other.pid)
        other.send_signal(signal.SIGCONT)
        assert other.wait() == 0
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
