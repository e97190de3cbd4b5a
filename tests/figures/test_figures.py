"""Figures show the numbers they say they show, and the same numbers give the same bytes."""

import csv
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

import ufm
from figures.collapse import metrics_figure, predictions_figure
from figures.eigenvalues import spectrum_figure
from figures.runs import FIGURES, draw
from tests.cases import PROBLEMS
from ufm import InputError
from ufm.critical import origin
from validate import Run, compare_run

PROBLEM = PROBLEMS["balanced"]


def spectrum():
    return ufm.spectrum(PROBLEM, ufm.global_minimizer(PROBLEM))


def test_every_figure_of_a_run_is_written_three_ways(run_copy):
    paths = draw(run_copy)
    assert sorted(path.name for path in paths) == sorted(f"{n}.{e}" for n in FIGURES for e in ("svg", "png", "csv"))
    for path in paths:
        if path.suffix == ".png":
            image = imread(path)[..., :3]
            assert min(image.shape[:2]) > 400
            assert 0.005 < (image < 0.9).any(-1).mean() < 0.5  # something is drawn, not everything
        elif path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        else:
            assert len(list(csv.reader(path.read_text().splitlines()))) > 1


def test_same_numbers_same_bytes(run_copy):
    first = {path: path.read_bytes() for path in draw(run_copy)}
    assert {path: path.read_bytes() for path in draw(run_copy)} == first


def test_curves_are_the_record(trained):
    drawing = metrics_figure(trained.epochs, None)
    for axes, name in zip(drawing.figure.axes, ("nc1", "nc2", "nc3", "nc4"), strict=True):
        assert axes.get_yscale() == "log"
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), [row[name] for row in trained.epochs])
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), range(1, 7))
    assert list(drawing.header) == ["epoch", "nc1", "nc2", "nc3", "nc4"]
    assert drawing.rows[2][1] == trained.epochs[2]["nc1"]


def test_theory_is_a_line_where_the_axis_reaches_it(trained):
    comparison = compare_run(trained)
    theory = {row.name: row.theory for row in comparison.rows}
    drawing = predictions_figure(trained.epochs, comparison)
    for axes, name in zip(drawing.figure.axes, ("loss", "mean_margin", "norm_w", "norm_h"), strict=True):
        assert set(axes.lines[1].get_ydata()) == {theory[name]}
    for axes in metrics_figure(trained.epochs, comparison).figure.axes:
        assert "below the axis" in axes.get_legend().get_texts()[1].get_text()


def test_stems_are_the_spectrum():
    levels = spectrum().merged()
    drawing = spectrum_figure(spectrum(), "a minimiser")
    values, counts = zip(*drawing.rows, strict=True)
    np.testing.assert_allclose(values, levels.values)
    assert sum(counts) == PROBLEM.num_variables
    zero, positive = drawing.figure.axes
    assert zero.lines[0].get_ydata().tolist() == [levels.nullity]
    heights = dict(zip(positive.lines[0].get_xdata().tolist(), positive.lines[0].get_ydata().tolist(), strict=True))
    assert sum(heights.values()) == PROBLEM.num_variables - levels.nullity
    assert f"{PROBLEM.num_variables} eigenvalues" in drawing.caption
    assert "12 zero" in drawing.caption


def test_negative_eigenvalues_stand_apart():
    drawing = spectrum_figure(ufm.spectrum(PROBLEM, origin(PROBLEM)), "the origin")
    names = [axes.get_xlabel() for axes in drawing.figure.axes]
    assert names == ["-eigenvalue (negative ones)", "eigenvalue"]


def test_run_without_epochs_or_points(tmp_path, trained):
    run = Run.create(tmp_path / "run", trained.config)
    with pytest.raises(InputError, match="has no epochs yet"):
        draw(run)
    run.write_epochs(trained.epochs[:1])
    assert {path.stem for path in draw(run)} == {"collapse", "predictions"}


def test_metrics_without_a_value_are_left_out(trained):
    rows = [row | {"nc1": math.nan} for row in trained.epochs]
    assert metrics_figure(rows, None).figure.axes
