"""Several runs compared: every curve is its run's record, every figure is there when it has something to show."""

import csv
import dataclasses
import math
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from figures.drawing.drawing import FORMATS, TWO_COLUMNS
from figures.runs.comparison import COMPARISONS, compare_runs, comparison_figures
from figures.runs.settings import names_of
from tests.figures.looks import require_readable
from tests.runs import cast
from tests.runs import like as run_like
from ufm import InputError
from validate import Run
from validate.runs.older import LATER

RESULTS = Path(__file__).parents[3] / "results"


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory):
    """Seven runs without points, of all the kinds that the contrasts are about."""
    return cast(trained, tmp_path_factory.mktemp("cast"))


@pytest.fixture(scope="module")
def drawn(runs):
    """Their figures."""
    return comparison_figures(runs)


@pytest.fixture
def like(trained, tmp_path):
    """Make runs of the trained one's numbers, with other settings, times a factor."""

    def make(name, factor=1.0, **changes):
        return run_like(trained, tmp_path / name, factor, **changes)

    return make


def legend(drawing) -> tuple[str, list[str]]:
    (found,) = drawing.figure.legends
    return found.get_title().get_text(), [text.get_text() for text in found.get_texts()]


def test_runs_without_points_are_drawn(drawn):
    assert set(drawn) == {"collapse", "accuracy", "predictions", "held-out", "optimizers", "heads", "width"}


def test_every_run_recorded_here_can_be_drawn():
    recorded = [Run.open(file.parent) for file in sorted(RESULTS.rglob("config.json"))]
    found = comparison_figures(recorded[:12], only=["collapse"])
    assert recorded
    assert {row[0] for row in found["collapse"].rows} == set(names_of(recorded[:12]))


def test_every_run_is_a_curve_in_every_panel(drawn, runs):
    axes = drawn["collapse"].figure.axes
    assert len(axes) == 4
    assert len({round(panel.get_position().y0, 6) for panel in axes}) == 1
    for panel, name in zip(axes, ("nc1", "nc2", "nc3", "nc4"), strict=True):
        curves = [line for line in panel.lines if len(line.get_xdata()) > 1]
        records = [[row[name] for row in run.epochs] for run in runs]
        records = [record for record in records if max(record) > 1e-6]
        assert len(curves) == len(records) == (6 if name == "nc2" else 7)
        for curve, record in zip(curves, records, strict=True):
            np.testing.assert_array_equal(curve.get_ydata(), record)


def test_a_frame_that_is_fixed_is_noted_below_the_axis(drawn):
    panel = drawn["collapse"].figure.axes[1]
    assert [text.get_text() for text in panel.texts] == ["4e-08, below"]
    assert panel.get_ylim()[0] > 1e-5


def test_curves_are_told_apart_without_colour_as_well(drawn):
    looks = [(line.get_color(), line.get_marker()) for line in drawn["collapse"].figure.legends[0].get_lines()]
    assert len(set(looks)) == len({marker for _, marker in looks}) == len({colour for colour, _ in looks}) == 7


def test_legends_name_what_differs(drawn):
    assert legend(drawn["optimizers"]) == ("optimizer", ["adam", "lbfgs", "sgd"])
    assert legend(drawn["heads"]) == ("head, feature_dim", ["linear, 10", "etf, 10", "linear, 16"])
    title, texts = legend(drawn["collapse"])
    assert title == "random_labels, optimizer, head, feature_dim"
    assert texts[0] == "no, adam, linear, 16"


def test_contrasts_take_the_runs_that_differ_in_nothing_else(drawn):
    runs = {name: {row[0] for row in drawn[name].rows} for name in drawn}
    assert runs["optimizers"] == {"sgd", "adam", "lbfgs"}
    assert runs["heads"] == {"sgd", "etf", "d10"}
    assert runs["width"] == {"narrow", "wide"}


