"""The run directory: nothing is overwritten unasked, and damage is named."""

import pytest

from ufm import InputError
from validate import Run
from validate.runs.provenance import provenance


def test_round_trip(tmp_path):
    run = Run.create(tmp_path / "a" / "run", {"x": 1})
    assert run.name == "run"
    assert Run.open(run.path).config == {"x": 1}
    assert run.epochs == []
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": float("nan")}]
    run.write_epochs(rows)
    assert run.epochs[0] == {"epoch": 1.0, "loss": 0.1 + 0.2}
    assert run.epochs[1]["loss"] != run.epochs[1]["loss"]


def test_an_existing_run_is_replaced_only_with_force(tmp_path):
    run = Run.create(tmp_path / "run", {"x": 1})
    with pytest.raises(InputError, match=r"exists; resume it with resume=True, replace it with force=True"):
        Run.create(run.path, {"x": 2})
    assert run.config == {"x": 1}
    assert Run.create(run.path, {"x": 2}, force=True).config == {"x": 2}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_run_stays_one(there, tmp_path):
    elsewhere, link = tmp_path / "elsewhere" / "run", tmp_path / "run"
    elsewhere.mkdir(parents=True)
    link.symlink_to("elsewhere/run")
    if there:
        Run.create(link, {"x": 1})
        (elsewhere / "old").write_text("")
    else:
        elsewhere.rmdir()
    assert Run.create(link, {"x": 2}, force=there).path == link
    assert link.is_symlink()
    assert [file.name for file in elsewhere.iterdir()] == ["config.json"]
    assert Run.open(elsewhere).config == {"x": 2}
    assert {file.name for file in (*tmp_path.iterdir(), *elsewhere.parent.iterdir())} == {"elsewhere", "run"}


@pytest.mark.parametrize("force", [True, False])
def test_what_is_not_a_run_is_never_removed(tmp_path, force):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(InputError, match="exists and is not a run"):
        Run.create(tmp_path, {}, force=force)
    assert (tmp_path / "precious").read_text() == "keep"


def test_what_a_process_killed_over_its_first_file_left_is_no_obstacle(tmp_path):
    left = tmp_path / "run" / ".config.json.x1y2"
    left.parent.mkdir()
    left.write_text('{"x"')
    assert Run.create(tmp_path / "run", {"x": 1}).config == {"x": 1}
    assert not left.exists()


def test_missing_and_damaged(tmp_path):
    with pytest.raises(InputError, match="no run at"):
        Run.open(tmp_path)
    run = Run.create(tmp_path / "run", {})
    (run.path / "epochs.csv").write_text("epoch,loss\n1,much\n")
    with pytest.raises(InputError, match="damaged"):
        _ = run.epochs


def test_checkpoints_are_listed_by_epoch(tmp_path):
    run = Run.create(tmp_path / "run", {})
    for epoch in (10, 2, 10_000):
        run.checkpoint(epoch).parent.mkdir(exist_ok=True)
        run.checkpoint(epoch).write_text("")
    assert list(run.checkpoints) == [2, 10, 10_000]


def test_provenance_names_versions():
    found = provenance()
    assert found["versions"]["torch"].split(".")[0].isdigit()
    assert found["git"] is None or len(found["git"].split("+")[0]) == 40


def test_an_empty_folder_becomes_a_run(tmp_path):
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path / "empty", {"recipe": {}}).config == {"recipe": {}}


def test_epochs_without_their_number_are_damaged(tmp_path):
    run = Run.create(tmp_path / "run", {})
    (run.path / "epochs.csv").write_text("loss\n1.0\n")
    with pytest.raises(InputError, match="damaged"):
        _ = run.epochs


def test_a_run_that_lies_in_runs_is_pointed_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Run.create("runs/mine", {"recipe": {}})
    with pytest.raises(InputError, match=r"^no run at mine \(it has no config.json\); did you mean runs/mine\?$"):
        Run.open("mine")
    with pytest.raises(InputError, match=r"^no run at yours \(.*\); make one with networks.train$"):
        Run.open("yours")
