"""The theorems are checked on the network's own model, or on one with fewer samples and the same levels."""

import pytest
import torch

import ufm
from ufm import Point, Problem
from ufm.losses import BinaryCrossEntropy, Focal, LabelSmoothing, MeanSquare
from validate import compare, theorems
from validate.theory.theorems import counted, equivalent

DECAY = {"lambda_w": 5e-3, "lambda_h": 4e-5, "lambda_b": 5e-3}
COUNTS = {"balanced": (5, 5, 5, 5), "imbalanced": (40, 20, 12, 8)}


def fitted(counts: tuple[int, ...], dim: int = 5):
    """A last layer of these class counts beside its theory."""
    problem = Problem(counts, dim, **DECAY)
    point = ufm.minimize(problem, seed=1).point
    return compare(point, problem.labels, lambda_w=DECAY["lambda_w"])


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_they_are_about_the_networks_own_model(counts):
    comparison = fitted(counts)
    found = theorems(comparison)
    assert found.problem == comparison.problem
    plain = found.plain()
    assert plain["problem"]["dim"] == 5
    assert plain["problem"]["lambda_h"] == pytest.approx(DECAY["lambda_h"], rel=1e-6)
    statuses = {verdict["claim"]: verdict["status"] for verdict in plain["verdicts"]}
    assert "fails" not in statuses.values()
    assert statuses["proved minimiser"] == "holds"
    assert statuses["ETF geometry"] == ("holds" if len(set(counts)) == 1 else "not covered")


@pytest.mark.parametrize("loss", [MeanSquare(), BinaryCrossEntropy(), LabelSmoothing(0.1), Focal(2.0)], ids=str)
def test_under_another_loss_they_are_about_its_model(loss):
    problem = Problem(COUNTS["balanced"], 5, **DECAY, loss=loss)
    comparison = compare(ufm.minimize(problem, seed=1).point, problem.labels, lambda_w=DECAY["lambda_w"], loss=loss)
    found = theorems(comparison)
    assert found.problem.loss == comparison.problem.loss == loss
    statuses = {verdict.claim: verdict.status for verdict in found.verdicts}
    assert "fails" not in statuses.values()
    assert statuses["weak duality"] == statuses["balance"] == statuses["exact spectrum"] == "holds"
    assert statuses["global optimality"] == ("holds" if loss.convex else "not covered")
    assert equivalent(problem, 8).loss == loss


def test_a_large_model_gives_way_to_one_of_fewer_samples(monkeypatch):
    monkeypatch.setattr("validate.theory.theorems.VARIABLES", 150)
    comparison = fitted(COUNTS["imbalanced"])
    found = theorems(comparison)
    assert found.problem.class_counts == (13, 6, 4, 3)
    assert found.problem.num_variables <= 160
    assert found.problem.dim == comparison.problem.dim


@pytest.mark.parametrize(("counts", "fewer"), [((20,) * 10, 20), ((40, 20, 20, 10), 18)])
def test_the_equivalent_problem_has_the_same_levels(counts, fewer):
    """f at collapsed points, critical or not, where the proportions of the classes are kept."""
    own = Problem(counts, 12, **DECAY)
    small = equivalent(own, fewer)
    assert small.num_samples == fewer
    generator = torch.Generator().manual_seed(0)
    W, H = (torch.randn(len(counts), 12, generator=generator, dtype=torch.float64) for _ in range(2))
    point = Point(W, H, torch.linspace(-1, 1, len(counts), dtype=torch.float64))
    assert float(small.objective(point)) == pytest.approx(float(own.objective(own.expand(point))), rel=1e-12)


def test_every_status_is_counted():
    assert counted(["holds", "fails", "holds"]) == {"holds": 2, "fails": 1, "inconclusive": 0, "not covered": 0}
    assert tuple(counted([])) == tuple(ufm.Status)
    assert counted(["unheard of"])["unheard of"] == 1
