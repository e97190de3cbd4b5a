"""ufm solve with several starts and figures."""

import pytest

from ufm.storage.files import read_json
from ufm_cli.main import main

SMALL = ["solve", "-K", "3", "-n", "2", "-d", "2"]


def test_several_starts_and_every_figure(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ufm_cli.commands.solve.MOVING", 5)
    folder, result = tmp_path / "figures", tmp_path / "s.json"
    asked = ["--starts", "3", "--seed", "5", "--figures", str(folder), "--gif", "--json", str(result)]
    assert main([*SMALL, *asked]) == 0
    said = capsys.readouterr().out
    names = ("convergence", "spectrum", "filmstrip")
    expected = {f"{name}.{extension}" for name in names for extension in ("svg", "pdf", "png", "csv")}
    assert {path.name for path in folder.iterdir()} == expected | {"filmstrip.gif"}
    assert all(str(path) in said for path in folder.iterdir())
    found = read_json(result)
    assert [start["seed"] for start in found["starts"]] == [5, 6, 7]
    best = min(found["starts"], key=lambda start: start["value"])
    assert found["seed"] == best["seed"]
    assert found["certificate"]["value"] == pytest.approx(best["value"])


def test_the_best_of_the_starts_is_shown(tmp_path):
    """Some starts are trapped here: the one that is shown must not be."""
    asked = ["-K", "6", "-n", "2", "-d", "2", "--lambda-w", "2e-4", "--lambda-h", "2e-4", "--lambda-b", "1e-3"]
    assert main(["solve", *asked, "--starts", "8", "--json", str(tmp_path / "s.json")]) == 0
    found = read_json(tmp_path / "s.json")
    values = [start["value"] for start in found["starts"]]
    assert max(values) > min(values) + 1e-3
    assert found["certificate"]["value"] == pytest.approx(min(values))


def test_no_filmstrip_outside_the_plane(tmp_path):
    assert main(["solve", "-K", "3", "-n", "2", "-d", "3", "--figures", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"convergence", "spectrum"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--starts", "0"], "--starts must be >= 1, got 0"),
        (["--class-weights", "1", "2"], "--class-weights must hold a number for each of K = 3 classes, got 2"),
        (["--class-weights", "1", "2", "0"], "--class-weights must be positive; got 0 at [2]"),
        (["--loss", "mse", "--own-weight", "0"], "--own-weight must be a finite number > 0, got 0.0"),
        (["--own-target", "2"], "--own-target would do nothing here: --loss cross-entropy does not have it"),
        (["--gif"], "name it with --figures DIR"),
        (["--gif", "--figures", "x", "-d", "3"], "it needs -d 2, got d = 3"),
    ],
)
def test_refusals(flags, message, capsys):
    assert main([*SMALL, *flags]) == 2
    assert message in capsys.readouterr().err
