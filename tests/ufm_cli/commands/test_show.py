"""`ufm show FILE` prints again what a command printed, out of the file that it wrote; nothing else is taken."""

import json

import pytest
import torch

import ufm
from tests.cases import PROBLEMS
from ufm_cli.commands.show import SHOWN
from ufm_cli.main import main

SMALL = ["-K", "3", "-n", "2", "-d", "2"]
POINT = ["--lambda-w", "5e-3", "--lambda-h", "2e-3", "--lambda-b", "1e-2"]
ASKED = {
    "verify": ["verify", *SMALL, "--starts", "1", "--rigorous"],
    "solve": ["solve", *SMALL, "--starts", "2", "--rigorous"],
    "atlas": ["atlas", *SMALL, "--until-quiet", "20", "--jobs", "1"],
    "derive": ["derive", "--only", "scale", "etf"],
    "map": ["map", "--classes", "3", "--dims", "1", "2", "--lambdas", "2e-3", "--starts", "2", "--jobs", "1"],
    "validate": ["validate", "point.safetensors", *POINT, "--theorems"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problem = PROBLEMS["balanced"]
    point = ufm.minimize(problem).point
    ufm.Point(point.W, point.H, point.b, problem.labels).save("point.safetensors")
    return tmp_path


def lines(text):
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", ASKED)
def test_what_was_printed_is_printed_again(name, folder, capsys):
    assert main([*ASKED[name], "--json", "r.json"]) == 0
    printed = lines(capsys.readouterr().out)
    assert main(["show", "r.json"]) == 0
    shown = lines(capsys.readouterr().out)
    assert len(shown) > 3
    assert [line for line in shown if line not in printed] == []
    assert set(printed) - set(shown) <= {line for line in printed if "/" in line or ": " in line}


def test_every_command_that_writes_a_result_is_shown():
    import importlib

    for name in SHOWN:
        assert callable(importlib.import_module(f"ufm_cli.commands.{name}").show_result)


def test_files_of_a_command_need_no_name(folder, capsys):
    assert main(ASKED["map"]) == 0
    printed = lines(capsys.readouterr().out)
    assert main(["show", "runs/map/map.json"]) == 0
    assert set(lines(capsys.readouterr().out)) <= set(printed)


def test_a_run_is_shown_as_it_was_printed(run_copy, capsys, tmp_path):
    assert main(["validate", str(run_copy.path), "--json", str(tmp_path / "r.json")]) == 0
    printed = lines(capsys.readouterr().out)
    for file in (tmp_path / "r.json", run_copy.analysis):
        assert main(["show", str(file)]) == 0
        assert lines(capsys.readouterr().out) == printed


@pytest.mark.parametrize("flags", [[], POINT], ids=["not covered", "compared"])
def test_numbers_that_json_does_not_have_are_shown(flags, folder, capsys):
    """Class means of which two coincide: metrics that are infinite, and some that are not defined."""
    W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    H = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    ufm.Point(W, H, W.new_zeros(3), torch.tensor([0, 1, 2, 0])).save("odd.safetensors")
    main(["validate", "odd.safetensors", *flags, "--json", "r.json"])
    printed = lines(capsys.readouterr().out)
    assert main(["show", "r.json"]) == 0
    shown = lines(capsys.readouterr().out)
    assert [line for line in shown if line not in printed] == []
    assert len(shown) > 20


def damaged(data, change):
    if change == "a verdict that is none":
        data["verdicts"][0]["status"] = "proved by intimidation"
    elif change == "a field too many":
        data["verdicts"][0]["mood"] = "good"
    elif change == "a word for a number":
        data["verdicts"][0]["worst"] = "little"
    elif change == "no problem":
        del data["problem"]
    elif change == "another command":
        data["command"] = "solve"
    return data


CHANGES = ("a verdict that is none", "a field too many", "a word for a number", "no problem", "another command")


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_refused_in_one_line(change, folder, capsys):
    main(["verify", *SMALL, "--starts", "1", "--json", "r.json"])
    capsys.readouterr()
    text = json.dumps(damaged(json.loads((folder / "r.json").read_text()), change))
    (folder / "r.json").write_text(text)
    assert main(["show", "r.json"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["[]", "{}", '{"command": "dance"}', "no JSON"])
def test_what_is_no_result_is_refused(text, folder, capsys):
    (folder / "r.json").write_text(text)
    assert main(["show", "r.json"]) == 2
    assert "r.json" in capsys.readouterr().err
