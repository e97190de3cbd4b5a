"""Files appear whole or not at all, and hold nothing that runs."""

import json
import math

import pytest
import torch

from ufm import InputError
from ufm.files import read_json, read_tensors, replacing, write_json, write_tensors, write_text


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
