"""The solver reaches critical points to full precision, at the level that independent solvers reach."""

import numpy as np
import pytest
import scipy.optimize
import torch

import ufm
from tests.cases import PROBLEMS, autograd_gradient, flat, flat_objective, random_point
from ufm import InputError, Problem


@pytest.fixture(params=list(PROBLEMS.values()), ids=list(PROBLEMS))
def problem(request):
    return request.param


@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_reaches_the_tolerance(problem, seed, reduce):
    solution = ufm.minimize(problem, seed=seed, reduce=reduce)
    assert solution.converged
    assert solution.reduced is reduce
    assert solution.point.H.shape == (problem.num_samples, problem.dim)
    size = float(autograd_gradient(problem, solution.point).norm())
    assert solution.relative_grad_norm == pytest.approx(problem.relative_gradient(solution.point), rel=1e-3, abs=1e-14)
    assert solution.grad_norm == pytest.approx(size, rel=1e-3, abs=1e-13)
    assert solution.value == pytest.approx(float(problem.objective(solution.point)), rel=1e-12)


def test_free_descent_goes_down(problem):
    history = ufm.minimize(problem, seed=2, reduce=False).history
    values = np.array([step.value for step in history])
    assert len(history) > 2 or values[0] == values[-1]
    assert (np.diff(values) <= 1e-14 * np.abs(values[:-1])).all()


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "strong decay, imbalanced"])
def test_same_level_as_scipy(name):
    problem = PROBLEMS[name]
    f = flat_objective(problem)

    def value_and_gradient(x):
        x = torch.from_numpy(x).requires_grad_()
        value = f(x)
        return value.item(), torch.autograd.grad(value, x)[0].numpy()

    start = flat(problem, random_point(problem, seed=5)).numpy()
    peer = scipy.optimize.minimize(value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    assert ufm.minimize(problem).value == pytest.approx(peer.fun, rel=1e-9)


@pytest.mark.parametrize("seed", [3, 34, 77])
def test_a_small_minimum_hides_no_progress(seed):
    """f* is 4e-3 here, and the rounding of f that of the logits: 1e-16, not 1e-18."""
    problem = Problem.balanced(2, 1, 2, lambda_w=1.2e-4, lambda_h=2.3e-4, lambda_b=1.0)
    assert ufm.minimize(problem, seed=seed).converged


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_refuses_a_seed(seed):
    with pytest.raises(InputError, match="seed must lie in"):
        ufm.minimize(PROBLEMS["balanced"], seed=seed)


def test_goes_on_from_a_start():
    problem = PROBLEMS["balanced"]
    first = ufm.minimize(problem, seed=3, tol=1e-4)
    second = ufm.minimize(problem, start=first.point, tol=1e-12)
    assert first.converged
    assert second.converged
    assert second.iterations < first.iterations
    assert second.value <= first.value


def test_keeps_the_labels_of_its_start():
    problem = PROBLEMS["imbalanced"]
    order = torch.randperm(problem.num_samples, generator=torch.Generator().manual_seed(0))
    point = random_point(problem)
    start = ufm.Point(point.W, point.H[order], point.b, problem.labels[order])
    solution = ufm.minimize(problem, start=start)
    assert torch.equal(solution.point.labels, start.labels)
    assert ufm.certify(problem, solution.point).verdict == "global minimizer"


def test_is_reproducible_and_depends_on_the_seed():
    problem = PROBLEMS["balanced"]
    points = [ufm.minimize(problem, seed=seed).point for seed in (4, 4, 5)]
    assert torch.equal(points[0].W, points[1].W)
    assert not torch.allclose(points[0].W, points[2].W)


def test_running_out_is_a_status():
    solution = ufm.minimize(PROBLEMS["balanced"], max_iterations=2)
    assert not solution.converged
    assert solution.relative_grad_norm > 1e-10


def test_every_step_is_reported():
    steps = []
    solution = ufm.minimize(PROBLEMS["balanced"], on_step=steps.append)
    assert tuple(steps) == solution.history


@pytest.mark.parametrize("tol", [0.0, -1.0, 2.0])
def test_refuses_a_tolerance(tol):
    with pytest.raises(InputError, match="tol must lie in"):
        ufm.minimize(PROBLEMS["balanced"], tol=tol)


def test_very_different_decays():
    problem = Problem.balanced(5, 20, 8, lambda_w=1e-2, lambda_h=1e-6, lambda_b=1e-2)
    solution = ufm.minimize(problem, seed=1, reduce=False)
    assert solution.converged
    assert solution.value == pytest.approx(float(problem.objective(ufm.global_minimizer(problem))), rel=1e-12)


@pytest.mark.parametrize(("decay", "lambda_b", "K"), [(0.6, 1e-10, 3), (0.01, 1e-12, 3), (0.6, 1e-10, 2)])
def test_a_bias_that_hardly_decays_is_where_its_decay_puts_it(decay, lambda_b, K):
    """Only its decay holds the mean of b: a small gradient says nothing of it."""
    problem = Problem((3,) * K, 4, lambda_w=decay, lambda_h=decay, lambda_b=lambda_b)
    for seed in range(4):
        solution = ufm.minimize(problem, seed=seed)
        assert abs(float(solution.point.b.mean())) < 1e-15
        assert ufm.certify(problem, solution.point).verdict == "global minimizer"
