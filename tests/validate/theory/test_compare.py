"""The theory beside itself agrees to rounding; beside a spoiled layer it shows by how much."""

import math
from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, random_point
from ufm import InputError, Point, Problem
from validate import Run, compare, compare_run, last_layer


def of(problem: Problem) -> dict[str, float]:
    return {"lambda_w": problem.lambda_w, "lambda_b": problem.lambda_b, "bias": problem.bias}


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "two classes", "d = K - 1"])
def test_a_minimiser_is_what_theory_predicts(name):
    problem = PROBLEMS[name]
    point = ufm.minimize(problem, seed=1, tol=1e-13).point
    comparison = compare(point, problem.labels, **of(problem))
    assert comparison.problem.lambda_h == pytest.approx(problem.lambda_h, rel=1e-9)
    assert comparison.certificate.verdict == "global minimizer"
    assert comparison.balance_residual < 1e-9
    assert comparison.method == ("closed form" if problem.is_balanced else "minimised, certified")
    for row in comparison.rows:
        assert row.network == pytest.approx(row.theory, rel=1e-7, abs=1e-9), row.name


def test_shifted_features_are_the_same_network():
    problem = PROBLEMS["balanced"]
    point = ufm.minimize(problem).point
    shift = torch.linspace(1, 2, problem.dim, dtype=torch.float64)
    moved = Point(point.W, point.H + shift, point.b - point.W @ shift)
    torch.testing.assert_close(moved.logits, point.logits)
    assert compare(moved, problem.labels, **of(problem)).certificate.verdict == "global minimizer"


def test_a_spoiled_layer_is_shown_to_be_off():
    problem = PROBLEMS["balanced"]
    point = problem.expand(ufm.global_minimizer(problem))
    noisy = replace(point, H=point.H + 0.1 * random_point(problem).H)
    comparison = compare(noisy, problem.labels, **of(problem))
    assert comparison.certificate.verdict == "not critical"
    gap = next(row for row in comparison.rows if row.name == "gap")
    assert gap.network > 1e-3 > 1e-9 > abs(gap.theory)
    # The gap is honest: it bounds the distance to the true minimum of the implied problem.
    assert gap.network >= float(comparison.problem.objective(noisy)) - ufm.minimize(comparison.problem).value


def test_predicted_margin_is_the_closed_forms():
    problem = PROBLEMS["balanced"]
    s = math.sqrt(3 * problem.lambda_w * problem.lambda_h)
    comparison = compare(ufm.minimize(problem, tol=1e-13).point, problem.labels, **of(problem))
    margin = next(row for row in comparison.rows if row.name == "mean_margin")
    assert margin.theory == pytest.approx(math.log((1 - 3 * s) / s), rel=1e-8)


def test_layer_numbers_by_hand():
    """Logits (2, 0, 1) of class 0 and (0, 0, 3) of class 1."""
    point = Point(torch.eye(3), torch.tensor([[2.0, 0, 1], [0, 0, 3]]), torch.zeros(3))
    layer = last_layer(point, torch.tensor([0, 1]))
    assert layer.accuracy == 0.5
    assert layer.mean_margin == pytest.approx(((2 - 0.5) + (0 - 1.5)) / 2)
    assert layer.least_margin == -3
    expected = -(math.log(math.exp(2) / (math.exp(2) + 1 + math.e)) + math.log(1 / (2 + math.exp(3)))) / 2
    assert layer.loss == pytest.approx(expected, rel=1e-12)
    assert layer.norm_h == pytest.approx(math.sqrt(4 / 2))
    assert layer.norm_w == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize("lambda_b", [0.0, 1e-2])
def test_the_shift_is_the_one_of_least_penalty(lambda_b):
    problem = PROBLEMS["imbalanced"]
    point = random_point(problem)
    comparison = compare(point, problem.labels, lambda_w=5e-3, lambda_b=lambda_b)
    torch.testing.assert_close(comparison.point.logits, point.logits)
    implied, settled = comparison.problem, comparison.point
    assert implied.lambda_h * float(settled.H.square().sum()) == pytest.approx(5e-3 * float(settled.W.square().sum()))
    for axis in torch.eye(problem.dim, dtype=torch.float64):
        for step in (1e-4, -1e-4):
            moved = replace(settled, H=settled.H + step * axis, b=settled.b - step * settled.W @ axis)
            assert float(implied.objective(moved)) > float(implied.objective(settled))


def test_without_a_bias_nothing_is_shifted():
    problem = PROBLEMS["no bias"]
    point = random_point(problem)
    assert torch.equal(compare(point, problem.labels, lambda_w=5e-3, bias=False).point.H, point.H)


def test_nothing_to_balance():
    zeros = Point(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(2), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(InputError, match="pass lambda_h"):
        compare(zeros, lambda_w=1e-2)
    assert compare(zeros, lambda_w=1e-2, lambda_h=1e-2).certificate.verdict == "strict saddle"


def test_a_class_without_samples_is_named():
    point = random_point(PROBLEMS["imbalanced"])
    with pytest.raises(InputError, match=r"no sample of class 2 \(1 of 3 classes are empty\)"):
        compare(point, torch.arange(len(point.H)) % 2, lambda_w=1e-2)


def test_of_a_run_without_a_point(tmp_path):
    run = Run.create(tmp_path / "run", {"recipe": {"weight_decay": 1e-3}})
    with pytest.raises(InputError, match="recorded no point yet"):
        compare_run(run)
    run.write_config({})
    with pytest.raises(InputError, match="names no weight_decay"):
        compare_run(run)


def test_plain_is_json(tmp_path):
    from ufm.storage.files import read_json, write_json

    problem = PROBLEMS["balanced"]
    plain = compare(ufm.minimize(problem).point, problem.labels, **of(problem)).plain()
    write_json(tmp_path / "c.json", plain)
    assert read_json(tmp_path / "c.json")["model"]["num_classes"] == 4
