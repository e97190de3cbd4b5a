"""A cluster that cannot be had is refused in one line, within seconds. A real one is in tests/ufm_cli/test_dask.py."""

import gc
import json
import logging
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from ufm import InputError, __version__, cluster
from ufm.cluster import _require_seen, _require_workers, connected
from ufm_cli.main import main

CLOSED = "tcp://127.0.0.1:1"  # where nobody listens
QUICK = ["map", "--classes", "3", "--dims", "2", "--lambdas", "2e-3", "--starts", "2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER", 0.3)


def refused(capsys, *words: str) -> str:
    assert main(list(words)) == 2
    text, errors = capsys.readouterr()
    assert text == ""
    assert errors.count("\n") == 1
    return errors


@pytest.fixture
def quiet(monkeypatch):
    """Dask says nothing, neither now nor at the end of the process: then a client complains that was not closed."""
    client = pytest.importorskip("distributed").Client
    said = []
    monkeypatch.setattr(logging.Logger, "callHandlers", lambda logger, record: said.append(record))
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    yield
    assert [found.status for found in gc.get_objects() if type(found) is client and found.status != "closed"] == []
    gc.collect()
    assert said == []


@contextmanager
def served(answer: bytes | None):
    """The address of a server that accepts everyone and says nothing (None), or always the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with suppress(OSError):  # closed at the end of the block
                while True:
                    connections.append(server.accept()[0])
                    if answer is not None:
                        connections[-1].recv(1)
                        connections[-1].sendall(answer)

        connections: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for connection in connections:
            connection.close()


def test_no_address_changes_nothing():
    with connected(None):
        pass


def test_without_dask_the_package_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = refused(capsys, *QUICK, "--runs", str(tmp_path), "--dask", CLOSED)
    assert said == 'ufm: a Dask cluster needs dask.distributed; pip install "ufm[cluster]"\n'


def test_where_nobody_answers(capsys, tmp_path):
    pytest.importorskip("distributed")
    said = refused(capsys, *QUICK, "--runs", str(tmp_path), "--dask", CLOSED)
    assert said.startswith(f"ufm: no Dask scheduler answers at {CLOSED}; start one with `dask scheduler`")
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": CLOSED}))
    assert f"answers at {CLOSED};" in refused(capsys, *QUICK, "--runs", str(tmp_path), "--dask", str(file))


SPEAKERS = {"HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH": b"SSH-2.0-OpenSSH_9.6\r\n"}
OTHERS = {"silence": None, "nothing": b"", **SPEAKERS}


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
@pytest.mark.usefixtures("quiet")
def test_a_server_that_is_no_scheduler(answer, capsys, tmp_path):
    with served(answer) as address:
        said = refused(capsys, *QUICK, "--runs", str(tmp_path), "--dask", address)
    assert said.startswith(f"ufm: no Dask scheduler answers at {address}; start one with `dask scheduler`")


@pytest.mark.parametrize("content", ["", "[]", '{"id": "Scheduler"}'])
def test_what_is_no_scheduler_file(content, capsys, tmp_path):
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    file.write_text(content)
    assert "is no scheduler file" in refused(capsys, *QUICK, "--runs", str(tmp_path), "--dask", str(file))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*QUICK, "--dask", "no-such-file.json"], "'no-such-file.json' is neither the address of a Dask scheduler"),
        ([*QUICK, "--dask", "nonsense://x:1"], "no Dask scheduler answers at nonsense://x:1"),
        ([*QUICK, "--dask", "tls://127.0.0.1:1"], "no Dask scheduler answers at tls://127.0.0.1:1"),
        ([*QUICK, "--dask", CLOSED, "--jobs", "2"], "--jobs would do nothing here: a cluster runs as many tasks"),
        (["atlas", "--dask", CLOSED, "--jobs", "2"], "--jobs would do nothing here"),
        (["reproduce", "--list", "--dask", CLOSED], "--dask would do nothing here: --list neither trains nor judges"),
        (["reproduce", "--no-training", "--dask", CLOSED], "--dask would do nothing here: --no-training leaves"),
        (["map", "--dask", ""], "what --dask names is empty"),
    ],
)
@pytest.mark.usefixtures("quiet")
def test_flags_that_cannot_be(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *words)


class Client:
    """A cluster of two workers, as `ufm.cluster` asks it."""

    def __init__(self, answers=(__version__, __version__), threads=(1, 1)):
        self.workers = [f"tcp://worker:{i}" for i in range(len(threads))]
        self.answers, self.threads = answers, threads

    def wait_for_workers(self, least, timeout):
        if len(self.workers) < least:
            raise TimeoutError

    def run(self, ask, *arguments):
        if isinstance(self.answers, Exception):
            raise self.answers
        return dict(zip(self.workers, self.answers, strict=True))

    def ncores(self):
        return dict(zip(self.workers, self.threads, strict=True))


UNFIT = {
    "none": (Client((), ()), False, "at tcp://s:1 has no workers; start some with `dask worker tcp://s:1`"),
    "an older version": (Client((__version__, "0.0.1")), False, "worker tcp://worker:1 has ufm 0.0.1, and here is"),
    "not installed": (
        Client(ModuleNotFoundError("No module named 'ufm'", name="ufm")),
        False,
        "the workers have no ufm; install ufm in their environment too",
    ),
    "gone": (Client({}), False, "the workers of the Dask cluster are gone"),
    "several threads": (
        Client(threads=(1, 4)),
        True,
        "worker tcp://worker:1 has several threads, .* start every worker with one thread",
    ),
}


@pytest.mark.parametrize(("client", "alone", "message"), UNFIT.values(), ids=UNFIT)
def test_workers_that_do_not_fit(client, alone, message):
    if client.answers == {}:
        client.run = lambda *_: {}
    with pytest.raises(InputError, match=message):
        _require_workers(client, "tcp://s:1", alone)


def test_workers_that_fit():
    _require_workers(Client(threads=(1, 4)), "tcp://s:1", alone=False)
    _require_workers(Client(), "tcp://s:1", alone=True)


def test_a_folder_that_a_worker_does_not_see(tmp_path):
    folder = tmp_path / "runs"
    with pytest.raises(InputError, match=r"worker tcp://worker:1 does not see .*runs; name a folder that all workers"):
        _require_seen(Client((True, False)), folder)
    assert list(folder.iterdir()) == []
    seen = SimpleNamespace(run=lambda ask, path: {"tcp://worker:0": ask(path)})
    _require_seen(seen, folder)
    assert list(folder.iterdir()) == []
