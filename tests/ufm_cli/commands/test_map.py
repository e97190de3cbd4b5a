"""ufm map: table, files, exit statuses, resuming, and one line for what cannot be done."""

import json
from dataclasses import replace

import pytest

import ufm
from tests.ufm_cli.test_console import Terminal
from ufm.traps import Cell
from ufm.traps.grid import survey
from ufm_cli.main import main

ASK = ["map", "--classes", "3", "6", "--dims", "2", "5", "--lambdas", "2e-4", "--starts", "8", "--jobs", "1"]
QUICK = ["map", "--classes", "3", "--dims", "2", "--lambdas", "2e-3", "--starts", "2", "--jobs", "1"]


def load(path):
    return json.loads(path.read_text())


def test_map_shows_the_known_trap_and_none_from_k_minus_1(capsys, tmp_path):
    assert main([*ASK, "--runs", str(tmp_path), "--json", str(tmp_path / "m.json")]) == 0
    text, errors = capsys.readouterr()
    assert errors == ""  # no progress bar without a terminal
    row = next(line.split() for line in text.splitlines() if line.startswith("6  2"))
    assert float(row[4].rstrip("%")) > 10
    assert float(row[5]) == pytest.approx(8.98e-3, rel=1e-3)
    assert "best found" in " ".join(row)
    assert "d < K - 1: traps in 1 of 1 cells; the best is certified global in 0" in text
    assert "d >= K - 1: traps in 0 of 3 cells; the best is certified global in 3" in text
    folder = tmp_path / "map"
    assert {file.name for file in (folder / "figures").iterdir()} == {
        f"traps.{extension}" for extension in ("svg", "pdf", "png", "csv")
    }
    found = load(tmp_path / "m.json")
    assert found["command"] == "map"
    assert found["cells"] == load(folder / "map.json")["cells"]
    assert load(folder / "map.json")["versions"]["torch"]


def test_a_map_of_spheres_is_shown_again_and_goes_on(capsys, tmp_path):
    ask = ["map", "--model", "spheres", "--classes", "3", "4", "--dims", "2", "3", "--scale", "10", "--starts", "6"]
    ask += ["--jobs", "1", "--runs", str(tmp_path)]
    assert main(ask) == 0
    text = capsys.readouterr().out
    rows = {tuple(words[:2]): words for words in map(str.split, text.splitlines()) if words[:1] in (["3"], ["4"])}
    assert float(rows["3", "2"][4].rstrip("%")) > 0
    assert float(rows["3", "3"][-1]) < 1e-8  # certified
    assert float(rows["4", "2"][-1]) > 0.5  # an honest gap
    assert "d < K: traps in 1 of 3 cells; the best is certified global in 2" in text
    assert main(ask) == 0
    assert capsys.readouterr().out == text
    assert main(["show", str(tmp_path / "map" / "map.json")]) == 0
    shown = capsys.readouterr().out
    assert shown.split() == text[: text.index(str(tmp_path))].split()


def test_a_page_is_written_of_the_map(capsys, tmp_path):
    page = tmp_path / "map.html"
    assert main([*QUICK, "--runs", str(tmp_path), "--html", str(page)]) == 0
    assert str(page) in capsys.readouterr().out.splitlines()
    assert page.read_text(encoding="utf-8").count('class="mark ') == 1


