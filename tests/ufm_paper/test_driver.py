"""The driver and its record: runs that go on, are skipped, diverge; what the claims then say, and what is on disk."""

import contextlib
import csv
import dataclasses
import json
import re
import shutil

import pytest

import networks
from tests.forked import holding
from tests.ufm_paper.runs import made_run
from ufm import InputError
from ufm_cli.main import main
from ufm_paper import driver, trained
from ufm_paper.beside import predictions
from ufm_paper.claims import CLAIMS, Claim
from ufm_paper.driver import Grid, reproduce
from ufm_paper.finding import Finding
from ufm_paper.grid import CELLS, SCALES, Scale
from ufm_paper.record import Outcome, _tables_of, _write_figures, recorded, write_record
from ufm_paper.theory import theory_of

DIGITS = {"data": "digits", "model": "mlp", "preset": "paper-sgd", "feature_dim": 12}
QUICK = ({}, {"width": 16, "depth": 1, "epochs": 4, "batch_size": 280})


def learns(runs):
    """The loss falls."""
    falls = all(run.last["loss"] < run.first["loss"] for run in runs.values())
    return Finding(
        falls,
        "the loss falls" if falls else "the loss does not fall",
        {"losses": [{"cell": name, "loss": r.last["loss"]} for name, r in runs.items()]},
        f"{len(runs)} runs",
    )


@pytest.fixture(autouse=True)
def small_world(monkeypatch):
    """Two cells on digits, a scale of seconds, and one claim about them."""
    cells = {"one": DIGITS, "two": {**DIGITS, "head": "etf"}}
    for cell, settings in cells.items():
        monkeypatch.setitem(CELLS, cell, settings)
    claim = Claim("Networks learn.", "everybody", tuple(cells), learns, {"heads": ("collapse", tuple(cells))})
    monkeypatch.setitem(CLAIMS, "learning", claim)
    monkeypatch.setitem(SCALES, "small", Scale("small", "seconds", (QUICK,)))
    monkeypatch.setattr(trained, "theory_of", lambda run: {})  # half the time, and of one test alone


@pytest.fixture
def grid(tmp_path):
    return Grid(SCALES["small"], tmp_path / "runs", device="cpu")


