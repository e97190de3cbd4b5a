"""Theory beside runs: a last layer put at the minimiser meets its prediction, one moved away does not."""

import math

import pytest
import torch

import ufm
from tests.ufm_paper.runs import made_run
from ufm import Point, Problem
from ufm.closed_forms.simplex import simplex_frame
from ufm_paper import beside
from ufm_paper.beside import predictions, predictions_behind_relu, theorems
from validate import compare_run

DECAY = {"lambda_w": 5e-3, "lambda_h": 4e-5, "lambda_b": 5e-3}  # 5e-3: that of the small scale


def at_minimum(scale=1.0) -> Point:
    """The minimiser of 10 classes of 20 samples in 12 dimensions, its features scaled."""
    problem = Problem.balanced(10, 20, 12, **DECAY)
    best = ufm.global_minimizer(problem)
    return Point(best.W, scale * best.H[problem.labels], best.b, problem.labels)


def test_a_run_at_its_minimiser_meets_the_prediction(tmp_path):
    run = made_run(tmp_path, "mnist-sgd", at_minimum())
    found = predictions({"mnist-sgd": run})
    assert found.holds
    rows = {row["quantity"]: row for row in found.tables["all"]}
    assert rows["mean_margin"]["deviation"] < 1e-9
    assert rows["distance to"]["note"] == "global minimizer"
    assert rows["lambda_h"]["network"] == pytest.approx(4e-5)
    assert rows["nc1"]["deviation"] is None  # the prediction is zero


def test_a_run_away_from_its_minimiser_does_not(tmp_path):
    run = made_run(tmp_path, "mnist-sgd", at_minimum(scale=2.0))
    found = predictions({"mnist-sgd": run})
    assert not found.holds
    assert "within 10% in all three: none" in found.said


def test_a_run_whose_prediction_is_zero_is_far_from_it(tmp_path):
    runs = {"mnist-sgd": made_run(tmp_path, "mnist-sgd", at_minimum())}
    runs["mnist-adam"] = made_run(tmp_path, "mnist-adam", at_minimum(scale=1e-4))
    found = predictions(runs)
    assert not found.holds
    assert "mean_margin predicted zero" in found.said
    assert "within 10% in all three: mnist-sgd;" in found.said


@pytest.mark.parametrize("name", ["mean_margin", "gap"])
def test_a_number_that_is_none_meets_no_prediction(tmp_path, monkeypatch, name):
    """In the last of two runs: neither the largest deviation nor the least gap hides it."""
    runs = {cell: made_run(tmp_path, cell, at_minimum()) for cell in ("mnist-sgd", "mnist-adam")}
    assert predictions(runs).holds
    compared = beside._compared

    def spoiled(cell, *asked):
        rows = compared(cell, *asked)
        for row in rows:
            if cell == "mnist-adam" and row["quantity"] == name:
                row |= {"network": math.nan, "deviation": math.nan}
        return rows

    monkeypatch.setattr(beside, "_compared", spoiled)
    assert not predictions(runs).holds


def at_minimum_behind_relu(scale=1.0) -> Point:
    """The minimiser with H >= 0 of 10 classes of 20 samples in 12 dimensions, its features scaled."""
    model = ufm.models.Nonnegative((20,) * 10, 12, **DECAY)
    best, labels = model.minimize().point, Problem.balanced(10, 20, 12, **DECAY).labels
    return Point(best.W, scale * best.H[labels], best.b, labels)


def test_features_behind_a_relu_are_compared_with_their_own_model(tmp_path):
    """Each minimiser meets its own prediction and not the other one, whose margin is another by over 10%."""
    behind = {"mnist-sgd": made_run(tmp_path / "behind", "mnist-sgd", at_minimum_behind_relu())}
    assert predictions_behind_relu(behind).holds
    moved = {"mnist-sgd": made_run(tmp_path / "moved", "mnist-sgd", at_minimum_behind_relu(scale=2.0))}
    assert not predictions_behind_relu(moved).holds
    free = {"mnist-sgd": made_run(tmp_path / "free", "mnist-sgd", at_minimum())}
    found = predictions_behind_relu(free)
    assert found.said == "no run that fits can be compared"
    assert "the features must be >= 0" in found.tables["all"][0]["note"]


def test_a_fixed_frame_behind_a_relu_is_compared_with_its_own_w(tmp_path):
    cell, labels = "mnist-resnet18-etf-d10", Problem.balanced(10, 20, 10, **DECAY).labels
    model = ufm.models.FixedClassifier(simplex_frame(10, 10), (20,) * 10, 4e-5, 5e-3, nonnegative=True)
    best = model.minimize().point
    for scale, holds in ((1.0, True), (3.0, False)):
        point = Point(best.W, scale * best.H[labels], best.b, labels)
        run = made_run(tmp_path / str(scale), cell, point)
        assert predictions_behind_relu({cell: run}).holds is holds
        assert predictions({cell: run}).said == "no run that fits can be compared"


def test_runs_without_a_comparison_or_unfitted_are_said_and_do_not_count(tmp_path):
    runs = {"mnist-resnet18-etf": made_run(tmp_path, "mnist-resnet18-etf", at_minimum())}
    runs["mnist-adam"] = made_run(tmp_path, "mnist-adam", at_minimum(), accuracy=0.4)
    found = predictions(runs)
    assert not found.holds
    assert found.said == "no run that fits can be compared"
    assert [row["run"] for row in found.tables["summary"]] == list(runs)
    notes = [row["note"] for row in found.tables["all"] if row["quantity"] == "not covered"]
    assert len(notes) == 1
    assert notes[0].startswith("the claim is about W and H that are free")


def test_theorems_are_checked_at_the_networks_problem(tmp_path):
    run = made_run(tmp_path, "mnist-sgd", at_minimum())
    found = theorems({"mnist-sgd": run})
    assert found.holds
    levels = found.tables["levels"]
    assert levels[0]["point"] == "minimiser"
    assert levels[0]["level"] == pytest.approx(compare_run(run.run).certificate.value, rel=1e-9)
    assert {row["point"] for row in levels} >= {"10", "9+1", "5+5"}
    assert levels[-1]["level"] == pytest.approx(torch.tensor(10.0).log().item(), rel=1e-6)
    assert all(verdict["status"] != "fails" for verdict in found.tables["verdicts"])


def test_a_failing_theorem_fails_the_claim(tmp_path, monkeypatch):
    run = made_run(tmp_path, "mnist-sgd", at_minimum())
    planted = ufm.Verdict("planted", "1 < 0", "nowhere", "fails", 1.0, 0.0, "")
    monkeypatch.setattr(ufm, "verify", lambda *given, **asked: [planted])
    assert not theorems({"mnist-sgd": run}).holds
