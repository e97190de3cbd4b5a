"""Networks over theory drawn: each run beside the minimiser of its own model, with free features and behind a ReLU."""

import pytest

import ufm
from figures.runs.comparison import comparison_figures
from tests.figures.looks import require_readable
from ufm import Point, Problem
from validate import Run
from validate.runs.minimised import HeadFacts, LossFacts, Minimised

COUNTS, DIM, DECAYS = (20,) * 4, 6, {"lambda_w": 5e-3, "lambda_h": 2e-4, "lambda_b": 5e-3}
LABELS = Problem(COUNTS, DIM, **DECAYS).labels


def run_at(folder, best: Point, scale: float = 1.0) -> Run:
    """A run whose last layer is this one, W and H scaled."""
    facts = Minimised(LossFacts("cross-entropy"), HeadFacts(), *DECAYS.values())
    run = Run.create(folder, {"recipe": {"weight_decay": DECAYS["lambda_w"]}, "minimised": facts.plain()})
    Point(scale * best.W, scale * best.H[LABELS], best.b, LABELS).save(run.last_point)
    run.write_epochs([{"epoch": 1.0, "accuracy": 1.0, "test_accuracy": 1.0, "norm_w": 1.0, "norm_h": 1.0}])
    return run


def drawn(*runs: Run):
    drawing = comparison_figures(runs, only=["ratios"])["ratios"]
    require_readable(drawing)
    rows = [dict(zip(drawing.header, row, strict=True)) for row in drawing.rows]
    return drawing, {(row["run"], row["model"], row["quantity"]): row["network"] / row["theory"] for row in rows}


def test_each_minimiser_meets_its_own_model_alone(tmp_path):
    free = ufm.global_minimizer(Problem(COUNTS, DIM, **DECAYS))
    behind = ufm.models.Nonnegative(COUNTS, DIM, **DECAYS).minimize().point
    drawing, found = drawn(run_at(tmp_path / "free", free), run_at(tmp_path / "behind", behind))
    assert ("free", "nonnegative", "mean_margin") not in found  # its features are negative
    for quantity in ("mean_margin", "norm_w", "norm_h"):
        assert found["free", "free", quantity] == pytest.approx(1, abs=1e-6)
        assert found["behind", "nonnegative", quantity] == pytest.approx(1, abs=1e-6)
    assert abs(found["behind", "free", "mean_margin"] - 1) > 0.02
    assert [len(axes.lines) for axes in drawing.figure.axes] == [3, 3, 3]


def test_a_network_away_from_its_minimiser_is_seen(tmp_path):
    """Planted: W and H twice as long, whose margin is four times the minimiser's."""
    behind = ufm.models.Nonnegative(COUNTS, DIM, **DECAYS).minimize().point
    _, found = drawn(run_at(tmp_path / "there", behind), run_at(tmp_path / "long", behind, scale=2.0))
    assert found["there", "nonnegative", "mean_margin"] == pytest.approx(1, abs=1e-6)
    assert found["long", "nonnegative", "mean_margin"] == pytest.approx(4, rel=1e-6)
    assert found["long", "nonnegative", "norm_w"] == pytest.approx(2, rel=1e-6)