def test_the_recorded_runs_are_told_apart_by_what_matters():
    runs = [Run.open(file.parent) for file in sorted((RESULTS / "mnist").glob("*/config.json"))]
    found = comparison_figures(runs)
    assert legend(found["collapse"])[0].startswith("random_labels, optimizer, head")
    assert {row[0] for row in found["heads"].rows} == {"mnist-sgd", "mnist-d10", "mnist-etf"}
    assert any(text.startswith("etf") for text in legend(found["heads"])[1])


def test_a_frame_is_named_where_it_differs_and_an_older_one_was_rotated(like):
    older = {"head": "etf", "feature_dim": 10}
    runs = [like("learned", feature_dim=10), like("new", frame="standard", **older), like("old", **older)]
    config = runs[-1].config
    del config["recipe"]["frame"]
    runs[-1].write_config(config)
    title, texts = legend(comparison_figures(runs)["heads"])
    assert (title, texts) == ("head, frame", ["linear, -", "etf, standard", "etf, rotated"])


def test_errors_go_down_to_zero_on_a_logarithmic_scale(like):
    run = like("run")
    run.write_epochs([row | {"accuracy": min(1.0, 0.9 + row["epoch"] / 50)} for row in run.epochs])
    train, test = comparison_figures([run])["accuracy"].figure.axes
    errors = [1 - row["accuracy"] for row in run.epochs]
    np.testing.assert_array_equal(train.lines[0].get_ydata(), errors)
    assert (errors[-1], train.get_yscale(), test.get_yscale()) == (0, "symlog", "log")
    assert [tick for tick in train.get_yticks() if tick <= 0.02] == [0, 0.01, 0.02]
    heights = train.transData.transform([(1, error) for error in (0, 0.02, 0.08)])[:, 1]
    assert heights[1] - heights[0] > 0.2 * train.bbox.height


@pytest.mark.parametrize("accuracy", [1.0, 0.32])
def test_an_error_that_does_not_change_has_a_tick(accuracy, like):
    run = like("run")
    run.write_epochs([row | {"accuracy": accuracy} for row in run.epochs])
    drawing = comparison_figures([run])["accuracy"]
    require_readable(drawing)
    low, high = drawing.figure.axes[0].get_ylim()
    assert any(low <= tick <= high for tick in drawing.figure.axes[0].get_yticks())


def test_random_labels_stand_against_width(drawn, runs):
    for axes, name in zip(drawn["width"].figure.axes, ("nc1", "nc2", "nc3", "error"), strict=True):
        (line,) = axes.lines
        assert line.get_xdata().tolist() == [4, 512]
        ends = [run.epochs[-1] for run in runs if run.name in ("narrow", "wide")]
        ends = [1 - row["accuracy"] if name == "error" else row[name] for row in ends]
        np.testing.assert_array_equal(line.get_ydata(), ends)


def test_families_are_curves_of_their_own(like):
    runs = [
        like(f"{model}-{width}", width, model=model, width=width, random_labels=True)
        for model in ("resnet18", "mlp")
        for width in (8, 2)
    ]
    drawing = comparison_figures(runs)["width"]
    assert legend(drawing) == ("model", ["resnet18", "mlp"])
    for line in drawing.figure.axes[0].lines:
        assert line.get_xdata().tolist() == [2, 8]
        assert line.get_ydata()[1] == pytest.approx(4 * line.get_ydata()[0])


def test_numbers_of_widths_do_not_run_into_each_other(like):
    runs = [like(f"w{width}", width=width, random_labels=True) for width in (1, 2, 4, 8, 16, 32, 64, 256, 1024)]
    drawing = comparison_figures(runs, only=["width"])["width"]
    require_readable(drawing)
    for axes in drawing.figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        assert len(boxes) >= 6
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_numerics_of_training_belong_to_the_optimiser(like):
    runs = [like("sgd"), like("lbfgs", optimizer="lbfgs", amp=True, batch_size=2048), like("d10", feature_dim=10)]
    assert {row[0] for row in comparison_figures(runs)["optimizers"].rows} == {"sgd", "lbfgs"}


