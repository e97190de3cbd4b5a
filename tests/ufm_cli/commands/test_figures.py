"""ufm figures: one run into its own folder, several into one of their own."""

import pytest

from tests.runs import like
from ufm.storage.files import read_json
from ufm_cli.main import main


@pytest.fixture
def pair(trained, tmp_path):
    """Two runs that differ in their optimiser, as the command takes them."""
    runs = [like(trained, tmp_path / "runs" / name, optimizer=name) for name in ("sgd", "adam")]
    return [str(run.path) for run in runs]


def test_several_runs_are_compared(pair, tmp_path, capsys):
    result = tmp_path / "f.json"
    assert main(["figures", *pair, "--out", str(tmp_path / "out"), "--json", str(result)]) == 0
    said = capsys.readouterr().out.splitlines()
    found = read_json(result)
    assert sorted(found["files"]) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert set(found["files"]) <= set(said)
    assert found["runs"] == pair
    assert set(found["not_drawn"]) == {"bounds", "optimizers", "heads", "decays", "width", "minority", "ratios"}
    assert any(line.startswith("not drawn: width (") for line in said)


def test_one_figure_alone(pair, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["figures", *pair, "--out", str(out), "--only", "accuracy", "heads"]) == 0
    assert {path.stem for path in out.iterdir()} == {"accuracy"}
    assert "not drawn: heads (it takes runs that differ in head, frame or feature_dim alone)" in capsys.readouterr().out
    assert main(["figures", *pair, "--out", str(out), "--only", "nc5"]) == 2


def test_by_default_beside_the_first(run_copy, trained, capsys):
    assert main(["figures", str(run_copy.path), str(trained.path)]) == 0
    assert (run_copy.path.parent / "compared" / "collapse.pdf").is_file()


def test_one_run_into_a_folder_of_choice(run_copy, tmp_path):
    assert main(["figures", str(run_copy.path), "--out", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "spectrum.svg").is_file()
    assert not (run_copy.path / "figures").exists()


@pytest.mark.parametrize(("given", "message"), [([], "name a run directory"), (["nowhere"], "no run at nowhere")])
def test_what_cannot_be_drawn_is_refused(given, message, capsys):
    assert main(["figures", *given]) == 2
    assert message in capsys.readouterr().err