def rows_of(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def command(folder, *flags):
    where = ["--runs", str(folder / "runs"), "--results", str(folder / "results"), "--device", "cpu"]
    return main(["reproduce", "--scale", "small", "--only", "learning", *where, *flags])


def test_a_claim_is_run_judged_and_recorded(tmp_path, capsys):
    assert command(tmp_path, "--json", str(tmp_path / "r.json")) == 0
    text = capsys.readouterr().out
    assert "one: train " in text
    assert text.splitlines()[-1] == str(tmp_path / "results" / "README.md")
    assert json.loads((tmp_path / "r.json").read_text())["claims"]["learning"]["status"] == "holds"
    folder = tmp_path / "results" / "small"
    kept = json.loads((folder / "claims.json").read_text())["claims"]["learning"]
    assert (kept["status"], kept["said"], kept["criterion"]) == (
        "holds",
        "the loss falls",
        "The loss falls.",
    )
    assert kept["made_by"]["machine"]["cpus"] >= 1
    assert kept["made_by"]["command"] == "ufm reproduce --scale small --only learning"
    rows, epochs = rows_of(folder / "learning-losses.csv"), rows_of(folder / "cells" / "one" / "epochs.csv")
    assert (rows[0]["cell"], rows[0]["loss"], len(epochs)) == ("one", epochs[-1]["loss"], 4)
    assert {file.suffix for file in (folder / "figures").iterdir()} == {".svg", ".csv"}
    page = (tmp_path / "results" / "README.md").read_text()
    row = "| small | holds | 2 runs | ![learning](small/figures/learning-heads.svg) |"
    assert f"| [learning](#learning): Networks learn. {row}" in page
    assert "landscape): At the networks' K, d and decays simplex ETFs are global minimisers" in page
    assert "saddles. | none | not run |  |  |" in page
    assert "Networks learn. (everybody)" in page
    assert "fitted where 99.90% of it or more are classified right" in page
    for target in [part.split(")")[0] for part in page.split("](small/")[1:]]:
        assert (folder / target).is_file(), target


def test_the_command_of_a_cell_makes_the_same_run(tmp_path, grid):
    reproduce(grid, tmp_path / "results", ["learning"])
    line = json.loads((tmp_path / "results/small/cells/two/config.json").read_text())["command"]
    words = [word.replace("DATA_DIR", "~/data") for word in line.split()[1:]]
    assert main([*words, "--runs", str(tmp_path / "again"), "--device", "cpu"]) == 0
    again, first = tmp_path / "again" / "two" / "epochs.csv", tmp_path / "runs" / "small" / "two" / "epochs.csv"
    assert again.read_text() == first.read_text()


def test_a_run_stopped_midway_goes_on_to_the_same_numbers_and_done_ones_are_left_alone(tmp_path, grid):
    reproduce(grid, tmp_path / "results", ["learning"])
    file = grid.path("one") / "epochs.csv"
    whole, other = file.read_text(), grid.path("two") / "epochs.csv"
    shutil.rmtree(grid.path("one"))
    untouched = other.stat().st_mtime_ns

    def stopping(label):
        def track(epochs):
            for epoch in epochs:
                if epoch == 3:
                    raise KeyboardInterrupt
                yield epoch

        return track

    with pytest.raises(KeyboardInterrupt):
        reproduce(grid, tmp_path / "results", ["learning"], track=stopping)
    assert grid.epochs_done("one") == 2
    outcomes = reproduce(grid, tmp_path / "results", ["learning"])
    assert outcomes["learning"].status == "holds"
    assert file.read_text() == whole
    assert other.stat().st_mtime_ns == untouched


def test_a_folder_whose_trainings_another_process_spreads_is_refused(tmp_path, grid):
    with holding(grid.runs / "small"), pytest.raises(InputError, match="small is being written by process"):
        reproduce(grid, tmp_path / "results", ["learning"], jobs=2)
    assert not grid.path("one").exists()


def test_without_training_what_was_not_run_is_not_covered(tmp_path, grid, capsys):
    grid.train("one")
    assert command(tmp_path, "--no-training") == 0
    assert "not covered  1 of 2 runs are not there: two" in capsys.readouterr().out
    assert not grid.path("two").exists()


def test_where_nothing_was_run_nothing_is_recorded(tmp_path, grid, capsys):
    """A fresh clone has the record of one scale, and no runs: asked for another, it stays as it is."""
    with pytest.raises(InputError, match=r"no record of that scale; leave training=False out, or name another scale$"):
        reproduce(grid, tmp_path / "results", ["learning"], training=False)
    assert command(tmp_path, "--no-training") == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.endswith("leave --no-training out, or name another --scale\n")
    assert not list(tmp_path.rglob("*.json")) + list(tmp_path.rglob("*.md"))


def test_a_claim_that_does_not_come_out_is_recorded_as_such(tmp_path, monkeypatch):
    asked = dataclasses.replace(CLAIMS["learning"], judge=lambda runs: Finding(False, "they forget"))
    monkeypatch.setitem(CLAIMS, "learning", asked)
    assert command(tmp_path) == 1
    assert "### At small scale: fails\n\nthey forget." in (tmp_path / "results" / "README.md").read_text()


def test_numbers_that_diverge_fail_the_claim_and_the_other_runs_are_made(tmp_path, grid, monkeypatch):
    def diverging(recipe, path, **asked):
        if recipe.head == "linear":
            raise networks.Diverged("the loss became nan in epoch 3; lower --lr")
        return networks.train(recipe, path, **asked)

    monkeypatch.setattr(driver, "train", diverging)
    outcome = reproduce(grid, tmp_path / "results", ["learning"])["learning"]
    assert (outcome.status, outcome.finding.said) == ("fails", "one: the loss became nan in epoch 3; lower --lr")
    assert grid.finished("two")


def test_runs_of_another_recipe_and_unknown_claims_are_refused(tmp_path, grid, monkeypatch, capsys):
    grid.train("one")
    monkeypatch.setitem(CELLS, "one", {**DIGITS, "lr": 0.01})
    with pytest.raises(InputError, match=r"was made with lr = 0\.05, not 0\.01; remove it"):
        reproduce(grid, tmp_path / "results", ["learning"])
    assert main(["reproduce", "--only", "everything", "--scale", "small"]) == 2
    assert "no claim 'everything' at small scale; choose of optimizers, fixed-etf" in capsys.readouterr().err


def test_the_page_says_what_trained_the_runs_beside_what_judged_them(tmp_path, grid):
    reproduce(grid, tmp_path / "results", ["learning"])
    for cell in ("one", "two"):
        file = grid.path(cell) / "config.json"
        config = json.loads(file.read_text())
        file.write_text(json.dumps(config | {"machine": config["machine"] | {"gpu": "A GPU"}}))
    reproduce(grid, tmp_path / "results", ["learning"])
    page = (tmp_path / "results" / "README.md").read_text()
    assert re.search(r"`; runs trained with torch \S+ on A GPU; judged with torch \S+ on \d+ thread", page)
    older = json.loads(file.read_text())
    del older["machine"]
    file.write_text(json.dumps(older))
    reproduce(grid, tmp_path / "results", ["learning"])
    page = (tmp_path / "results" / "README.md").read_text()
    assert re.search(r"on A GPU and torch \S+ on a machine that config.json does not name; judged", page)


def test_a_cell_that_was_not_run_here_is_judged_by_its_record(tmp_path, grid, monkeypatch):
    results, empty = tmp_path / "results", dataclasses.replace(grid, runs=tmp_path / "empty")
    reproduce(grid, results, ["learning"])
    assert reproduce(empty, results, ["learning"], training=False)["learning"].status == "holds"
    forgot = results / "small" / "cells" / "two" / "epochs.csv"
    first, *others = rows_of(forgot)
    rows = [first | {"loss": "0"}, *others]
    forgot.write_text("\n".join([",".join(first), *(",".join(row.values()) for row in rows)]) + "\n")
    assert reproduce(empty, results, ["learning"], training=False)["learning"].status == "fails"
    monkeypatch.setitem(CELLS, "two", {**DIGITS, "head": "etf", "lr": 0.01})
    outcome = reproduce(empty, results, ["learning"], training=False)["learning"]
    assert (outcome.status, outcome.finding.said) == ("not covered", "1 of 2 runs are not there: two")


def test_the_record_keeps_a_last_layer_beside_theory(tmp_path, grid, monkeypatch):
    monkeypatch.setattr(trained, "theory_of", theory_of)
    reproduce(grid, tmp_path / "results", ["learning"])
    empty = dataclasses.replace(grid, runs=tmp_path / "empty")
    made, kept = grid.finished("one"), recorded(tmp_path / "results", empty.scale, "one")
    assert set(kept.theory) == {"free", "nonnegative"}
    for features, theory in kept.theory.items():
        assert theory.comparison.rows == made.theory[features].comparison.rows
        assert theory.comparison.model == made.theory[features].comparison.model
    assert kept.theory["free"].place.distance == made.theory["free"].place.distance
    assert predictions({"one": kept}) == predictions({"one": made})
    drawn = dataclasses.replace(CLAIMS["learning"], figures={"ratios": ("ratios", ("one", "two"))})
    monkeypatch.setitem(CLAIMS, "learning", drawn)
    reproduce(empty, tmp_path / "results", ["learning"], training=False)
    rows = rows_of(tmp_path / "results" / "small" / "figures" / "learning-ratios.csv")
    ratios = {(row["run"], row["model"], row["quantity"]): (row["theory"], row["network"]) for row in rows}
    (margin,) = [row for row in made.theory["free"].comparison.rows if row.name == "mean_margin"]
    assert ratios["one", "free", "mean_margin"] == (str(margin.theory), str(margin.network))
    assert {row["run"] for row in rows} == {"one", "two"}
    (tmp_path / "results" / "small" / "cells" / "one" / "theory.json").unlink()
    older = recorded(tmp_path / "results", empty.scale, "one")
    (row,) = predictions({"one": older}).tables["all"]
    assert row["note"] == "the record of the run keeps nothing of its last layer"


def test_a_verdict_stands_where_its_runs_are_not_at_hand_until_one_has_other_numbers(tmp_path, grid, monkeypatch):
    reproduce(grid, tmp_path / "results", ["learning"])
    file = tmp_path / "results" / "small" / "claims.json"
    verdict = file.read_text()
    shutil.rmtree(file.parent / "cells")
    empty = dataclasses.replace(grid, runs=tmp_path / "empty")
    assert reproduce(empty, tmp_path / "results", ["learning"], training=False)["learning"].status == "not covered"
    assert file.read_text() == verdict
    rewritten = dataclasses.replace(CLAIMS["learning"], judge=lambda runs: Finding(False, ""))
    rewritten.judge.__doc__ = "Networks forget."
    monkeypatch.setitem(CLAIMS, "learning", rewritten)
    reproduce(empty, tmp_path / "results", ["learning"], training=False)
    page = (tmp_path / "results" / "README.md").read_text()
    assert "Holds if: Networks forget." in page
    assert "Judged by an earlier criterion: The loss falls." in page
    shutil.rmtree(grid.path("two"))
    epochs = grid.path("one") / "epochs.csv"
    epochs.write_text(epochs.read_text().replace("\n4,", "\n4,1"))
    reproduce(grid, tmp_path / "results", ["learning"], training=False)
    assert json.loads(file.read_text())["claims"]["learning"]["status"] == "not covered"


def test_a_verdict_leaves_the_tables_of_a_claim_of_a_longer_name(tmp_path):
    for name in ("theory-all", "theory-summary", "theory-relu-all", "theories-all"):
        (tmp_path / f"{name}.csv").touch()
    claims = {"theory", "theory-relu", "landscape"}
    taken = {file.stem for file in _tables_of("theory", tmp_path, claims)}
    assert taken == {"theory-all", "theory-summary"}
    assert [file.stem for file in _tables_of("theory-relu", tmp_path, claims)] == ["theory-relu-all"]


def test_a_figure_stays_where_no_run_is_at_hand(tmp_path):
    """It was drawn with the last layers, which the record does not keep."""
    runs = {cell: made_run(tmp_path, cell) for cell in ("one", "two")}
    kept = {cell: dataclasses.replace(run, recorded=True) for cell, run in runs.items()}
    figure = tmp_path / "figures" / "learning-heads.svg"
    figure.parent.mkdir()
    figure.write_text("drawn with last layers")
    _write_figures(tmp_path, "learning", CLAIMS["learning"], kept)
    assert figure.read_text() == "drawn with last layers"
    _write_figures(tmp_path, "learning", CLAIMS["learning"], kept | {"two": runs["two"]})
    assert figure.read_text().startswith("<?xml")


def test_a_new_verdict_takes_the_tables_of_the_old_one_away(tmp_path, grid, monkeypatch):
    reproduce(grid, tmp_path / "results", ["learning"])
    table = tmp_path / "results" / "small" / "learning-losses.csv"
    assert table.is_file()
    changed = dataclasses.replace(CLAIMS["learning"], judge=lambda runs: Finding(False, "they forget"))
    monkeypatch.setitem(CLAIMS, "learning", changed)
    reproduce(grid, tmp_path / "results", ["learning"])
    assert not table.exists()


@pytest.mark.parametrize("text", ["[1]", "{}", '{"claims": 3}'])
def test_a_file_that_is_no_record_of_claims_is_refused(tmp_path, grid, capsys, text):
    grid.train("one")
    file = tmp_path / "results" / "small" / "claims.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert command(tmp_path, "--no-training") == 2
    assert "is not a record of claims" in capsys.readouterr().err


def test_the_command_of_a_claim_names_the_image_files(tmp_path, grid, monkeypatch):
    monkeypatch.setitem(CELLS, "mnist-sgd", CELLS["mnist-sgd"] | {"data": "folder", "data_dir": str(tmp_path)})
    made = made_run(tmp_path / "runs", "mnist-sgd")
    claim = dataclasses.replace(CLAIMS["learning"], cells=("mnist-sgd",), figures={})
    monkeypatch.setitem(CLAIMS, "learning", claim)
    write_record(tmp_path, grid.scale, {"learning": Outcome(claim, "fails", Finding(False, "no"))}, {"mnist-sgd": made})
    kept = json.loads((tmp_path / "small" / "claims.json").read_text())["claims"]["learning"]
    assert kept["made_by"]["command"] == "ufm reproduce --scale small --only learning --cifar-folder DIR"


def test_a_claim_whose_judge_lacks_something_of_a_run_is_not_covered(tmp_path, grid, monkeypatch):
    def judge(runs):
        raise InputError("the run has recorded no point yet")

    monkeypatch.setitem(CLAIMS, "learning", dataclasses.replace(CLAIMS["learning"], judge=judge))
    outcome = reproduce(grid, tmp_path / "results", ["learning"])["learning"]
    assert (outcome.status, outcome.finding.said) == ("not covered", "the run has recorded no point yet")


def test_what_would_end_a_long_run_in_vain_is_seen_before_it(tmp_path, grid, monkeypatch, capsys):
    (tmp_path / "results").touch()
    assert command(tmp_path) == 2
    assert "choose another place" in capsys.readouterr().err
    (tmp_path / "results").unlink()
    monkeypatch.setitem(CELLS, "two", {**DIGITS, "data": "cifar10"})
    assert command(tmp_path, "--cifar-folder", str(tmp_path / "nowhere")) == 2
    assert "name the folder that has both" in capsys.readouterr().err
    assert not grid.path("one").exists()


def test_runs_on_image_files_outlive_the_place_of_the_files(tmp_path, monkeypatch):
    image = tmp_path / "images" / "test" / "cat" / "1.jpg"
    image.parent.mkdir(parents=True)
    image.touch()
    there = {"data": "folder", "data_dir": str(image.parents[2])}
    monkeypatch.setitem(CELLS, "mnist-sgd", CELLS["mnist-sgd"] | there)
    made = made_run(tmp_path / "runs", "mnist-sgd")
    assert made.images == "CIFAR-10 (JPEG copy)"
    moved = image.parents[2].rename(tmp_path / "moved")
    assert made.images == "CIFAR-10 (image copy)"
    assert dataclasses.replace(made, image_folder=moved).images == "CIFAR-10 (JPEG copy)"


def test_runs_on_other_images_are_not_called_to_be_removed(tmp_path, grid, monkeypatch):
    grid.train("one")
    monkeypatch.setitem(CELLS, "one", {**DIGITS, "data": "cifar10"})
    with pytest.raises(InputError, match=r"not cifar10; take the images as then \(cifar_folder\), or name another"):
        grid.epochs_done("one")


@pytest.fixture
def holder(tmp_path):
    """What makes another process hold a path until the test ends; returns its number."""
    with contextlib.ExitStack() as others:

        def hold(path):
            other, _ = others.enter_context(holding(path))
            return other.pid

        yield hold


def test_a_cell_that_another_process_trains_is_named(tmp_path, grid, holder, capsys):
    number = holder(grid.path("two"))
    assert command(tmp_path) == 2
    assert f"two is being written by process {number} on" in capsys.readouterr().err
    assert grid.finished("one")
    assert not grid.path("two").exists()
    assert not (tmp_path / "results").exists()


def test_the_record_is_written_by_one_process_at_a_time(tmp_path, grid, holder, capsys, monkeypatch):
    number = holder(tmp_path / "results" / "README.md")
    monkeypatch.setattr("ufm_paper.record.PATIENCE", 0.1)
    assert command(tmp_path) == 2
    assert f"README.md is being written by process {number} on" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".README.md.lock"]


def test_the_list_shows_how_far_each_run_is(tmp_path, grid, capsys):
    grid.train("one")
    assert command(tmp_path, "--list", "--json", str(tmp_path / "list.json")) == 0
    listed = json.loads((tmp_path / "list.json").read_text())["runs"]
    assert listed[0] == {"run": "one", "epochs_done": 4, "epochs": 4}
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["one", "4", "4"] in lines
    assert ["two", "0", "4"] in lines
    assert not (tmp_path / "results").exists()
