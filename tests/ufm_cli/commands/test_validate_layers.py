"""ufm validate RUN --layers: measured, printed, written, shown again."""

import json

import pytest

from ufm_cli.again import commands
from ufm_cli.main import main
from validate.layerwise.layer import LayersOfRun


def test_every_layer_of_a_run(run_copy, capsys):
    assert main(["validate", str(run_copy.path), "--layers", "--most", "2"]) == 0
    printed = capsys.readouterr().out
    assert "every layer after epoch 6, on the training set" in printed
    assert "the law of data separation" in printed
    found = LayersOfRun.load(run_copy.layers)
    assert [one.epoch for one in found.epochs] == [2, 6]
    rows = found.epochs[-1].layers
    assert [row.name for row in rows] == ["backbone.3", "head:input"]
    assert rows[-1].nc1 == pytest.approx(run_copy.epochs[-1]["nc1"], rel=1e-4)
    assert rows[-1].cdnv == pytest.approx(run_copy.epochs[-1]["cdnv"], rel=1e-4)
    assert main(["show", str(run_copy.analysis)]) == 0
    assert capsys.readouterr().out.split() == printed.split()


def test_named_layers(run_copy, capsys, tmp_path):
    asked = ["validate", str(run_copy.path), "--layers", "--most", "1", "--json", str(tmp_path / "v.json")]
    assert main([*asked, "--names", "backbone.[36]"]) == 0
    (one,) = json.loads((tmp_path / "v.json").read_text())["layers"]["epochs"]
    assert [row["name"] for row in one["layers"]["rows"]] == ["backbone.3", "backbone.6"]
    line = next(line for line in commands(run_copy, None) if line.startswith("ufm validate"))
    assert line == "ufm validate runs/copy --layers --names 'backbone.[36]' --most 1"
    assert main([*asked, "--names", "back"]) == 2
    assert "no module of the model is named 'back'; near it are backbone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--names", "head"], "--names would do nothing here: without --layers no layer is measured"),
        (["--layers", "--most", "0"], "--most must be >= 1 checkpoint"),
    ],
)
def test_flags_that_would_do_nothing(flags, reason, run_copy, capsys):
    assert main(["validate", str(run_copy.path), *flags]) == 2
    assert reason in capsys.readouterr().err


def test_a_point_has_one_layer(run_copy, capsys):
    assert main(["validate", str(run_copy.last_point), "--layers"]) == 2
    assert "--layers would do nothing here: a Point is of one layer" in capsys.readouterr().err
