"""One process at a time writes what is held; a dead one holds nothing."""

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.forked import forked, holding
from ufm import InputError
from ufm.storage.locks import held


@pytest.fixture
def holder_and_release(tmp_path):
    """Another process that holds tmp_path/run, and what makes it let go."""
    with holding(tmp_path / "run") as both:
        yield both


@pytest.fixture
def holder(holder_and_release):
    """Another process that holds tmp_path/run."""
    return holder_and_release[0]


def test_the_holder_is_named(holder, tmp_path):
    with pytest.raises(InputError, match=rf"run is being written by process {holder.pid} on .* since 2.*; wait for it"):
        held(tmp_path / "run").__enter__()
    with held(tmp_path / "another"):
        assert holder.is_alive()


def test_other_names_of_the_same_place_are_held_too(holder, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    monkeypatch.chdir(tmp_path / "run")
    for name in (tmp_path / "link", tmp_path / "run" / ".." / "run", "."):
        with pytest.raises(InputError, match=f"process {holder.pid}"):
            held(name).__enter__()


def test_replacing_a_folder_frees_nothing(holder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").rename(tmp_path / "aside")
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=f"process {holder.pid}"):
        held(tmp_path / "run").__enter__()


def test_a_killed_holder_does_no_harm(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert str(holder.pid) in (tmp_path / ".run.lock").read_text()
    with held(tmp_path / "run"):
        assert f"process {os.getpid()} " in (tmp_path / ".run.lock").read_text()
    assert list(tmp_path.iterdir()) == []


def test_patience_outlasts_the_holder(holder_and_release, tmp_path):
    threading.Timer(0.3, holder_and_release[1]).start()
    with held(tmp_path / "run", patience=60):
        assert f"process {os.getpid()} " in (tmp_path / ".run.lock").read_text()


def test_nothing_is_left_at_the_end(tmp_path):
    def fail():
        with held(tmp_path / "new" / "run"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list((tmp_path / "new").iterdir()) == []
    with held(tmp_path / "new" / "run"):
        pass


def count(file):
    for _ in range(25):
        with held(file, patience=120):
            file.write_text(str(int(file.read_text()) + 1))


def test_no_update_is_lost_among_processes(tmp_path):
    """The file of the lock comes and goes all the while."""
    file = tmp_path / "count"
    file.write_text("0")
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(forked(count, file)) for _ in range(3)]
        for other in others:
            other.join()
        assert [other.exitcode for other in others] == [0, 0, 0]
    assert file.read_text() == "75"
    assert list(tmp_path.iterdir()) == [file]


def test_places_without_a_lock_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*: no lock .*; choose another place"):
        held(tmp_path / "file" / "run").__enter__()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_where_no_lock_can_be_made_nobody_is_said_to_hold_one():
    with pytest.raises(InputError, match=r"cannot write /proc/\.x\.lock"):
        held("/proc/x").__enter__()
