"""Files appear whole or not at all, and hold nothing that runs."""

import json
import math
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from ufm import InputError
from ufm.storage.files import (
    read_json,
    read_tensors,
    replacing,
    require_writable,
    write_json,
    write_tensors,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "result.txt"
    write_text(file, "old")

    def fail_halfway():
        with replacing(file) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"


def test_json_is_strict_and_plain(tmp_path):
    file = tmp_path / "result.json"
    write_json(file, {"x": torch.tensor([1.5, 2.0]), "y": (1, math.inf), "z": {"n": math.nan, "path": "p"}})
    text = file.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == read_json(file)
    assert read_json(file) == {"x": [1.5, 2.0], "y": [1, None], "z": {"n": None, "path": "p"}}


def test_json_that_is_nested_without_end_is_refused(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(InputError, match=r"deep\.json is nested too deeply"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize("reader", [read_json, read_tensors])
def test_missing_and_broken_files_are_named(tmp_path, reader):
    with pytest.raises(InputError, match=r"no file .*missing"):
        reader(tmp_path / "missing")
    (tmp_path / "broken").write_text("{ not this")
    with pytest.raises(InputError, match=r"broken is not .*make it again"):
        reader(tmp_path / "broken")


def test_tensors_and_metadata(tmp_path):
    file = tmp_path / "t.safetensors"
    write_tensors(file, {"a": torch.arange(6.0).view(2, 3).T}, {"epoch": "3"})
    tensors, metadata = read_tensors(file)
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3).T)
    assert metadata == {"epoch": "3"}


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_text(tmp_path / "file" / "below", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        write_text(tmp_path / "folder", "text")


WRITERS = {"checked": require_writable, "written": lambda path: write_text(path, "text")}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def writer(request):
    """The check before long work, and the write at its end: they agree."""
    return request.param


def device(path: Path, name: str) -> Path:
    """A node of the same numbers as /dev/`name`, of our own: nothing here is done to the system's."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.stat(f"/dev/{name}").st_rdev)
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")
    return path


@pytest.mark.parametrize("name", ["null", "full"])
def test_a_device_stays_one(name, writer, tmp_path):
    node = device(tmp_path / name, name)
    (tmp_path / "link").symlink_to(node)
    for path in (node, tmp_path / "link"):
        with pytest.raises(InputError, match="it is no regular file; name one"):
            writer(path)
    assert stat.S_ISCHR(node.stat().st_mode)
    assert {path.name for path in tmp_path.iterdir()} == {"link", name}


def test_a_pipe_stays_one(writer, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="it is no regular file; name one"):
        writer(pipe)
    assert pipe.is_fifo()


def test_what_has_no_name_is_refused(writer):
    """As /dev/stdout before a pipe: the link leads to nothing that the file system names."""
    reading, writing = os.pipe()
    try:
        with pytest.raises(InputError, match="it is no regular file; name one"):
            writer(f"/proc/self/fd/{writing}")
    finally:
        os.close(reading)
        os.close(writing)


def test_links_are_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    file, link, hanging = tmp_path / "there" / "file", tmp_path / "link", tmp_path / "hanging"
    file.write_text("old")
    link.symlink_to("there/file")
    hanging.symlink_to(tmp_path / "there" / "new")
    (tmp_path / "twice").symlink_to(link)
    for path, expected in ((link, file), (tmp_path / "twice", file), (hanging, tmp_path / "there" / "new")):
        require_writable(path)
        write_text(path, f"through {path.name}")
        assert path.is_symlink()
        assert expected.read_text() == f"through {path.name}"
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["file", "new"]


def test_a_circle_of_links_is_refused(writer, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match=r"cannot write .*levels of symbolic links"):
        writer(tmp_path / "a")
    assert (tmp_path / "a").is_symlink()


def test_a_file_keeps_its_permissions(tmp_path):
    file = tmp_path / "private"
    write_text(file, "new")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    file.chmod(0o600)
    write_text(file, "newer")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_write_protected_is_kept(writer, tmp_path, monkeypatch):
    """The superuser may write everything: the system's answer is given here."""
    (tmp_path / "file").write_text("old")
    monkeypatch.setattr("os.access", lambda path, mode: (Path(path).name, mode) != ("file", os.W_OK))
    with pytest.raises(InputError, match="it is write-protected"):
        writer(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"


def test_a_check_leaves_nothing_behind(tmp_path):
    require_writable(tmp_path / "a" / "b" / "file")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*Not a directory"):
        require_writable(tmp_path / "a" / "b" / "file")


def test_equal_tensors_and_metadata_give_equal_bytes(tmp_path):
    """The library writes metadata in an order drawn anew each time: eight entries agree once in 40,320 times."""
    tensors = {"b": torch.arange(3), "a": torch.ones(2, dtype=torch.float64), "ä": torch.zeros(1, dtype=torch.uint8)}
    metadata = {name: name * 3 for name in "hgfedcbä"}
    files = [tmp_path / "1", tmp_path / "2"]
    for file in files:
        write_tensors(file, tensors, metadata)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    found, _ = read_tensors(files[0])
    assert all(found[name].equal(tensor) for name, tensor in tensors.items())
    assert (load(first).keys(), len(first) % 8) == (load(save(tensors)).keys(), len(save(tensors)) % 8)
    assert read_tensors(files[0])[1] == metadata
