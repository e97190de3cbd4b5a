"""ufm flow: the tables, the figures, the results shown again, and the exit status."""

import json

import pytest

from ufm_cli.main import main

ASKED = {
    "seli": ["--class-counts", "3", "2", "1", "-d", "3", "--lambdas", "1e-3", "1e-6", "--ratio", "2"],
    "margin": ["--class-counts", "2", "1", "-d", "2", "--reach", "50", "--frames", "8"],
    "central": ["-K", "3", "-n", "3", "-d", "3", "--until", "1000", "--frames", "6"],
}
SAID = {
    "seli": "SELI: global minimizer by its duality gap",
    "margin": "W^T W - H^T H and 1^T W stay to",
    "central": "of the closed form, singular vectors stay to",
}


@pytest.mark.parametrize("kind", ASKED)
def test_each_kind_is_followed_drawn_and_shown_again(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["flow", "--kind", kind, *ASKED[kind], "--figures", "drawn", "--json", "r.json"]) == 0
    printed = capsys.readouterr().out
    assert SAID[kind] in printed
    for end in ("svg", "pdf", "png", "csv"):
        assert (tmp_path / "drawn" / f"{kind}.{end}").stat().st_size > 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["command"], found["kind"]) == ("flow", kind)
    assert len(found["found"]) == {"seli": 2, "margin": 8, "central": 6}[kind]
    assert main(["show", "r.json"]) == 0
    assert [*capsys.readouterr().out.splitlines()] == [line for line in printed.splitlines() if "drawn" not in line]


def test_balanced_classes_are_said_to_be_there_already(capsys):
    assert main(["flow", "--class-counts", "2", "2", "-d", "2", "--lambdas", "1e-3"]) == 0
    assert "SELI's logits, but for a factor, at every lambda" in capsys.readouterr().out


PLANTED = {
    "seli": ("ufm.models.ridgeless.Ridgeless.lower_bound", lambda model, point: 0.9, "SELI is not certified"),
    "margin": ("ufm.flows.margin._kept", lambda m, x: (x.sum() ** 2, x), "does not conserve"),
    "central": ("ufm.flows.singular_value", lambda K, N, begin, time: begin, "not the one of the closed form"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_differs_from_theory_is_exit_status_1(kind, monkeypatch, capsys):
    place, wrong, words = PLANTED[kind]
    monkeypatch.setattr(place, wrong)
    assert main(["flow", "--kind", kind, *ASKED[kind]]) == 1
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "other"], "choose one of: seli, margin, central"),
        (["-K", "3"], "-K would do nothing here: --kind seli does not have it"),
        (["--kind", "central", "--lambdas", "1"], "--lambdas would do nothing"),
        (["--kind", "margin", "--ratio", "2"], "--ratio would do nothing"),
        (["--lambdas", "0"], "--lambdas must be > 0"),
        (["--lambdas", "1e-2", "-d", "2"], "d = 2 < K - 1 = 3"),
        (["--kind", "margin", "--reach", "-1"], "--reach must lie above"),
        (["--kind", "margin", "--frames", "1"], "--frames must be >= 2"),
        (["--kind", "margin", "--size", "0"], "--size must lie in"),
        (["--kind", "central", "-n", "2"], "K - 1 <= d <= K (n - 1)"),
        (["--kind", "central", "--until", "-1"], "--until must lie in"),
        (["--kind", "central", "--signal", "0"], "--signal must lie in"),
        (["--kind", "central", "--frames", "2"], "--frames must be >= 3"),
        (["--seed", "-1"], "--seed must lie in"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(words, said, capsys):
    assert main(["flow", *words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert said in error
