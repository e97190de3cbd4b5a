"""`ufm verify --model`: a model's own claims, its record printed again, and what does nothing refused."""

import json
from dataclasses import replace

import pytest

from ufm.theorems import MODELS as CLAIMS
from ufm.theorems import Finding
from ufm_cli.main import main
from ufm_cli.models import MODELS

SMALL = ["-K", "3", "-n", "2", "-d", "3"]


@pytest.mark.parametrize("model", [name for name in MODELS if name != "free"])
def test_a_model_is_verified_and_shown_again(model, tmp_path, capsys):
    file = tmp_path / "found.json"
    assert main(["verify", "--model", model, *SMALL, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert model in printed
    assert " 0 fails" in printed
    found = json.loads(file.read_text())
    assert found["problem"]["model"] == model
    assert any(verdict["status"] == "holds" for verdict in found["verdicts"])
    assert main(["show", str(file)]) == 0
    assert capsys.readouterr().out.split() == printed.split()


def test_every_model_has_a_line(tmp_path, capsys):
    file = tmp_path / "found.json"
    assert main(["verify", "--model", "all", *SMALL, "--starts", "2", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    lines = {words[0]: words for words in map(str.split, printed.splitlines()) if words}
    for name in MODELS:
        assert int(lines[name][2]) > 0
        assert lines[name][3] == "0"
    assert main(["show", str(file)]) == 0
    assert capsys.readouterr().out.split() == printed.split()


def test_a_model_that_does_not_take_the_settings_says_why(tmp_path, capsys):
    file = tmp_path / "found.json"
    small = ["-K", "3", "-n", "1", "-d", "1", "--starts", "1"]
    assert main(["verify", "--model", "all", *small, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "fixed-classifier: not covered (3 classes have no simplex frame in 1 dimensions; take -d >= 2)" in printed
    assert "spheres: not covered" in printed
    assert main(["show", str(file)]) == 0
    assert capsys.readouterr().out.split() == printed.split()
    assert main(["verify", "--model", "all", "--lambda-h", "-1"]) == 2


def test_a_failing_claim_of_one_model_is_exit_status_1(monkeypatch, capsys):
    first, *others = CLAIMS["nonnegative"]
    failing = replace(first, check=lambda model, evidence: Finding(1.0, 0.0, "planted"))
    monkeypatch.setitem(CLAIMS, "nonnegative", (failing, *others))
    assert main(["verify", "--model", "all", *SMALL, "--starts", "1"]) == 1
    assert first.name in capsys.readouterr().out


def test_a_classifier_from_a_file(tmp_path, capsys):
    file = tmp_path / "W.csv"
    file.write_text("1,0,0\n0,1,0\n0,0,1\n")
    asked = [
        "verify",
        "--model",
        "fixed-classifier",
        *SMALL[:4],
        "--no-bias",
        "--nonnegative",
        "--classifier",
        str(file),
    ]
    assert main(asked) == 0
    assert "W = 3 x 3" in capsys.readouterr().out
    assert main([*asked, "-d", "3"]) == 2
    assert "--classifier says how many columns W has" in capsys.readouterr().err


@pytest.mark.parametrize("row", ["1,1,1,1", "0,0"])
def test_a_classifier_that_sees_nothing_has_one_minimiser(row, tmp_path, capsys):
    file = tmp_path / "W.csv"
    file.write_text(f"{row}\n" * 3)
    assert main(["verify", "--model", "fixed-classifier", *SMALL[:4], "--classifier", str(file)]) == 0
    assert " 0 fails" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model", "other"], "unknown model 'other'"),
        (["--classifier", "W.csv"], "--model free does not have it"),
        (["--model", "fixed-classifier", "--lambda-w", "1"], "--lambda-w would do nothing"),
        (["--model", "nonnegative", "--nonnegative"], "--nonnegative would do nothing"),
        (["--model", "spheres", "--lambda-w", "1"], "--lambda-w would do nothing"),
        (["--model", "spheres", "--no-bias"], "--no-bias would do nothing"),
        (["--model", "spheres", "--scale", "-1"], "--scale must be a finite number > 0"),
        (["--model", "nonnegative", "--scale", "2"], "--scale would do nothing"),
        (["--model", "nonnegative", "--seed", "9999999999999999999"], "--seed must lie in 0 .. "),
        (["--model", "spheres", "--seed", "-3"], "--seed must lie in 0 .. "),
        (["--model", "nonnegative", "--rigorous"], "leave --rigorous out"),
        (["--model", "nonnegative", "--lambda-b", "1", "--no-bias"], "--lambda-b would do nothing"),
        (["--model", "nonnegative", "--lambda-b", "1"], "--lambda-b would do nothing"),
        (["--depth", "4"], "--model free does not have it"),
        (["--model", "deep-linear", "--lambda-w", "1"], "--lambda-w would do nothing"),
        (["--model", "deep-linear", "--no-bias"], "--no-bias would do nothing"),
        (["--model", "deep-linear", "--bias"], "--bias would do nothing"),
        (["--model", "deep-linear", "--depth", "1"], "--depth must be a whole number of factors"),
        (
            ["--model", "deep-linear", "--decay", "0"],
            "--decay must be a finite number > 0, got 0.0; without it f",
        ),
        (
            ["--model", "fixed-classifier", "--lambda-h", "0"],
            "W is free too the limit, ufm verify --model ridgeless",
        ),
        (["--model", "fixed-classifier", "--lambda-h", "0", "--loss", "mse"], "without it f is least squares, flat"),
        (["--model", "fixed-classifier", "--lambda-h", "nan"], "--lambda-h must be a finite number > 0, got nan"),
        (["--model", "nonnegative", "--lambda-h", "0"], "as W and H scale against each other"),
    ],
)
def test_what_does_nothing_is_refused(flags, words, capsys):
    assert main(["verify", *SMALL, *flags]) == 2
    assert words in capsys.readouterr().err
