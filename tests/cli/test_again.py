"""The commands that a report shows do the same again."""

import shlex

import pytest

import networks
from cli.again import commands
from cli.main import _parse, main
from networks.recipe import recipe_of
from tests.cases import PROBLEMS
from ufm.files import write_json
from validate import Run

RECIPES = {
    "defaults": networks.Recipe(),
    "much": networks.Recipe(
        bias=False, random_labels=True, schedule="milestones", milestones=(60, 120), feature_dim=12, loss="mse", lr=1e-3
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_training_is_asked_for_with_the_same_recipe(recipe, tmp_path):
    from dataclasses import asdict

    run = Run.create(tmp_path / "my runs" / "it's mine", {"recipe": asdict(recipe)})
    (train,) = [line for line in commands(run, None) if line.startswith("ufm train ")]
    parsed = _parse("train", shlex.split(train)[2:])
    assert parsed.recipe == recipe
    assert parsed.runs / parsed.name == run.path


def test_the_commands_of_a_run(trained):
    words = [shlex.split(line)[1] for line in commands(trained, None)]
    assert words == ["train", "validate", "report"]
    (train,) = [line for line in commands(trained, None) if line.startswith("ufm train ")]
    assert _parse("train", shlex.split(train)[2:]).recipe == recipe_of(trained)


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias"])
def test_verification_is_asked_for_on_the_same_problem(name, run_copy, tmp_path):
    problem = PROBLEMS[name]
    asked = {"seed": 3, "starts": 2, "rigorous": True, "atlas": False}
    write_json(tmp_path / "v.json", {"problem": problem.settings()} | asked)
    (verify,) = [line for line in commands(run_copy, tmp_path / "v.json") if line.startswith("ufm verify ")]
    parsed = _parse("verify", shlex.split(verify)[2:])
    assert parsed.problem.problem().settings() == problem.settings()
    assert {key: getattr(parsed, key) for key in asked} == asked


def test_what_the_files_do_not_tell_is_left_out(tmp_path):
    run = Run.create(tmp_path / "r", {"recipe": {"unheard_of": 1}})
    assert [shlex.split(line)[1] for line in commands(run, None)] == ["validate", "report"]


def test_the_report_shows_them(run_copy):
    assert main(["report", str(run_copy.path)]) == 0
    assert f"ufm validate {run_copy.path}" in (run_copy.path / "report.html").read_text()
