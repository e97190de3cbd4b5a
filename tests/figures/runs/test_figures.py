"""Figures show the numbers they say they show, and the same numbers give the same bytes."""

import csv
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

import ufm
from figures import draw_run
from figures.drawing.drawing import FORMATS
from figures.runs.comparison import comparison_figures
from figures.theory.spectra import spectrum_figure
from tests.cases import PROBLEMS
from tests.figures.looks import require_apart, require_readable
from ufm import InputError
from ufm.solvers.critical import origin
from validate import Run, compare_run

PROBLEM = PROBLEMS["balanced"]


def spectrum():
    return ufm.spectrum(PROBLEM, ufm.global_minimizer(PROBLEM))


FIGURES = {"collapse", "accuracy", "predictions", "held-out", "bounds", "spectrum"}


def test_every_figure_of_a_run_is_written_four_ways(run_copy):
    paths = draw_run(run_copy)
    assert sorted(path.name for path in paths) == sorted(f"{n}.{e}" for n in FIGURES for e in (*FORMATS, "csv"))
    for path in paths:
        if path.suffix == ".png":
            image = imread(path)[..., :3]
            assert min(image.shape[:2]) > 300
            assert 0.005 < (image < 0.9).any(-1).mean() < 0.5  # something is drawn, not everything
        elif path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        elif path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF-")
        else:
            assert len(list(csv.reader(path.read_text().splitlines()))) > 1


def test_curves_are_the_record(trained):
    drawing = comparison_figures([trained])["collapse"]
    for axes, name in zip(drawing.figure.axes, ("nc1", "nc2", "nc3", "nc4"), strict=True):
        assert axes.get_yscale() == "log"
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), [row[name] for row in trained.epochs])
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), range(1, 7))
    assert list(drawing.header) == ["run", "epoch", "nc1", "nc2", "nc3", "nc4"]
    assert drawing.rows[2] == ["small", *(trained.epochs[2][name] for name in ("epoch", "nc1", "nc2", "nc3", "nc4"))]


def test_theory_is_a_line_where_the_axis_reaches_it(trained):
    theory = {row.name: row.theory for row in compare_run(trained).rows}
    assert theory["norm_ratio"] == theory["norm_w"] / theory["norm_h"]
    drawn = comparison_figures([trained])
    for axes, name in zip(
        drawn["predictions"].figure.axes, ("mean_margin", "norm_w", "loss", "norm_ratio"), strict=True
    ):
        assert set(axes.lines[1].get_ydata()) == {theory[name]}
    for axes in drawn["collapse"].figure.axes:
        assert len(axes.lines) == 1
        assert [text.get_text() for text in axes.texts] == ["theory 0"]


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
    assert names == ["negative: -eigenvalue", "eigenvalue"]


def test_run_without_epochs_or_points(tmp_path, trained):
    run = Run.create(tmp_path / "run", trained.config)
    with pytest.raises(InputError, match="has no epochs yet"):
        draw_run(run)
    run.write_epochs(trained.epochs[:1])
    assert {path.stem for path in draw_run(run)} == FIGURES - {"bounds", "spectrum"}


def test_metrics_without_a_value_are_left_out(tmp_path, trained):
    run = Run.create(tmp_path / "run", trained.config)
    run.write_epochs([row | {"nc1": math.nan} for row in trained.epochs])
    assert len(draw_run(run)) == 4 * 4


def test_multiplicities_stand_apart_beside_their_stems():
    crowded = ufm.Problem.balanced(10, 1, 64, lambda_w=5e-3, lambda_h=1e-3, lambda_b=5e-3)
    drawing = spectrum_figure(ufm.spectrum(crowded, ufm.global_minimizer(crowded)), "a minimiser")
    for axes in drawing.figure.axes:
        heads = sorted(zip(*axes.lines[0].get_data(), strict=True))
        assert sorted((*text.xy, text.get_text()) for text in axes.texts) == [(x, y, f"{y:,}") for x, y in heads]
        require_apart(axes)
    require_readable(drawing)


def test_spectra_are_readable():
    require_readable(spectrum_figure(spectrum(), "a minimiser"))
    require_readable(spectrum_figure(ufm.spectrum(PROBLEM, origin(PROBLEM)), "the origin"))
