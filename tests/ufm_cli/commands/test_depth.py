"""ufm depth: the table, the files and the exit status."""

import json
from dataclasses import replace

from ufm.depths import survey
from ufm_cli.main import main

ASKED = ["depth", "--classes", "3", "4", "--depths", "2", "4", "--lambdas", "0.002", "--rounds", "1", "--jobs", "1"]


def test_the_diagram_is_printed_drawn_and_gone_on_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*ASKED, "--json", "r.json"]) == 0
    printed = capsys.readouterr().out
    assert "2 global minimizer, 2 local minimizer in 4 cells" in printed
    assert "a better point than the simplex ETF in 1 of 4 cells that have one" in printed
    assert "0 cells contradict theory" in printed
    for end in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "runs" / "depth" / "figures" / f"depth.{end}").stat().st_size > 0
    assert len(json.loads((tmp_path / "r.json").read_text())["cells"]) == 4
    for file in ("runs/depth/depth.json", "r.json"):
        assert main(["show", file]) == 0
        assert capsys.readouterr().out in printed
    assert main([*ASKED, "--loss", "bce"]) == 2
    assert "was made with loss = cross-entropy, not bce" in capsys.readouterr().err


def test_a_contradiction_is_exit_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def wrong(problem, seed, rounds):
        cell = survey(problem, seed, rounds)
        return replace(cell, value=cell.etf.value)

    monkeypatch.setattr("ufm.depths.grid.survey", wrong)
    assert main(ASKED) == 1
    assert "1 cells contradict theory" in capsys.readouterr().out


def test_flags_that_cannot_be_are_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (["--depths", "1"], "--depths must be"),
        (["--lambdas", "0"], "--lambdas must be"),
        (["--classes", "1"], "K >= 2"),
        (["--rounds", "0"], "--rounds must be"),
        (["--loss", "hinge"], "hinge"),
    ):
        assert main(["depth", *words]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1
