"""Theory beside a last layer under every loss: minimisers by another route, the minimiser itself, and wrong losses."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch

import ufm
from tests.cases import PROBLEMS, random_point
from tests.ufm.losses.naive import NAIVE
from ufm import InputError, Point, Problem
from ufm.losses import BinaryCrossEntropy, CrossEntropy, MeanSquare
from validate import NotComparable, compare, locate

LOSSES = {name: NAIVE[name][0] for name in ("cross-entropy", "label smoothing", "mse", "bce", "focal")}
COUNTS = {"balanced": (2, 2, 2), "imbalanced": (3, 1, 2)}
DECAY = {"lambda_w": 5e-3, "lambda_h": 2e-3, "lambda_b": 1e-2}


def problem_of(loss: str, counts: str = "balanced", **settings) -> Problem:
    return Problem(COUNTS[counts], 4, **DECAY | settings, loss=LOSSES[loss])


def compared(problem: Problem, point: Point, **settings):
    decays = {name: getattr(problem, name) for name in ("lambda_w", "lambda_h", "lambda_b", "bias", "loss")}
    return compare(point, problem.labels, **decays | settings)


def rows(comparison) -> dict[str, tuple[float, float]]:
    return {row.name: (row.theory, row.network) for row in comparison.rows}


def least_by_scipy(problem: Problem, name: str) -> float:
    """The least value that L-BFGS finds from several starts, of f over W, one feature a class, and b."""
    K, d, counts = problem.num_classes, problem.dim, torch.tensor(problem.class_counts).double()

    def f(x: np.ndarray) -> tuple[float, np.ndarray]:
        variables = torch.tensor(x, requires_grad=True)
        W, H, b = variables[: K * d].view(K, d), variables[K * d : 2 * K * d].view(K, d), variables[2 * K * d :]
        losses = torch.stack([NAIVE[name][1](W @ h + b, k) for k, h in enumerate(H)]).flatten()
        decay = problem.lambda_w * W.square().sum() + problem.lambda_h * (counts @ H.square().sum(1))
        value = (counts @ losses) / counts.sum() + (decay + problem.lambda_b * b.square().sum()) / 2
        value.backward()
        return value.item(), variables.grad.numpy()

    generator, exact = np.random.default_rng(0), {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    starts = [generator.standard_normal(2 * K * d + K) for _ in range(3)]
    return min(scipy.optimize.minimize(f, x, jac=True, method="L-BFGS-B", options=exact).fun for x in starts)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("name", LOSSES)
def test_the_minimiser_is_the_one_that_scipy_finds(name, counts):
    problem = problem_of(name, counts)
    found = compared(problem, random_point(problem))
    assert found.problem == problem
    assert found.certified
    assert ufm.certify(problem, found.minimizer).verdict == "global minimizer"
    objective, bound = rows(found)["objective"], rows(found)["lower_bound"]
    assert objective[0] == pytest.approx(least_by_scipy(problem, name), rel=1e-9)
    assert bound[0] == pytest.approx(objective[0], rel=1e-8)
    assert bound[1] < objective[0] < objective[1]


@pytest.mark.parametrize("settings", [{}, {"lambda_b": 0.0}, {"bias": False, "lambda_b": 0.0}], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_a_minimiser_is_what_theory_predicts(name, settings):
    problem = problem_of(name, "imbalanced", **settings)
    found = compared(problem, ufm.minimize(problem, seed=1, tol=1e-13).point, lambda_h=None)
    assert found.problem.lambda_h == pytest.approx(problem.lambda_h, rel=1e-9)
    assert found.certificate.verdict == "global minimizer"
    assert found.balance_residual < 1e-9
    assert found.certified
    for row in found.rows:
        assert row.network == pytest.approx(row.theory, rel=1e-6, abs=1e-9), row.name
    near = locate(found)
    assert (near.verdict, near.converged) == ("global minimizer", True)
    assert near.distance < 1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_of_the_loss_is_the_one_of_its_definition(name):
    """Cross-entropy's is the metric; another loss has a row of its own."""
    problem = problem_of(name, "imbalanced")
    point = random_point(problem)
    found = compared(problem, point)
    by_hand = [NAIVE[name][1](z, int(k)) for z, k in zip(point.logits, problem.labels, strict=True)]
    row = next(row for row in found.rows if row.name == ("loss" if name == "cross-entropy" else "mean_loss"))
    assert row.network == pytest.approx(float(torch.stack(by_hand).mean()), rel=1e-12)
    assert ("mean_loss" in rows(found)) == (name != "cross-entropy")
    assert row.meaning == ("mean cross-entropy" if name == "cross-entropy" else f"mean loss: {problem.loss.name}")


