"""The command as people use it: tables, files, exit statuses, and one line for what cannot be done."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import ufm
from ufm import Point
from ufm.theorems import Finding
from ufm_cli.main import COMMANDS, main
from validate import Run

SMALL = ["-K", "3", "-n", "2", "-d", "3"]


def load(path):
    return json.loads(path.read_text())


def test_verify(capsys, tmp_path):
    assert main(["verify", *SMALL, "-d", "4", "--starts", "2", "--json", str(tmp_path / "v.json")]) == 0
    text, errors = capsys.readouterr()
    assert f"{len(ufm.THEOREMS)} holds, 0 fails, 0 inconclusive, 0 not covered" in text
    assert errors == ""  # no progress bar without a terminal
    assert all(theorem.name in text for theorem in ufm.THEOREMS)
    found = load(tmp_path / "v.json")
    assert found["command"] == "verify"
    assert found["problem"]["num_classes"] == 3
    assert {verdict["status"] for verdict in found["verdicts"]} == {"holds"}
    assert found["versions"]["torch"]


def test_verify_rigorous(capsys, tmp_path):
    assert main(["verify", *SMALL, "-d", "4", "--starts", "1", "--rigorous", "--json", str(tmp_path / "v.json")]) == 0
    text = capsys.readouterr().out
    assert f"{len(ufm.THEOREMS) + 4} holds, 0 fails, 0 inconclusive, 0 not covered" in text
    assert "proved saddles" in text
    found = load(tmp_path / "v.json")
    assert found["rigorous"] is True
    assert len(found["verdicts"]) == len(ufm.THEOREMS) + 4


def test_verify_takes_class_counts_and_no_bias(capsys):
    assert main(["verify", "--class-counts", "1", "2", "4", "-d", "3", "--no-bias", "--starts", "1"]) == 0
    text = capsys.readouterr().out
    assert "K = 3, N = 7, d = 3" in text
    assert "no bias" in text
    assert "not covered" in text


def test_files_that_cannot_be_used_are_named(monkeypatch, capsys):
    def fail(*_, **__):
        raise PermissionError(13, "Permission denied", "runs/x/epochs.csv")

    monkeypatch.setattr("ufm.verify", fail)
    assert main(["verify", *SMALL]) == 2
    assert capsys.readouterr().err == (
        "ufm: cannot read or write runs/x/epochs.csv: Permission denied; check the path and its permissions\n"
    )


def test_verify_exits_1_when_a_claim_fails(capsys, monkeypatch):
    wrong = replace(ufm.THEOREMS[0], check=lambda problem, evidence: Finding(1.0, 0.5, "planted"))
    monkeypatch.setattr("ufm.theorems.verification.THEOREMS", (wrong,))
    assert main(["verify", *SMALL]) == 1
    assert "0 holds, 1 fails" in capsys.readouterr().out


def test_solve(capsys, tmp_path):
    save, result = tmp_path / "p.safetensors", tmp_path / "s.json"
    assert main(["solve", *SMALL, "--save", str(save), "--json", str(result)]) == 0
    assert "global minimizer" in capsys.readouterr().out
    problem = ufm.Problem.balanced(3, 2, 3, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
    found = load(result)
    assert found["certificate"]["value"] == pytest.approx(float(problem.objective(Point.load(save))))
    assert sum(found["spectrum"]["multiplicities"]) == problem.num_variables


def test_solve_rigorous(capsys, tmp_path):
    assert main(["solve", *SMALL, "--rigorous", "--json", str(tmp_path / "s.json")]) == 0
    text = capsys.readouterr().out
    assert "global minimiser, value in [" in text
    assert "128 bits" in text
    assert load(tmp_path / "s.json")["proof"]["verdict"] == "global minimizer"


def test_a_refused_proof_is_said_and_decides_nothing(capsys):
    assert main(["solve", *SMALL, "--rigorous", "--tol", "1e-2"]) == 0
    assert "--rigorous: inconclusive, not proved: Newton's method moves the point" in capsys.readouterr().out
    assert main(["solve", *SMALL, "--tol", "1e-2"]) == 0


def test_solve_exits_1_when_it_does_not_converge():
    assert main(["solve", *SMALL, "--tol", "1e-30"]) == 1


def test_train_validate_figures_report(capsys, tmp_path):
    runs = str(tmp_path / "my runs")
    recipe = ["--width", "16", "--depth", "0", "--feature-dim", "10", "--epochs", "2", "--keep", "1"]
    assert main(["train", *recipe, "--name", "tiny", "--runs", runs, "--json", str(tmp_path / "t.json")]) == 0
    run = Run.open(tmp_path / "my runs" / "tiny")
    assert load(tmp_path / "t.json")["last_epoch"]["epoch"] == 2
    assert main(["validate", str(run.path)]) == 0
    assert "2 checkpoints measure what training recorded" in capsys.readouterr().out
    assert load(run.analysis)["comparison"]["model"]["num_classes"] == 10
    assert main(["figures", str(run.path)]) == 0
    assert main(["verify", *SMALL, "--json", str(tmp_path / "v.json")]) == 0
    capsys.readouterr()
    assert main(["report", str(run.path), "--verdicts", str(tmp_path / "v.json")]) == 0
    text, errors = capsys.readouterr()
    assert text.strip().splitlines()[-1] == str(run.path / "report.html")
    assert errors == ""
    assert main(["train", *recipe, "--name", "tiny", "--runs", runs, "--epochs", "3", "--resume"]) == 0
    assert len(run.epochs) == 3


def test_validate_exits_1_on_a_changed_checkpoint(run_copy):
    run_copy.checkpoint(4).write_bytes(run_copy.checkpoint(2).read_bytes())
    assert main(["validate", str(run_copy.path)]) == 1
    assert load(run_copy.analysis)["agrees"] is False


def test_validate_a_saved_point(capsys, tmp_path):
    problem = ufm.Problem.balanced(3, 2, 3, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
    file = tmp_path / "p.safetensors"
    replace(ufm.minimize(problem, tol=1e-12).point, labels=problem.labels).save(file)
    assert main(["validate", str(file)]) == 0
    assert "not covered (pass --lambda-w" in capsys.readouterr().out
    assert main(["validate", str(file), "--lambda-w", "5e-3", "--lambda-b", "1e-2"]) == 0
    assert "global minimizer" in capsys.readouterr().out


def nan_point(folder):
    file = folder / "nan.safetensors"
    ufm.storage.files.write_tensors(
        file, {"W": torch.ones(2, 2), "H": torch.full((2, 2), float("nan")), "b": torch.zeros(2)}
    )
    return ["validate", str(file)]


def odd_point(folder, W, b=None):
    file = folder / "odd.safetensors"
    K, d = W
    Point(torch.ones(K, d), torch.ones(max(K, 1), d), torch.zeros(K) if b is None else torch.tensor(b)).save(file)
    return str(file)


@pytest.mark.parametrize(
    ("shape", "bias", "flags", "message"),
    [
        ((1, 4), None, [], "K >= 2 classes"),
        ((2, 0), None, [], "d >= 1 dimensions"),
        ((2, 2), None, ["--lambda-w", "0"], "--lambda-w must be a finite number > 0, got 0.0"),
        ((2, 2), None, ["--lambda-w", "1e-3", "--lambda-h", "0"], "--lambda-h must be a finite number > 0, got 0.0"),
        ((2, 2), None, ["--lambda-w", "nan"], "--lambda-w must be a finite number > 0, got nan"),
        ((2, 2), [1.0, 2.0], ["--lambda-w", "1e-3", "--no-bias"], "leave --no-bias out"),
    ],
)
def test_odd_points_and_decays_are_one_line(shape, bias, flags, message, tmp_path, capsys):
    assert main(["validate", odd_point(tmp_path, shape, bias), *flags]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert message in errors


BAD = {
    "unknown command": (["prove-it"], "unknown command 'prove-it'"),
    "K = 1": (["verify", "-K", "1"], "K >= 2 classes"),
    "K = 1 in solve": (["solve", "-K", "1"], "K >= 2 classes"),
    "one class": (["verify", "--class-counts", "5"], "K >= 2 classes"),
    "negative lambda": (["verify", "--lambda-w", "-1"], "--lambda-w must be a finite number > 0, got -1.0"),
    "lambda not a number": (["verify", "--lambda-h", "small"], "--lambda-h"),
    "lambda NaN": (["verify", "--lambda-h", "nan"], "--lambda-h must be a finite number > 0, got nan"),
    "d = 0": (["verify", "-d", "0"], "dimension d must be a whole number >= 1, got 0"),
    "n = 0": (["verify", "-n", "0"], "n_k >= 1"),
    "unknown topic": (["derive", "--only", "etf", "scales"], "unknown topic 'scales'; choose from: scale, threshold"),
    "unknown format": (["derive", "--format", "html"], "--format"),
    "no starts": (["verify", "--starts", "0"], "starts must be >= 1, got 0"),
    "huge K": (["verify", "-K", "1000000000"], "K must be at most 10,000,000"),
    "huge lambda": (["verify", "--lambda-b", "1e300"], "--lambda-b must be at most 1e+15"),
    "huge seed": (["verify", "--seed", "99999999999999999999"], "seed must lie in"),
    "d beyond memory": (["verify", "-d", "1000000000"], "GiB"),
    "n beyond memory": (["solve", "-n", "100000000000"], "GiB"),
    "name with a slash": (["train", "--name", "../x", "--runs", "{tmp}"], "plain name without slashes"),
    "no name": (["train", "--name", "", "--runs", "{tmp}"], "what --name names is empty"),
    "unknown flag": (["verify", "--dimension", "3"], "--dimension"),
    "flag without value": (["verify", "--json"], "--json"),
    "tolerance": (["solve", "--tol", "2"], "tol must lie in (0, 1)"),
    "unknown data set": (["train", "--data", "mnits", "--runs", "{tmp}"], "unknown data set 'mnits'; choose one of"),
    "unknown model": (["train", "--model", "mpl", "--runs", "{tmp}"], "unknown model 'mpl'; choose one of"),
    "no such run": (["validate", "{tmp}/nowhere"], "no run at"),
    "no run to draw": (["figures", "{tmp}/nowhere"], "no run at"),
    "no run to report": (["report", "{tmp}/nowhere"], "no run at"),
    "no run to resume": (["train", "--resume", "--runs", "{tmp}"], "no run at"),
    "missing argument": (["validate"], "RUN|POINT.safetensors"),
    "JSON into a file's folder": (["verify", *SMALL, "--json", "/dev/null/x.json"], "cannot write"),
    "NaN in a point": (nan_point, "H has 4 entries that are not finite"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_status_2(arguments, message, capsys, tmp_path):
    arguments = arguments(tmp_path) if callable(arguments) else [a.replace("{tmp}", str(tmp_path)) for a in arguments]
    assert main(arguments) == 2
    text, errors = capsys.readouterr()
    assert text == ""
    assert errors.count("\n") == 1
    assert errors.startswith("ufm: ")
    assert message in errors


DAMAGE = {
    "config is a list": ("config.json", "[]"),
    "recipe is a number": ("config.json", '{"recipe": 3}'),
    "no recipe": ("config.json", "{}"),
    "config is not JSON": ("config.json", "{"),
    "a column is missing": ("epochs.csv", "epoch,loss\n1,2.0\n"),
    "a row is cut": ("epochs.csv", "epoch,loss\n1\n"),
    "no epochs": ("epochs.csv", ""),
    "no point": ("points/last.safetensors", ""),
}


@pytest.mark.parametrize(("file", "content"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("command", ["figures", "report"])
def test_damaged_runs_are_named_in_one_line(command, file, content, run_copy, capsys):
    (run_copy.path / file).write_text(content)
    assert main([command, str(run_copy.path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "ufm: " in errors


@pytest.mark.parametrize("content", ["", '{"agrees": true}', "[1]"])
def test_damaged_validation_is_named(content, run_copy, capsys):
    run_copy.analysis.write_text(content)
    assert main(["report", str(run_copy.path)]) == 2
    assert "validation.json" in capsys.readouterr().err
    assert not (run_copy.path / "report.html").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"usage: ufm {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_overview(arguments, capsys):
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def run_program(*arguments):
    return subprocess.run([sys.executable, "-m", "ufm", *arguments], capture_output=True, text=True, timeout=300)


def test_as_a_program():
    good = run_program("verify", *SMALL, "--starts", "1")
    assert (good.returncode, good.stderr) == (0, "")
    bad = run_program("verify", "-K", "1")
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1


def test_interruption_is_not_a_traceback(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ufm.verify", interrupt)
    assert main(["verify", *SMALL]) == 130
    assert capsys.readouterr().err.strip() == "ufm: interrupted"


PRINTING = {
    "overview": [],
    "version": ["--version"],
    "help": ["solve", "--help"],
    "one line": ["derive", "--only", "saddle"],
    "table": ["solve", *SMALL],
}


@pytest.mark.parametrize("arguments", PRINTING.values(), ids=PRINTING)
def test_output_that_nobody_reads_is_status_141_and_no_traceback(arguments, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(arguments) == 141
        # Closing flushes what is left, as the interpreter does at its end.
    assert capsys.readouterr().err == ""


def test_the_program_ends_quietly_when_its_reader_has_left():
    with subprocess.Popen(
        [sys.executable, "-m", "ufm", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 141


def test_bad_flags_are_one_plain_line_where_boxes_cannot_be_drawn(capsys):
    """Without UTF-8 the parser's box is made of ASCII; standard output decides."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["solve", "-K", "four"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("ufm: Error parsing -K")
    assert text.count("\n") == 1
    assert "---" not in text


@pytest.mark.parametrize("command", ["validate", "report", "figures"])
def test_a_run_named_without_its_folder_is_pointed_at(command, run_copy, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    run_copy.path.rename(tmp_path / "runs" / "mine")
    assert main([command, "mine"]) == 2
    assert capsys.readouterr().err.endswith("; did you mean runs/mine?\n")


COMMAS = {
    "counts": (["verify", "--class-counts", "50,50,1"], "50 50 1"),
    "counts with a sign": (["verify", "--class-counts=50,50,1"], "50 50 1"),
    "milestones": (["train", "--milestones", "60,120"], "60 120"),
    "decays": (["map", "--lambdas", "2e-4,2e-3"], "2e-4 2e-3"),
}


@pytest.mark.parametrize(("arguments", "spaced"), COMMAS.values(), ids=COMMAS)
def test_a_list_with_commas_is_told_to_have_spaces(arguments, spaced, capsys):
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert f"; separate the numbers by spaces: {spaced} (see ufm {arguments[0]} --help)" in errors


def test_other_mistakes_get_no_such_hint(capsys):
    assert main(["verify", "--class-counts", "5,x"]) == 2
    assert "spaces" not in capsys.readouterr().err
