"""Metrics against depth are what was measured: a curve an epoch, or a curve a run."""

import csv
import shutil

import numpy as np
import pytest

import networks
from figures import layers_figure
from figures.runs.comparison import comparison_figures
from tests.figures.looks import require_readable
from ufm import InputError
from validate import Run
from validate.layerwise.layer import LayersOfRun


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """A copy of the trained run with its layers."""
    run = Run(tmp_path_factory.mktemp("layers") / "run")
    shutil.copytree(trained.path, run.path)
    networks.measure_layers(run).save(run.layers)
    return run


def test_a_run_has_a_curve_an_epoch(measured, tmp_path):
    drawing = comparison_figures([measured], ["layers"])["layers"]
    epochs = LayersOfRun.load(measured.layers).epochs
    assert [one.epoch for one in epochs] == sorted(measured.checkpoints)
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [str(one.epoch) for one in epochs]
    axes = drawing.figure.axes[0]
    curves, laws = axes.lines[: len(epochs)], axes.lines[len(epochs) :]
    for curve, law, one in zip(curves, laws, epochs, strict=True):
        np.testing.assert_array_equal(curve.get_ydata(), [row.separation_fuzziness for row in one.layers])
        slope = np.polyfit(curve.get_xdata(), np.log(curve.get_ydata()), 1)[0]
        np.testing.assert_allclose(np.diff(np.log(law.get_ydata())), slope)
    require_readable(drawing)
    drawing.save(tmp_path, "layers", ["png"])
    rows = list(csv.DictReader((tmp_path / "layers.csv").read_text().splitlines()))
    assert [row["module"] for row in rows][: len(epochs[0].layers)] == [row.name for row in epochs[0].layers]
    assert float(rows[-1]["center_error"]) == pytest.approx(1 - epochs[-1].layers[-1].nearest_center_accuracy)
    assert f"0 {epochs[0].layers[0].name}" in drawing.caption


def test_several_runs_have_a_curve_each(measured, trained, tmp_path):
    other = Run.create(tmp_path / "other", {"recipe": measured.config["recipe"] | {"optimizer": "adam"}})
    other.write_epochs(measured.epochs)
    shutil.copy(measured.layers, other.layers)
    drawing = comparison_figures([measured, other, trained], only=["layers"])["layers"]  # the third has no layers
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["sgd", "adam"]
    assert {row[drawing.header.index("epoch")] for row in drawing.rows} == {str(max(measured.checkpoints))}


def test_it_is_drawn_where_there_is_something_to_draw(measured, trained, monkeypatch):
    monkeypatch.setattr("figures.runs.comparison.COMPARISONS", {})
    assert set(comparison_figures([measured])) == {"layers"}
    assert comparison_figures([trained]) == comparison_figures([trained], ["layers"]) == {}


def test_what_cannot_be_drawn_is_refused(measured, tmp_path):
    with pytest.raises(InputError, match="no layers to draw"):
        layers_figure({})
    layers = LayersOfRun.load(measured.layers).epochs[-1].layers
    for given, kind in ((layers, "Layers"), ([layers], "list"), ({"last": layers.rows}, "dict of tuple")):
        with pytest.raises(InputError, match=rf"layers must be a mapping of labels .* got {kind}$"):
            layers_figure(given)
    broken = Run(tmp_path / "broken")
    shutil.copytree(measured.path, broken.path)
    broken.layers.write_text('{"epochs": [{"epoch": 1}]}')
    with pytest.raises(InputError, match=r"layers\.json: "):
        comparison_figures([broken], ["layers"])
