"""ufm bifurcations: the tables, the files, what is kept, and the exit status."""

import importlib
import json

from ufm_cli.main import main

PATH = ["-K", "3", "--along", "rho", "--begin", "0.04", "--end", "0.1", "--no-bias"]
ASKED = ["bifurcations", *PATH, "--jobs", "1", "--looks", "2"]


def test_the_diagram_is_printed_drawn_kept_and_shown_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*ASKED, "--json", "r.json"]) == 0
    printed = capsys.readouterr().out
    assert "0.0450817" in printed
    assert "pitchfork" in printed
    for end in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "runs" / "bifurcations" / "figures" / f"bifurcations.{end}").stat().st_size > 0
    assert len(json.loads((tmp_path / "r.json").read_text())["events"]) == 1
    for file in ("r.json", "runs/bifurcations/bifurcations.json"):
        assert main(["show", file]) == 0
        assert "0.0450817" in capsys.readouterr().out
    assert main([*ASKED[:-1], "3"]) == 2
    assert "another path" in capsys.readouterr().err


def test_interrupted_it_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    real, calls = importlib.import_module("ufm.bifurcations.looks").Looks.survey, []

    def survey(grid, problem):
        calls.append(problem)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(grid, problem)

    monkeypatch.setattr("ufm.bifurcations.looks.Looks.survey", survey)
    assert main(ASKED) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "ufm: interrupted; the same command goes on from the atlases that are finished"
    assert len(json.loads((tmp_path / "runs/bifurcations/looks.json").read_text())["cells"]) == 1
    assert main(ASKED) == 0
    assert [problem.lambda_w for problem in calls] == [0.04 / 3, 0.1 / 3, 0.1 / 3]


def test_a_sum_that_is_not_1_is_exit_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    search = importlib.import_module("ufm.bifurcations.diagram")._Search
    real = search._count
    monkeypatch.setattr(search, "_count", staticmethod(lambda branches, t: real(branches[1:], t)))
    assert main(ASKED) == 1
    assert "the Euler sum at rho" in capsys.readouterr().out


def test_flags_that_cannot_be_are_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wrong = (
        ["--along", "rho", "--rho", "0.5"],
        ["--ratio", "3"],
        ["--no-bias"],
        ["-K", "2"],
        ["--begin", "2"],
        ["--looks", "1"],
        ["--end", "inf"],
        ["--along", "rho", "--ratio", "nan"],
        ["--along", "rho", "--end", "1"],
        ["--seed", "-1"],
    )
    for words in wrong:
        assert main(["bifurcations", *words]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.glob("**/*.json"))


def test_along_rho_the_path_ends_below_the_threshold_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(importlib.import_module("ufm.bifurcations"), "kept_diagram", lambda path, *_, **__: stop(path))

    def stop(path):
        seen.append((path.along, path.end))
        raise KeyboardInterrupt

    for words in ([], ["--along", "rho"], ["--along", "rho", "--end", "0.5"]):
        assert main(["bifurcations", *words]) == 130
    assert seen == [("lambda_b", 1.0), ("rho", 0.98), ("rho", 0.5)]
