"""The commands on a real Dask cluster of two processes: the files that this process writes, byte for byte.

A worker is killed while it works, and nothing is lost.
"""

import contextlib
import json
import os
import signal
import time
import warnings

import pytest
import torch

from ufm.cluster import connected
from ufm.traps.grid import Grid, explore
from ufm_cli.main import main
from ufm_paper.claims import CLAIMS, Claim
from ufm_paper.finding import Finding
from ufm_paper.grid import CELLS, SCALES, Scale

LONGEST = 300.0  # seconds that anything here may take on a busy machine
distributed = pytest.importorskip("distributed", reason='needs pip install -e ".[cluster]"')
dask = pytest.importorskip("dask")


class Cluster:
    """Two workers of one thread each, every one a process; watched by a client of the test's own."""

    def __init__(self):
        settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
        self.cluster = distributed.LocalCluster(**settings)
        self.client = distributed.Client(self.cluster, set_as_default=False)
        self.address = self.cluster.scheduler_address
        self.killed: list[int] = []

    def kill_one_at_work(self) -> None:
        """End a worker that has begun a task, without a word to it."""
        pids = self.client.run(os.getpid)
        busy = [worker for worker, tasks in self.client.processing().items() if tasks]
        self.killed.append(pids[busy[-1]])
        os.kill(self.killed[-1], signal.SIGKILL)

    def close(self) -> None:
        self.client.close()
        self.cluster.close()


@pytest.fixture(scope="module")
def cluster():
    """Its workers are forked from a process that has imported what takes long; one is started anew for each killed."""
    with warnings.catch_warnings(), dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        warnings.simplefilter("ignore")
        distributed.utils.get_mp_context().set_forkserver_preload(["distributed", "torch", "ufm_paper.trained"])
        cluster = Cluster()
        with contextlib.closing(cluster):
            yield cluster


def test_a_map_is_the_local_one_though_a_worker_is_killed(cluster, tmp_path):
    seen = []

    def killing(problems):
        for problem in problems:
            if len(seen) == 1:
                cluster.kill_one_at_work()
            seen.append(problem)
            yield problem

    grid = Grid((3, 4), (1, 2), (2e-3, 2e-2), starts=3)
    with connected(cluster.address):
        there = explore(grid, tmp_path / "there.json", track=killing)
    assert seen == list(grid.problems)  # the progress is that of all workers
    with pytest.raises(ProcessLookupError):
        os.kill(cluster.killed[0], 0)
    here = explore(grid, tmp_path / "here.json")
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    assert [cell.plain() for cell in there] == [cell.plain() for cell in here]


def test_an_atlas_and_its_proof_are_the_local_ones(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("ufm_cli.commands.atlas._draw", lambda *asked: [])
    problem = ["-K", "3", "-n", "1", "-d", "1", "--no-bias", "--lambda-w", "0.3", "--lambda-h", "0.3"]
    ask = ["atlas", *problem, "--name", "a", "--until-quiet", "1", "--prove"]
    assert main([*ask, "--runs", str(tmp_path / "there"), "--dask", cluster.address]) == 0
    assert main([*ask, "--runs", str(tmp_path / "here"), "--jobs", "1"]) == 0
    assert (tmp_path / "there/a/atlas.json").read_bytes() == (tmp_path / "here/a/atlas.json").read_bytes()
    proofs = [json.loads((tmp_path / place / "a" / "proof.json").read_text()) for place in ("there", "here")]
    assert proofs[0] | {"seconds": 0} == proofs[1] | {"seconds": 0}


def trained(runs: dict) -> Finding:
    return Finding(True, "they are trained", {}, f"{len(runs)} runs")


@pytest.fixture
def cell(monkeypatch) -> str:
    """A training on digits, and a claim about it."""
    digits = {"data": "digits", "model": "mlp", "preset": "paper-sgd", "feature_dim": 12}
    monkeypatch.setitem(CELLS, "one", digits)
    monkeypatch.setitem(CLAIMS, "learning", Claim("Networks learn.", "everybody", ("one",), trained, {}))
    quick = ({}, {"width": 16, "depth": 1, "epochs": 6, "batch_size": 280, "keep": 100})
    monkeypatch.setitem(SCALES, "small", Scale("small", "seconds", (quick,)))
    monkeypatch.setattr("ufm_paper.trained.theory_of", lambda run: {})
    return "one"


def epochs(folder) -> int:
    file = folder / "epochs.csv"
    return len(file.read_text().splitlines()) - 1 if file.is_file() else 0


def test_a_training_goes_on_where_a_killed_worker_left_it(cluster, cell, tmp_path, monkeypatch, capsys):
    def killing(label, total, done):
        def wrap(items):
            deadline = time.monotonic() + LONGEST
            while not done():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            killed.append(done())
            cluster.kill_one_at_work()
            yield from items

        return wrap

    def ask(place, *flags):
        where = ["--runs", str(tmp_path / place), "--results", str(tmp_path / f"{place}-results"), "--device", "cpu"]
        return main(["reproduce", "--scale", "small", "--only", "learning", *where, *flags])

    killed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr("ufm_cli.commands.reproduce.watch", killing)
        assert ask("there", "--dask", cluster.address) == 0
    assert 1 <= killed[0] < 6
    torch.set_num_threads(1)  # as a worker of one thread has
    assert ask("here") == 0
    assert capsys.readouterr().err == ""
    there, here = (tmp_path / place / "small" / cell for place in ("there", "here"))
    assert epochs(here) == 6
    for name in ("epochs.csv", "checkpoints/last.safetensors", "points/epoch_0006.safetensors"):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name