def test_map_goes_on_and_is_not_replaced_without_force(capsys, tmp_path):
    ask = [*QUICK, "--runs", str(tmp_path), "--name", "mine"]
    assert main(ask) == 0
    first = capsys.readouterr().out
    before = (tmp_path / "mine" / "map.json").read_bytes()
    assert main(ask) == 0
    assert capsys.readouterr().out == first
    assert main([*ask, "--starts", "3"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "was made with starts = 2, not 3; ask the same to go on" in errors
    assert (tmp_path / "mine" / "map.json").read_bytes() == before
    assert main([*ask, "--starts", "3", "--force"]) == 0
    assert load(tmp_path / "mine" / "map.json")["asked"]["starts"] == 3


def test_progress_on_a_terminal(monkeypatch, tmp_path):
    errors = Terminal()
    monkeypatch.setattr("sys.stderr", errors)
    assert main([*QUICK, "--runs", str(tmp_path)]) == 0
    assert "cells of the map" in errors.getvalue()


def test_interrupted_map_goes_on(capsys, tmp_path, monkeypatch):
    done = []

    def stop_at_the_second(problem, *rest) -> Cell:
        if done:
            raise KeyboardInterrupt
        done.append(problem)
        return survey(problem, *rest)

    ask = [*QUICK, "--dims", "1", "2", "3"]
    with monkeypatch.context() as patch:
        patch.setattr("ufm.traps.grid.survey", stop_at_the_second)
        assert main([*ask, "--runs", str(tmp_path / "stopped")]) == 130
    assert capsys.readouterr().err.strip() == "ufm: interrupted"
    assert len(load(tmp_path / "stopped" / "map" / "map.json")["cells"]) == 1
    for folder in ("stopped", "whole"):
        assert main([*ask, "--runs", str(tmp_path / folder)]) == 0
    stopped, whole = (tmp_path / folder / "map" for folder in ("stopped", "whole"))
    for name in ("map.json", *(f"figures/traps.{extension}" for extension in ("svg", "pdf", "png", "csv"))):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


def test_map_exits_1_on_a_trap_from_k_minus_1(capsys, tmp_path, monkeypatch):
    class Wrong(ufm.Sweep):
        @property
        def certificates(self):
            known = [(c, c.value + float(s.point.W[0, 0] > 0)) for s, c in zip(self, super().certificates, strict=True)]
            return tuple(replace(c, verdict="local minimizer", value=value) for c, value in known)

    def sweep(*asked, **how):
        found = ufm.sweep(*asked, **how)
        return Wrong(found.problems, found.solutions, found.device)

    monkeypatch.setattr("ufm.traps.descents.sweep", sweep)
    assert main([*QUICK, "--starts", "6", "--runs", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "K = 3, d = 2, lambda = 0.002: a local minimiser that is not global, against the theory" in text
    assert 0 < load(tmp_path / "map" / "map.json")["cells"][0]["trapped"] < 1


BAD = {
    "K = 1": (["--classes", "1"], "K >= 2 classes, got --classes = 1"),
    "d = 0": (["--dims", "2", "0"], "dimension d must be a whole number >= 1, got 0"),
    "d beyond memory": (["--dims", "1000000000"], "GiB"),
    "no classes": (["--classes"], "classes must list at least one value"),
    "K not whole": (["--classes", "2.5"], "--classes"),
    "a repeated lambda": (["--lambdas", "1e-3", "1e-3"], "lambdas must not repeat a value"),
    "lambda NaN": (["--lambdas", "nan"], "--lambdas must be a finite number > 0, got nan"),
    "negative lambda_b": (["--lambda-b", "-1"], "--lambda-b must be a finite number >= 0, got -1.0"),
    "n = 0": (["-n", "0"], "n_k >= 1"),
    "another model": (["--model", "other"], "unknown model 'other'; a map is of one of: free, spheres"),
    "a scale of free": (["--scale", "2"], "--scale would do nothing here: --model free does not have it"),
    "lambdas of spheres": (["--model", "spheres"], "--lambdas would do nothing here"),
    "no starts": (["--starts", "0"], "starts must be >= 1, got 0"),
    "negative seed": (["--seed", "-1"], "seed must be >= 0, got -1"),
    "no jobs": (["--jobs", "0"], "jobs must be >= 1, or -1"),
    "name with a slash": (["--name", "../x"], "plain name without slashes"),
    "runs in a file": (["--runs", "/dev/null/runs"], "cannot write"),
}


@pytest.mark.parametrize(("flags", "message"), BAD.values(), ids=BAD)
def test_bad_flags_are_one_line_and_status_2(flags, message, capsys, tmp_path):
    assert main([*QUICK, "--runs", str(tmp_path), *flags]) == 2
    text, errors = capsys.readouterr()
    assert text == ""
    assert errors.count("\n") == 1
    assert errors.startswith("ufm: ")
    assert message in errors


@pytest.mark.parametrize("content", ["", "{ not this", "[]", '{"asked": 1}', '{"asked": {}, "cells": []}'])
def test_damaged_maps_are_named_in_one_line(content, capsys, tmp_path):
    (tmp_path / "map").mkdir()
    (tmp_path / "map" / "map.json").write_text(content)
    assert main([*QUICK, "--runs", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "map.json" in errors
    assert (tmp_path / "map" / "map.json").read_text() == content
