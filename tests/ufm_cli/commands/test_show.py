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


def save_point(file):
    problem = PROBLEMS["balanced"]
    point = ufm.minimize(problem).point
    ufm.Point(point.W, point.H, point.b, problem.labels).save(file)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_point("point.safetensors")
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


def deeper(data, *path, value):
    """The data with another value at the end of the path."""
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return data


MALFORMED = {
    "a value too large": ("solve", ("starts", 0, "value"), 10**400),
    "a certificate too large": ("solve", ("certificate", "value"), 10**400),
    "a seed of no start": ("solve", ("seed",), 7),
    "a truth for an eigenvalue": ("solve", ("spectrum", "values"), [True]),
    "infinitely many": ("solve", ("spectrum", "multiplicities", 0), float("inf")),
    "nothing in a tensor": ("solve", ("spectrum", "values", 0), None),
    "an object in a tensor": ("solve", ("spectrum", "values", 0), {}),
    "a class of many": ("atlas", ("sums", 0, "action", "counts", 0), 10**25),
    "involutions without end": ("atlas", ("sums", 0, "action", "m"), 10**400),
    "many involutions": ("atlas", ("sums", 0, "action", "m"), 60),
    "a title that is a list": ("validate", ("of",), {"a": ["[/x]"]}),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The results of three commands, as text by command."""
    found = tmp_path_factory.mktemp("written")
    save_point(found / "point.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        for name in ("solve", "atlas"):
            main([*ASKED[name], "--json", f"{name}.json"])
        main(["validate", "point.safetensors", "--json", "validate.json"])
    return {file.stem: file.read_text() for file in found.glob("*.json")} | {
        "search": next(found.glob("runs/*/atlas.json")).read_text()
    }


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_numbers_are_refused_in_one_line(case, written, folder, capsys):
    name, path, value = MALFORMED[case]
    data = deeper(json.loads(written[name]), *path, value=value)
    (folder / "r.json").write_text(json.dumps(data))
    capsys.readouterr()
    status = main(["show", "r.json"])
    complaint = capsys.readouterr().err.strip().splitlines()
    assert (status, len(complaint)) == ((0, 0) if name == "validate" else (2, 1))


@pytest.mark.parametrize("before", ["[", '{"command":'])
def test_what_is_nested_without_end_is_refused(before, folder, capsys):
    (folder / "r.json").write_text(before * 200_000)
    assert main(["show", "r.json"]) == 2
    assert "nested too deeply" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "word"), [('{"command": "figures", "files": []}', "ufm figures"), ('{"command": "report"}', "ufm report")]
)
def test_lists_of_files_have_nothing_to_show(text, word, folder, capsys):
    (folder / "r.json").write_text(text)
    assert main(["show", "r.json"]) == 2
    assert f"{word}, which lists files" in capsys.readouterr().err


def test_what_a_search_goes_on_from_is_not_what_it_found(written, folder, capsys):
    (folder / "r.json").write_text(written["search"])
    assert main(["show", "r.json"]) == 2
    assert "ufm atlas --json FILE" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "{}", '{"command": "dance"}', "no JSON"])
def test_what_is_no_result_is_refused(text, folder, capsys):
    (folder / "r.json").write_text(text)
    assert main(["show", "r.json"]) == 2
    assert "r.json" in capsys.readouterr().err