def test_of_seeds_at_one_width_the_line_is_the_mean(like):
    runs = [
        like(f"{width}-{seed}", width + seed, width=width, seed=seed, random_labels=True)
        for width in (2, 8)
        for seed in (1, 3)
    ]
    drawing = comparison_figures(runs)["width"]
    markers, mean = drawing.figure.axes[0].lines
    assert (markers.get_linestyle(), markers.get_xdata().tolist()) == ("None", [2, 2, 8, 8])
    assert mean.get_xdata().tolist() == [2, 8]
    np.testing.assert_allclose(mean.get_ydata(), markers.get_ydata().reshape(2, 2).mean(1))
    assert len(drawing.rows) == 4


ODD = {
    "zero": (0.0, "0"),
    "not a number": (math.nan, "not defined"),
    "infinite": (math.inf, "not defined"),
    "negative": (-1.0, "-1e+00, below"),
}


@pytest.mark.parametrize(("value", "said"), ODD.values(), ids=ODD)
def test_what_a_log_axis_cannot_show_is_said(value, said, like):
    run, other = like("odd"), like("other", seed=1)
    run.write_epochs([row | {"nc2": value} for row in run.epochs])
    panel = comparison_figures([run])["collapse"].figure.axes[1]
    assert [text.get_text() for text in panel.texts if text.get_text()] == [said]
    beside = comparison_figures([run, other])["collapse"]
    require_readable(beside)
    drawn = [line for line in beside.figure.axes[1].lines if np.isfinite(line.get_ydata()).sum() > 1]
    np.testing.assert_array_equal(drawn[-1].get_ydata(), [row["nc2"] for row in other.epochs])


def test_only_the_figures_asked_for(like):
    runs = [like("a"), like("b", optimizer="adam")]
    assert list(comparison_figures(runs, only=["optimizers"])) == ["optimizers"]
    with pytest.raises(InputError, match="there is no figure nc5; choose among: collapse, "):
        comparison_figures(runs, only=["nc5"])


def test_weight_decays_stand_side_by_side(like):
    runs = [like("all"), like("last", 0.5, feature_decay=1e-3), like("weak", weight_decay=1e-5)]
    title, texts = legend(comparison_figures(runs)["decays"])
    assert title == "weight_decay, feature_decay"
    assert texts == ["0.005, 0", "0.005, 0.001", "1e-05, 0"]


def test_theory_is_drawn_for_the_runs_that_have_points(trained, like):
    drawing = comparison_figures([trained, like("bare", lr=0.5)])["predictions"]
    for axes in drawing.figure.axes:
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert [line.get_color() for line in dashed] == ["C0"]
    assert legend(drawing)[1] == ["0.02", "0.5", "theory"]
    assert "Dashed: the global minimiser of each covered run's own unconstrained" in drawing.caption


def test_training_set_and_test_set_are_drawn_where_both_were_measured(trained, like):
    drawing = comparison_figures([trained])["held-out"]
    assert legend(drawing) == ("", ["training set", "test set"])
    for axes, (name, of) in zip(drawing.figure.axes, HELD_OUT_CURVES, strict=True):
        train, test = axes.lines
        np.testing.assert_allclose(train.get_ydata(), [of(row[name]) for row in trained.epochs])
        np.testing.assert_allclose(test.get_ydata(), [of(row[f"test_{name}"]) for row in trained.epochs])
        assert (train.get_linestyle(), test.get_linestyle()) == ("-", ":")
        assert train.get_color() == test.get_color()
    assert drawing.header[2:5] == ["nc1", "test_nc1", "nc1_quotient"]
    several = comparison_figures([like("a", 1.0), like("b", 0.9, lr=0.5)])["held-out"]
    assert legend(several) == ("lr", ["0.02", "0.5", "test set"])
    colours = [line.get_color() for line in several.figure.axes[0].lines]
    assert colours == ["C0", "C0", "C1", "C1"]


