"""The commands that a report shows do the same again: each is read back, and all of them are run in a fresh folder."""

import dataclasses
import html
import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import networks
from networks.recipe import idle, recipe_of
from tests.cases import PROBLEMS
from tests.installed import run as run_program
from ufm.storage.files import read_json, write_json
from ufm_cli.again import commands
from ufm_cli.main import _parse, main
from validate import Run
from validate.runs.provenance import provenance

RECIPES = {
    "defaults": networks.Recipe(),
    "much": networks.Recipe(
        bias=False, random_labels=True, schedule="milestones", milestones=(60, 120), feature_dim=12, loss="mse", lr=1e-3
    ),
    "a fixed head": networks.Recipe(head="etf", frame="rotated", feature_dim=10, tensorboard=True),
}
TINY = networks.Recipe(width=8, depth=1, feature_dim=4, per_class=5, batch_size=50, epochs=2, device="cpu")
# A shell in which git, pip and venv only say what they are asked for, and ufm is this project's: one process carries
# out its commands, one after the other, as the shell understood them.
STUBS = """
set -euo pipefail
git() { echo "git $*" >> asked; }
python() { echo "python $*" >> asked; }
python3() { echo "python3 $*" >> asked; mkdir -p .venv/bin; touch .venv/bin/activate; }
ufm() { printf '%s\\0' "$@" END >> words; }
"""
CARRY_OUT = """
import torch
from ufm_cli.main import main

torch.set_num_threads({threads})

command = []
for word in open("words").read().split("\\0")[:-1]:
    if word != "END":
        command.append(word)
    elif main(command):
        sys.exit(1)
    else:
        command = []
assert not command
"""


def asked(lines: list[str], command: str) -> list[str]:
    """The words after `ufm COMMAND` in the one line that has it."""
    (line,) = [line for line in lines if line.startswith(f"ufm {command} ")]
    return shlex.split(line)[2:]


def made_now(path: Path, recipe: networks.Recipe, **changes) -> Run:
    """A run of the recipe, recorded and not trained, by the code as it is now."""
    return Run.create(path, {"recipe": asdict(recipe)} | provenance() | changes)


