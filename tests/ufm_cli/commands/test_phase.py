"""ufm phase: the table, the files and the exit status."""

import json

from ufm_cli.main import main

ASKED = ["phase", "--fewer", "1", "10", "--lambdas", "0.01", "0.05", "-n", "10", "--majority", "2", "--minority", "2"]


def test_the_diagram_is_printed_drawn_and_gone_on_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*ASKED, "--jobs", "1", "--json", "r.json", "--html", "r.html"]) == 0
    printed = capsys.readouterr().out
    assert "4 minimisers are certified global" in printed
    assert "0 cells contradict the threshold of theory" in printed
    for end in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "runs" / "phase" / "figures" / f"phase.{end}").stat().st_size > 0
    assert len(json.loads((tmp_path / "r.json").read_text())["cells"]) == 4
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count('class="mark ') == 4
    assert main(["show", "runs/phase/phase.json"]) == 0
    assert "2 + 2 classes" in capsys.readouterr().out
    assert main([*ASKED, "--jobs", "1", "--loss", "bce"]) == 2
    assert "was made with loss = cross-entropy, not bce" in capsys.readouterr().err


def test_a_contradiction_is_exit_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ufm.phases.cell.merging", lambda problem, group: 2.0)
    assert main([*ASKED, "--jobs", "1"]) == 1
    assert "contradict the threshold" in capsys.readouterr().out


def test_flags_that_cannot_be_are_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["--fewer", "200"], ["--minority", "1"], ["--no-bias", "--lambda-b", "0.1"], ["--loss", "hinge"]):
        assert main(["phase", *words]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