HELD_OUT_CURVES = [
    ("nc1", lambda x: x),
    ("nc1_quotient", lambda x: x),
    ("cdnv", lambda x: x),
    ("nearest_center_accuracy", lambda x: 1 - x),
]


def test_a_run_of_an_earlier_version_is_drawn_without_the_test_set(like):
    older, newer, grown = like("older"), like("newer", lr=0.5), like("grown", lr=0.7)
    for run, rows in ((older, 6), (grown, 3)):
        kept = [{k: v for k, v in row.items() if k not in LATER} for row in run.epochs[:rows]]
        run.write_epochs([*kept, *run.epochs[rows:]])
    drawn = comparison_figures([older, newer, grown])
    assert {row[0] for row in drawn["held-out"].rows} == {"newer", "grown"}
    assert {row[0] for row in drawn["collapse"].rows} == {"older", "newer", "grown"}
    lines = drawn["held-out"].figure.axes[0].lines
    assert [np.isfinite(line.get_ydata()).sum() for line in lines] == [6, 6, 6, 3]
    assert "held-out" not in comparison_figures([older])
    require_readable(drawn["held-out"])


def foot(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_what_agrees_by_construction_is_said_where_it_does(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "own")
    own = Run.open(tmp_path / "own")
    facts = dataclasses.replace(own.minimised, lambda_h=1e-5, implied_by=None)
    own.write_config(own.config | {"minimised": facts.plain()})
    for runs, expected in (([trained], ["agrees by construction"]), ([own], []), ([trained, own], None)):
        drawing = comparison_figures(runs, only=["predictions"])["predictions"]
        assert foot(drawing.figure.axes[3]) == (
            ["does not", "agrees by construction"] if expected is None else expected
        )
        assert not any(foot(axes) for axes in drawing.figure.axes[:3])
        assert ("The ratio agrees by construction" in drawing.caption) == (trained in runs)


def test_bounds_lie_below_and_close_on_the_minimum(trained):
    rows = [
        dict(zip(drawing.header, row, strict=True))
        for drawing in [comparison_figures([trained])["bounds"]]
        for row in drawing.rows
    ]
    assert len(rows) == 6
    for row in rows:
        assert row["lower_bound"] <= row["objective"]
        assert row["gap"] == pytest.approx(row["objective"] - row["lower_bound"])
    assert rows[-1]["objective"] < rows[0]["objective"]


def test_a_dozen_runs_are_told_apart(like):
    runs = [like(f"run-{seed}", 1 + seed / 10, seed=seed) for seed in range(12)]
    drawing = comparison_figures(runs)["collapse"]
    lines = drawing.figure.legends[0].get_lines()
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 12
    assert legend(drawing) == ("seed", [str(seed) for seed in range(12)])
    assert drawing.figure.get_figwidth() == TWO_COLUMNS


def test_no_figure_is_drawn_twice(like):
    assert "optimizers" not in comparison_figures([like("a"), like("b", optimizer="adam")])


def test_every_figure_is_readable(drawn, trained):
    for drawing in (*drawn.values(), *comparison_figures([trained]).values()):
        require_readable(drawing)


def test_files_and_tables(tmp_path, like):
    runs = [like("a", lr=0.1), like("b", lr=0.2)]
    paths = compare_runs(runs, tmp_path / "out")
    assert {path.name for path in paths} == {
        f"{name}.{extension}"
        for name in ("collapse", "accuracy", "predictions", "held-out")
        for extension in (*FORMATS, "csv")
    }
    rows = list(csv.DictReader((tmp_path / "out" / "accuracy.csv").read_text().splitlines()))
    assert list(rows[0]) == ["run", "lr", "epoch", "error", "test_error"]
    assert [(row["run"], row["lr"]) for row in rows] == [("a", "0.1")] * 6 + [("b", "0.2")] * 6


def test_every_figure_says_what_it_needs():
    for entry in COMPARISONS.values():
        assert re.match(r"(a run|runs)\b", entry.needs)
