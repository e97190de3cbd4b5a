"""Where results go, and flags that would do nothing: one line before the work, and nothing changed on disk."""

import os
import sys

import pytest

import ufm
from tests.forked import forked
from tests.ufm.storage.test_files import device
from ufm import Point
from ufm_cli.main import COMMANDS, main

SOLVE = ["solve", "-K", "3", "-n", "2", "-d", "3"]
PLACES = {"verify": ["--json"], "solve": ["--json", "--save"], "derive": ["--json"]}
PLACES |= {command: ["--html"] for command in ("atlas", "map", "phase")}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The current folder of each test, with a folder beside it that is none of ours."""
    for name in ("work", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(arguments, message, capsys):
    assert main(arguments) == 2
    text, errors = capsys.readouterr()
    assert (text, errors.count("\n")) == ("", 1)
    assert message in errors


def nothing_yet(*_, **__):
    pytest.fail("the work began before the place was looked at")


@pytest.fixture
def idle(monkeypatch):
    """Nothing may be computed."""
    for name in ("verify", "minimize", "derive"):
        monkeypatch.setattr(f"ufm.{name}", nothing_yet)
    monkeypatch.setattr("ufm.derivations.derive", nothing_yet)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("command", "flag"), [(command, flag) for command, flags in PLACES.items() for flag in flags])
def test_a_device_or_a_pipe_is_refused_before_the_work(command, flag, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for node in (tmp_path / "pipe", device(tmp_path / "full", "full")):
        refused([command, flag, str(node)], f"cannot write {node}: it is no regular file; name one", capsys)
        assert not node.is_file()


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("flag", ["--json", "--save", "--figures"])
def test_no_folders_are_made_outside_the_current_one(flag, tmp_path, capsys):
    place = tmp_path / "some" / "new" / "place"
    refused([*SOLVE, flag, str(place)], f"there is no folder {place.parent}; make it", capsys)
    refused([*SOLVE, flag, "../some/new/place"], f"there is no folder {place.parent}; make it", capsys)
    assert below(tmp_path) == {"work", "other"}


@pytest.mark.usefixtures("idle")
def test_a_link_out_of_the_current_folder_is_outside(here, tmp_path, capsys):
    (here / "away").symlink_to(tmp_path / "other")
    refused([*SOLVE, "--json", "away/new/x.json"], f"there is no folder {tmp_path / 'other' / 'new'}", capsys)
    assert below(tmp_path / "other") == set()


@pytest.mark.parametrize("command", ["train", "atlas", "map", "reproduce"])
def test_runs_are_not_put_where_nothing_is(command, tmp_path, capsys):
    refused([command, "--runs", str(tmp_path / "some" / "new" / "runs")], "there is no folder", capsys)
    assert below(tmp_path) == {"work", "other"}


def test_folders_are_made_in_the_current_one(here, tmp_path):
    """And folders of ours where the folder above is there."""
    flags = ["--json", "a/b/s.json", "--save", str(here / "c" / "p"), "--figures", str(tmp_path / "figures")]
    assert main([*SOLVE, *flags]) == 0
    assert {"a/b/s.json", "c/p"} <= below(here)
    assert (tmp_path / "figures" / "spectrum.svg").is_file()


def test_a_link_is_written_through(here, tmp_path):
    (here / "link").symlink_to(tmp_path / "other" / "new.json")
    assert main([*SOLVE, "--json", "link"]) == 0
    assert (here / "link").is_symlink()
    assert ufm.storage.files.read_json(tmp_path / "other" / "new.json")["command"] == "solve"
    assert below(tmp_path / "other") == {"new.json"}


TWICE = {
    "two flags, one file": ([*SOLVE, "--json", "x", "--save", "./x"], "x is named twice"),
    "a file read and written": (["report", "run", "--verdicts", "v.json", "--json", "v.json"], "v.json is named twice"),
    "a point and its measures": (["validate", "p", "--json", "sub/../p"], "p is named twice"),
    "a page and its numbers": (["atlas", "--json", "x", "--html", "./x"], "x is named twice"),
    "a dash": ([*SOLVE, "--json", "-"], "name a file, not -"),
    "a folder": ([*SOLVE, "--json", "."], "it is a folder; name a file"),
    "a file for a folder": ([*SOLVE, "--figures", "p"], "cannot write into p: it is a file; choose another place"),
}


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("arguments", "message"), TWICE.values(), ids=TWICE)
def test_places_that_cannot_be_meant(arguments, message, here, capsys):
    (here / "p").write_text("a point")
    (here / "sub").mkdir()
    refused(arguments, message, capsys)
    assert below(here) == {"p", "sub"}
    assert (here / "p").read_text() == "a point"


def carry_out(arguments, out, errors):
    """The command with its standard output and error in files; ends the process with the command's exit status."""
    for number, name in enumerate((out, errors), start=1):
        with open(name, "w") as file:
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115 (to the end)
    sys.exit(main(arguments))


