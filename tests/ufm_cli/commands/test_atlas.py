"""ufm atlas as people use it: tables, the file it goes on from, the figure, exit statuses."""

import json
from dataclasses import replace

import pytest

import ufm.atlas.atlas
from ufm.atlas.euler import euler_sum
from ufm_cli.main import main

ASK = ["atlas", "-K", "3", "-n", "2", "-d", "2", "--lambda-w", "2e-3", "--lambda-h", "2e-3", "--jobs", "1"]


@pytest.fixture
def ask(tmp_path):
    return [*ASK, "--runs", str(tmp_path), "--until-quiet", "100"]


def test_atlas(ask, capsys, tmp_path):
    assert main([*ask, "--connections", "--json", str(tmp_path / "a.json")]) == 0
    text, errors = capsys.readouterr()
    assert errors == ""
    for level in ("0.0388354", "0.1109146", "0.4873273", "1.0986122"):
        assert level in text
    found = json.loads((tmp_path / "a.json").read_text())
    assert [point["index"] for point in found["points"]] == [0, 1, 2, 4]
    assert {total["value"] for total in found["sums"]} == {1}
    assert {line["end"] for line in found["descents"] if line["start"] == 1} == {0}
    folder = tmp_path / "atlas-K3-d2"
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{extension}" for name in ("spectra", "landscape") for extension in ("svg", "pdf", "png", "csv")
    }
    assert text.strip().splitlines()[-1] == f"4 critical points: {folder / 'atlas.json'}"


def test_goes_on_from_its_file(ask, capsys, tmp_path):
    assert main(ask) == 0
    first = (tmp_path / "atlas-K3-d2" / "atlas.json").read_text()
    assert main(ask) == 0
    assert (tmp_path / "atlas-K3-d2" / "atlas.json").read_text() == first
    assert min(json.loads(first)["quiet"].values()) < 300
    assert main([*ask, "--until-quiet", "300"]) == 0
    assert min(json.loads((tmp_path / "atlas-K3-d2" / "atlas.json").read_text())["quiet"].values()) >= 300


def test_another_problem_is_refused_and_nothing_lost(ask, capsys, tmp_path):
    assert main(ask) == 0
    file = tmp_path / "atlas-K3-d2" / "atlas.json"
    kept = file.read_text()
    assert main([*ask, "--lambda-w", "3e-3"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "about another problem or seed" in errors
    assert file.read_text() == kept
    assert main([*ask, "--lambda-w", "3e-3", "--force"]) == 0


def test_a_sum_that_is_not_1_gives_status_1(ask, capsys, monkeypatch):
    monkeypatch.setattr("ufm.atlas.euler.euler_sum", lambda *given: replace(euler_sum(*given), value=3))
    assert main(ask) == 1
    assert "Euler sums are not 1: a point is missing" in capsys.readouterr().out


def test_a_minimum_where_theory_has_none_gives_status_1(ask, capsys, monkeypatch):
    described = ufm.atlas.atlas._described

    def wrong(problem, entry):
        point = described(problem, entry)
        return replace(point, certificate=replace(point.certificate, verdict="local minimizer"))

    monkeypatch.setattr("ufm.atlas.atlas._described", wrong)
    assert main(ask) == 1
    assert "4 points are neither global minimisers nor strict saddles" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-K", "13"], "K <= 12, got K = 13"),
        (["--until-quiet", "0"], "--until-quiet must be >= 1, got 0"),
        (["--jobs", "0"], "jobs must be >= 1, got 0"),
        (["--name", "../x"], "plain name without slashes"),
    ],
)
def test_bad_flags(flags, message, ask, capsys):
    assert main([*ask, *flags]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert message in errors


def test_what_an_older_version_wrote_is_shown(capsys):
    from ufm import Problem
    from ufm.atlas import explore
    from ufm_cli.commands.atlas import show_result

    found = replace(
        explore(Problem.balanced(2, 1, 1, lambda_w=0.1, lambda_h=0.1), until_quiet=1), followed=3, excluded=2
    )
    data = found.plain()
    show_result(data)
    text = capsys.readouterr().out
    assert "3 ends of searches, hidden by rounding, were followed to points proved" in text
    assert "2 ends of searches, hidden by rounding, were proved to be no critical points" in text
    for name in ("hidden", "followed", "excluded"):
        del data[name]
    for point in data["points"]:
        del point["proved"]
    show_result(data)
    assert "ends of searches" not in capsys.readouterr().out


def test_proves_that_none_is_missing(capsys, tmp_path):
    problem = ["-K", "3", "-n", "1", "-d", "2", "--no-bias", "--lambda-w", "0.3", "--lambda-h", "0.3"]
    ask = [
        "atlas",
        *problem,
        "--jobs",
        "1",
        "--runs",
        str(tmp_path),
        "--name",
        "strong",
        "--until-quiet",
        "100",
        "--prove",
    ]
    assert main([*ask, "--json", str(tmp_path / "a.json")]) == 0
    text, errors = capsys.readouterr()
    assert errors == ""
    statement = "up to O(2) and permutations of the classes the problem has exactly"
    assert f"proved: {statement}" in text
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["completeness"]["proved"]
    assert main(["show", str(tmp_path / "a.json")]) == 0
    assert f"proved: {statement}" in capsys.readouterr().out
    proof = tmp_path / "strong" / "proof.json"
    assert main(["check", str(proof), "--json", str(tmp_path / "c.json")]) == 0
    assert f"holds: {statement}" in capsys.readouterr().out
    assert main(["show", str(tmp_path / "c.json")]) == 0
    assert f"holds: {statement}" in capsys.readouterr().out
    proof.write_text(proof.read_text().replace('"lambda_w": 0.3', '"lambda_w": 0.2'))
    assert main(["check", str(proof)]) == 1
    assert "does not hold" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "a.json")]) == 2
    assert "no certificate" in capsys.readouterr().err


def test_a_page_is_written_of_what_was_found(ask, capsys, tmp_path):
    page = tmp_path / "new.html"
    assert main([*ask, "--until-quiet", "1", "--html", str(page)]) == 0
    assert str(page) in capsys.readouterr().out.splitlines()
    text = page.read_text(encoding="utf-8")
    assert text.count('class="mark ') == 4
    assert "--connections follows and draws them" in text
    assert main([*ask, "--until-quiet", "1", "--connections", "--html", str(page)]) == 0
    assert '<path class="link" data-from="1" data-to="0"' in page.read_text(encoding="utf-8")
    assert "--connections follows" not in page.read_text(encoding="utf-8")
