"""Minority collapse drawn: each run's small classes, at the place that its own threshold gives them."""

import dataclasses

import numpy as np
import pytest
import torch

import networks
import ufm
from figures.runs.comparison import comparison_figures
from tests.figures.looks import require_readable
from ufm import Point, Problem
from validate import Run
from validate.runs.minimised import HeadFacts, LossFacts, Minimised

LARGE, DECAYS = 40, {"lambda_w": 0.025, "lambda_h": 0.01, "lambda_b": 0.025}


def at_the_minimum(folder, small: int, loss="cross-entropy") -> Run:
    """A run whose last layer is the minimiser itself, of three classes of 40 samples and three of few."""
    problem = Problem((LARGE,) * 3 + (small,) * 3, 6, **DECAYS)
    facts = Minimised(LossFacts(loss), HeadFacts(), *DECAYS.values())
    recipe = {"imbalance": f"step:{small / LARGE}", "weight_decay": DECAYS["lambda_w"]}
    run = Run.create(folder / f"n{small}", {"recipe": recipe, "minimised": facts.plain()})
    point = ufm.minimize(problem, tol=1e-12).point
    dataclasses.replace(point, labels=problem.labels).save(run.last_point)
    run.write_epochs([{"epoch": 1.0, "accuracy": 1.0, "test_accuracy": 1.0, "norm_w": 1.0, "norm_h": 1.0}])
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minorities")
    return [at_the_minimum(folder, small) for small in (30, 3, 8)]


def threshold(small: int) -> float:
    """n over N^2 lambda_w lambda_h, by hand."""
    N = 3 * LARGE + 3 * small
    return small / (N**2 * DECAYS["lambda_w"] * DECAYS["lambda_h"])


def test_places_and_cosines_are_those_of_the_formulas(runs):
    drawing = comparison_figures(runs, only=["minority"])["minority"]
    rows = [dict(zip(drawing.header, row, strict=True)) for row in drawing.rows]
    assert [row["n_min"] for row in rows] == [3, 8, 30]
    for row, small in zip(rows, (3, 8, 30), strict=True):
        assert row["of_threshold"] == pytest.approx(threshold(small), rel=1e-12)
        W = Point.load(next(run for run in runs if run.name == row["run"]).last_point).W.numpy()[3:]
        units = W / np.linalg.norm(W, axis=1, keepdims=True)
        cosine = np.mean([units[j] @ units[k] for j in range(3) for k in range(3) if j != k])
        assert row["cosine_network"] == pytest.approx(cosine, abs=1e-6)
        assert (row["cosine_theory"] > 1 - 1e-6) is (row["of_threshold"] <= 1)
        assert row["cosine_theory"] == pytest.approx(cosine, abs=1e-4)
    (axes,) = drawing.figure.axes
    assert axes.lines[0].get_xdata()[0] == 1.0
    require_readable(drawing)
    assert "Networks below it: cosines 1.00 to 1.00 (1); above it:" in drawing.caption


def test_a_network_that_has_not_collapsed_is_seen(runs, tmp_path):
    """Planted: below the threshold, rows of W turned apart. The minimiser's cosine stays, the network's goes."""
    merged = next(run for run in runs if run.name == "n3")
    planted = Run.create(tmp_path / "planted", merged.config)
    point = Point.load(merged.last_point)
    W = point.W.clone()
    W[3:] += 0.5 * torch.eye(6, dtype=W.dtype)[:3]
    dataclasses.replace(point, W=W).save(planted.last_point)
    planted.write_epochs(merged.epochs)
    rows = comparison_figures([planted, runs[0]], only=["minority"])["minority"].rows
    assert rows[0][0] == "planted"
    assert rows[0][6] < 0.9


def test_runs_on_one_imbalance_or_without_a_minority_are_not_drawn(runs, trained):
    assert not comparison_figures([runs[0], trained], only=["minority"])


def test_a_network_by_the_command_is_compared(small_recipe, tmp_path):
    """Two short trainings: rows of both, certified, with the decays that they were trained with."""
    few = dataclasses.replace(small_recipe, per_class=20, epochs=2, weight_decay=0.02, batch_size=40)
    both = [
        networks.train(dataclasses.replace(few, imbalance=f"step:{ratio}"), tmp_path / str(ratio))
        for ratio in (0.1, 0.5)
    ]
    drawing = comparison_figures(both, only=["minority"])["minority"]
    assert [row[:4] for row in drawing.rows] == [("0.1", 20, 2, 0.02), ("0.5", 20, 10, 0.02)]
    assert all(row[-1] == 1 for row in drawing.rows)


def test_rows_at_zero_have_no_direction(runs, tmp_path):
    """One sample a class is far below the threshold: its rows are merged at 0, which is no cosine."""
    drawing = comparison_figures([*runs, at_the_minimum(tmp_path, 1)], only=["minority"])["minority"]
    row = dict(zip(drawing.header, drawing.rows[0], strict=True))
    assert row["n_min"] == 1
    assert np.isnan(row["cosine_theory"])
    assert "1 minimisers have these rows at 0" in drawing.caption