def output_to(file, *arguments):
    """(status, errors) of the command in a process whose standard output is a file."""
    errors = file.parent.parent / "errors"
    with forked(carry_out, arguments, file, errors) as other:
        other.join()
        return other.exitcode, errors.read_text()


@pytest.mark.parametrize("name", ["out", "link", "/proc/self/fd/1"])
def test_the_file_that_the_output_goes_to_is_not_replaced(name, here):
    """`link` is what /dev/stdout is, which itself no test should touch."""
    (here / "link").symlink_to("/proc/self/fd/1")
    status, errors = output_to(here / "out", *SOLVE, "--json", name)
    assert status == 2
    assert f"the output goes to {name} already" in errors
    assert (here / "out").read_text() == ""
    assert (here / "link").is_symlink()


IDLE = {
    "counts and K": (["verify", "--class-counts", "1", "2", "-K", "2"], "-K would do nothing here: --class-counts"),
    "counts and n": (["solve", "-n", "3", "--class-counts", "1", "2"], "-n would do nothing here: --class-counts"),
    "counts and both": (["atlas", "--class-counts", "1", "2", "--K=2", "-n=3"], "-K, -n would do nothing here"),
    "counts and both, glued": (["solve", "--class-counts", "1", "2", "-K3", "-n2"], "-K, -n would do nothing here"),
    "nothing to judge": (["validate", "point", "--theorems"], "--theorems would do nothing here: without --lambda-w"),
    "a decay of no bias": (["solve", "--no-bias", "--lambda-b", "1e-2"], "--lambda-b would do nothing here: --no-bias"),
    "a run's decay": (["validate", "run", "--lambda-w", "1e-3"], "--lambda-w would do nothing here: a run's config"),
    "a run's bias": (["validate", "run", "--no-bias"], "--no-bias would do nothing here: a run's config"),
    "a point's data": (["validate", "point", "--data-dir", "x"], "--data-dir would do nothing here: a Point needs no"),
    "nothing to compare": (["validate", "point", "--lambda-h", "1"], "--lambda-h would do nothing here: without"),
    "no bias, compared": (
        ["validate", "point", "--lambda-w", "1", "--no-bias", "--lambda_b", "1"],
        "--lambda-b would do nothing here: --no-bias",
    ),
    "a list of nothing to judge": (["reproduce", "--list", "--no-training"], "--no-training would do nothing here"),
    "no counts": (["verify", "--class-counts", "-d", "3"], "--class-counts must list at least one value"),
    "no topics": (["derive", "--only", "--format", "latex"], "--only must list at least one value"),
    "no claims": (["reproduce", "--only"], "--only must list at least one value"),
    "no milestones": (["train", "--milestones", "--epochs", "1"], "--milestones must list at least one value"),
    "an animation of no figures": (["solve", "--gif", "-d", "2"], "name it with --figures DIR"),
}


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("arguments", "message"), IDLE.values(), ids=IDLE)
def test_flags_that_would_do_nothing_are_refused(arguments, message, here, capsys):
    (here / "run").mkdir()
    (here / "point").write_text("")
    refused(arguments, message, capsys)


EMPTY = {
    "a file": (["solve", "--json="], "what --json names is empty"),
    "a file apart": (["solve", "--json", ""], "what --json names is empty"),
    "a target": (["show", ""], "an argument is empty"),
    "a number": (["verify", "-K", ""], "what -K names is empty"),
}


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("arguments", "message"), EMPTY.values(), ids=EMPTY)
def test_empty_words_are_refused(arguments, message, here, capsys):
    refused(arguments, message, capsys)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_flag_says_the_opposite_of_its_help(name, capsys, monkeypatch):
    """A setting that is on stands there as --x, --no-x: what its help says, default included, is about the first."""
    monkeypatch.setenv("COLUMNS", "200")
    assert main([name, "--help"]) == 0
    for line in capsys.readouterr().out.splitlines():
        words = line.strip("│ ").split("  ")[0].split(", ")
        negated = [word for word in words if word.startswith("--no-") and word != "--no-training"]
        assert not negated or negated[0].replace("--no-", "--") in words, line


def test_a_saved_solution_can_be_validated(here, capsys):
    """With one row a sample: their labels go with them."""
    flags = ["--class-counts", "1", "3", "2", "-d", "4"]
    assert main(["solve", *flags, "--save", "p.safetensors"]) == 0
    assert Point.load(here / "p.safetensors").labels.tolist() == [0, 1, 1, 1, 2, 2]
    decays = ["--lambda-w", "5e-3", "--lambda-h", "2e-3", "--lambda-b", "1e-2"]
    assert main(["validate", "p.safetensors", *decays]) == 0
    assert "the network's last layer: global minimizer" in capsys.readouterr().out


def test_what_was_not_reached_is_said(capsys):
    assert main([*SOLVE, "--tol", "1e-30", "--starts", "2", "--seed", "4"]) == 1
    said = capsys.readouterr().out.splitlines()[-2:]
    assert [line.partition(" did not reach --tol 1e-30: after ")[0] for line in said] == [
        "the descent from seed 4",
        "the descent from seed 5",
    ]