@pytest.mark.parametrize("wrong", LOSSES)
@pytest.mark.parametrize("name", LOSSES)
def test_under_another_loss_a_minimiser_is_none(name, wrong):
    problem = problem_of(name)
    point = ufm.minimize(problem, tol=1e-13).point
    found = compared(problem, point, loss=LOSSES[wrong])
    gap = rows(found)["gap"][1] / rows(found)["objective"][0]
    if wrong == name:
        assert abs(gap) < 1e-8
        return
    assert found.certificate.verdict == "not critical"
    assert gap > 1e-3
    margins = rows(found)["mean_margin"]
    assert abs(margins[1] / margins[0] - 1) > 1e-2


@pytest.mark.parametrize("name", LOSSES)
def test_a_mean_of_the_bias_counts_where_the_loss_sees_it(name):
    problem = problem_of(name, lambda_b=0.0)
    point = ufm.minimize(problem, tol=1e-13).point
    found = compared(problem, replace(point, b=point.b + 1))
    assert (abs(rows(found)["gap"][1]) < 1e-8) == LOSSES[name].shift_invariant
    assert rows(found)["mean_margin"][1] == pytest.approx(rows(found)["mean_margin"][0], rel=1e-8)


def test_a_bias_may_share_the_work_with_the_features_mean():
    """h -> h + v, b -> b - W v keeps the logits, and so every loss: the comparison undoes it."""
    for name in LOSSES:
        problem = problem_of(name, "imbalanced")
        point = ufm.minimize(problem, tol=1e-13).point
        v = torch.linspace(1, 2, problem.dim, dtype=torch.float64)
        moved = Point(point.W, point.H + v, point.b - point.W @ v)
        assert compared(problem, moved, lambda_h=None).certificate.verdict == "global minimizer"


@pytest.mark.parametrize("name", ["cross-entropy", "bce", "focal"])
def test_what_no_bound_reaches_is_not_called_global(name):
    """Six classes in the plane: one descent, and a duality gap that stays open."""
    problem = Problem.balanced(6, 2, 2, **DECAY, loss=LOSSES[name])
    found = compared(problem, random_point(problem))
    assert (found.method, found.certified) == ("minimised, not certified", False)
    assert rows(found)["gap"][0] > 1e-4


class Hinge:
    """A loss of one's own, without a conjugate."""

    name = "squared hinge"

    def values(self, logits, types):
        own = logits.gather(1, types[:, None])
        return (1 + logits - own).clamp_min(0).square().sum(1)


def test_without_a_lower_bound_nothing_is_compared():
    problem = PROBLEMS["balanced"]
    with pytest.raises(NotComparable, match="no lower bound is known for the loss 'squared hinge'"):
        compare(random_point(problem), problem.labels, lambda_w=1e-2, loss=Hinge())


def test_targets_a_class_are_compared_and_targets_of_other_types_refused():
    problem = problem_of("mse", "imbalanced")
    point = random_point(problem)
    plain, given = (rows(compared(problem, point, loss=loss)) for loss in (MeanSquare(), MeanSquare(torch.eye(3))))
    assert given["objective"] == pytest.approx(plain["objective"], rel=1e-9)
    for loss in (MeanSquare(torch.eye(4)), BinaryCrossEntropy([[1, -1, 1]] * 2)):
        with pytest.raises(InputError, match=r"types of sample and . classes; a last layer of 3 classes"):
            compared(problem, point, loss=loss)


def test_cross_entropy_is_what_is_meant_without_a_loss():
    problem = problem_of("cross-entropy")
    point = random_point(problem)
    assert compared(problem, point, loss=None).plain() == compared(problem, point, loss=CrossEntropy()).plain()