def test_in_a_fresh_folder_they_make_the_run_and_its_report(tmp_path):
    """Of a run with verdicts on another problem and on its own: the same bytes of numbers, a page with both."""
    run = networks.train(TINY, tmp_path / "my runs" / "it's mine")
    file = tmp_path / "other.json"
    assert main(["verify", "-K", "2", "-n", "1", "-d", "2", "--starts", "1", "--json", str(file)]) == 0
    assert main(["validate", str(run.path), "--theorems"]) == 0
    assert main(["report", str(run.path), "--verdicts", str(file)]) == 0
    shown = html.unescape(re.search(r"<pre>(.*?)</pre>", (run.path / "report.html").read_text(), re.S).group(1))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shell = subprocess.run(
        ["bash", "-c", STUBS + shown],
        cwd=fresh,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert shell.returncode == 0, shell.stderr
    answer = run_program(CARRY_OUT.format(threads=torch.get_num_threads()), cwd=fresh)
    assert answer.returncode == 0, answer.stderr
    assert (fresh / "words").read_text().count("\0END\0") == 4
    again = Run.open(fresh / "runs" / "it's mine")
    assert recipe_of(again) == recipe_of(run)
    assert again.epochs == run.epochs
    assert read_json(again.analysis)["theorems"] == read_json(run.analysis)["theorems"]
    page = (again.path / "report.html").read_text()
    assert 'id="own-verdicts"' in page
    assert 'id="other-verdicts"' in page
    versions = provenance()["versions"]
    pins = " ".join(f"{name}=={versions[name].split('+')[0]}" for name in ("torch", "numpy", "scipy"))
    said = (fresh / "asked").read_text()
    assert f"python -m pip install --editable . {pins}\n" in said
    assert "git checkout" in said or provenance()["git"] is None


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("elsewhen", [False, True], ids=["by this revision", "by another one"])
def test_training_is_asked_for_with_the_same_recipe(recipe, elsewhen, tmp_path):
    run = made_now(tmp_path / "it's mine", recipe, **({"git": "0" * 40} if elsewhen else {}))
    lines = commands(run, None)
    parsed = _parse("train", asked(lines, "train"))
    assert dataclasses.replace(parsed.recipe, data_dir=recipe.data_dir) == recipe
    assert parsed.runs / parsed.name == Path("runs") / "it's mine"
    assert any(".[tensorboard]" in line for line in lines) == recipe.tensorboard


def test_the_commands_of_a_run(trained):
    lines = commands(trained, None)
    assert [shlex.split(line)[1] for line in lines if line.startswith("ufm")] == ["train", "validate", "report"]
    assert _parse("train", asked(lines, "train")).recipe == recipe_of(trained)


def test_training_at_another_revision_names_every_setting_and_comes_first(tmp_path, monkeypatch):
    """Defaults may have been others there."""
    monkeypatch.setattr("ufm_cli.again.provenance", lambda: {"git": "b" * 40})
    lines = commands(made_now(tmp_path / "r", TINY, git="a" * 40 + "+changes"), None)
    valued = {name for name, value in asdict(TINY).items() if not isinstance(value, bool) and value not in (None, ())}
    assert {f"--{name.replace('_', '-')}" for name in valued - {"data_dir", *idle(asdict(TINY))}} <= set(
        asked(lines, "train")
    )
    steps = [line for line in lines if re.match("git|ufm|#", line)]
    assert steps[:2] == [
        "# the training was made with changes that this revision does not have",
        f"git checkout {'a' * 40}",
    ]
    assert steps[2].startswith("ufm train ")
    assert steps[3:] == [f"git checkout {'b' * 40}", "ufm validate runs/r", "ufm report runs/r"]


PLACES = {
    "digits": (None, None),
    "mnist": ("data", "# mnist is downloaded into data if it is not there"),
    "folder": ("/some/images", "# the images are those of /some/images/train/CLASS/FILE and /some/images/test/CLASS/"),
}


@pytest.mark.parametrize("data", PLACES)
def test_where_the_images_are_is_said(data, tmp_path):
    place, comment = PLACES[data]
    lines = commands(made_now(tmp_path / "r", networks.Recipe(data=data, data_dir="/some/images")), None)
    words = asked(lines, "train")
    assert (words[words.index("--data-dir") + 1] if "--data-dir" in words else None) == place
    before = lines[next(i for i, line in enumerate(lines) if line.startswith("ufm train")) - 1]
    assert before.startswith(comment or "python -m pip")


def test_an_older_fixed_head_was_rotated(tmp_path):
    recipe = asdict(networks.Recipe(head="etf"))
    del recipe["frame"]
    run = Run.create(tmp_path / "r", {"recipe": recipe} | provenance())
    assert _parse("train", asked(commands(run, None), "train")).recipe.frame == "rotated"
    run.write_config(run.config | {"git": "0" * 40})
    assert "--frame" not in asked(commands(run, None), "train")  # which had no such flag


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias"])
def test_verification_is_asked_for_on_the_same_problem(name, run_copy, tmp_path):
    problem = PROBLEMS[name]
    given = {"seed": 3, "starts": 2, "rigorous": True, "atlas": False}
    write_json(tmp_path / "v.json", {"problem": problem.settings()} | given)
    lines = commands(run_copy, tmp_path / "v.json")
    parsed = _parse("verify", asked(lines, "verify"))
    assert parsed.problem.problem().settings() == problem.settings()
    assert {key: getattr(parsed, key) for key in given} == given
    assert str(parsed.json) == asked(lines, "report")[2] == "runs/v.json"


def test_what_the_files_do_not_tell_is_left_out(tmp_path):
    run = Run.create(tmp_path / "r", {"recipe": {"unheard_of": 1}})
    write_json(tmp_path / "v.json", {"verdicts": []})
    lines = commands(run, tmp_path / "v.json")
    assert lines[0] == "# the revision that made the training is not known"
    assert "python -m pip install --editable ." in lines
    assert [line for line in lines if line.startswith("ufm")] == ["ufm validate runs/r", "ufm report runs/r"]
