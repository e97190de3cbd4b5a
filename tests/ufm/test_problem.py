"""A Problem refuses what cannot be posed, and moves points between one row a class and one a sample."""

import math

import pytest
import torch

import ufm
from tests.cases import DECAY, PROBLEMS, autograd_gradient, naive_objective, random_point
from ufm import InputError, Point, Problem
from ufm.losses import MeanSquare
from ufm.solvers.critical import origin

BAD = {
    "K = 1": (lambda: Problem.balanced(1, 3, 2, **DECAY), "K >= 2 classes.*1"),
    "K = 1 by counts": (lambda: Problem((3,), 2, **DECAY), "K >= 2 classes, got K = 1"),
    "no counts": (lambda: Problem(3, 2, **DECAY), "must list n_k"),
    "n = 0": (lambda: Problem.balanced(3, 0, 2, **DECAY), r"n_k >= 1 of samples, got \[0"),
    "n not whole": (lambda: Problem((2, 2.5), 2, **DECAY), r"got \[2.5\]"),
    "d = 0": (lambda: Problem.balanced(3, 2, 0, **DECAY), "dimension d must be a whole number >= 1, got 0"),
    "lambda_w < 0": (
        lambda: Problem((2, 2), 2, lambda_w=-1, lambda_h=1),
        "lambda_w must be a finite number > 0, got -1",
    ),
    "lambda_h = 0": (lambda: Problem((2, 2), 2, lambda_w=1, lambda_h=0), "lambda_h must be a finite number > 0, got 0"),
    "no decay of H": (
        lambda: Problem((2, 2), 2, lambda_w=1, lambda_h=0),
        "got 0; f has no minimiser where one of them is 0, as W and H scale .* give lambda_w and lambda_h",
    ),
    "no decay": (
        lambda: Problem((2, 2), 2, 0, 0),
        "got 0; without them f falls to 0 at infinity; take the limit, ufm.models.Ridgeless",
    ),
    "no decay of squared error": (
        lambda: Problem((2, 2), 2, 0, 0, loss=MeanSquare()),
        "got 0; without them f is the same at W A, H A.-T for every A and has no isolated minimiser; give lambda_w",
    ),
    "lambda_b < 0": (lambda: Problem((2, 2), 2, **DECAY, lambda_b=-0.1), "lambda_b must be a finite number >= 0"),
    "NaN": (lambda: Problem((2, 2), 2, lambda_w=math.nan, lambda_h=1), "lambda_w must be a finite number > 0, got nan"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_refuses(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_sizes():
    problem = PROBLEMS["imbalanced"]
    assert (problem.num_classes, problem.num_samples) == (3, 8)
    assert problem.num_variables == 3 * 4 + 4 * 8 + 3
    assert problem.labels.tolist() == [0, 1, 1, 2, 2, 2, 2, 2]
    assert PROBLEMS["no bias"].num_variables == 3 * 4 + 4 * 6
    with pytest.raises(InputError, match="not balanced"):
        _ = problem.per_class


@pytest.mark.parametrize("name", PROBLEMS)
def test_relative_gradient_is_that_of_equal_decays_over_what_bounds_the_decays_part(name):
    """In coordinates where both decays are rho: |grad| / sqrt(4 rho f), the gradient by autograd."""
    problem, point = PROBLEMS[name], random_point(PROBLEMS[name], scale=0.5)
    stretch, rho = (problem.lambda_w / problem.lambda_h) ** 0.25, math.sqrt(problem.lambda_w * problem.lambda_h)
    g, f = autograd_gradient(problem, point), naive_objective(problem, point)
    cut, end = problem.num_classes * problem.dim, (problem.num_classes + problem.num_samples) * problem.dim
    size = math.hypot(g[:cut].norm() / stretch, stretch * g[cut:end].norm(), g[end:].norm())
    assert problem.relative_gradient(point) == pytest.approx(size / math.sqrt(4 * rho * f), rel=1e-12)
    assert rho * math.hypot(stretch * point.W.norm(), point.H.norm() / stretch) <= math.sqrt(4 * rho * f)


def test_even_coordinates_keep_values_and_there_is_a_way_back():
    problem = Problem((3, 1, 2), 2, lambda_w=1.0, lambda_h=1e-10, lambda_b=1e-2)
    point = random_point(problem)
    even = problem.evened(point)
    assert problem.even.lambda_w == problem.even.lambda_h
    assert float(problem.even.objective(even)) == pytest.approx(float(problem.objective(point)), rel=1e-12)
    torch.testing.assert_close(problem.unevened(even).H, point.H)
    torch.testing.assert_close(problem.unevened(even).W, point.W)


@pytest.mark.parametrize("decays", [(1e-13, 1e-13, 0.0), (1e-12, 9e-13, 1e-2), (1e-3, 1e-3, 1e-13)])
def test_decays_too_small_for_verdicts_are_refused_by_name(decays):
    lW, lH, lb = decays
    problem = Problem.balanced(3, 1, 2, lambda_w=lW, lambda_h=lH, lambda_b=lb)
    for ask in (
        lambda: ufm.certify(problem, origin(problem)),
        lambda: ufm.verify(problem),
        lambda: ufm.explore(problem),
    ):
        with pytest.raises(InputError, match=r"1e-12, the smallest decay.* got lambda_w = .*"):
            ask()


@pytest.mark.parametrize("name", ["balanced", "imbalanced"])
def test_class_means_and_expansion(name):
    problem = PROBLEMS[name]
    point = random_point(problem)
    means = problem.class_means(point)
    for k in range(problem.num_classes):
        torch.testing.assert_close(means.H[k], point.H[problem.labels == k].mean(0))
    assert torch.equal(problem.expand(means).H, means.H[problem.labels])
    shuffled = torch.randperm(problem.num_samples, generator=torch.Generator().manual_seed(1))
    moved = Point(point.W, point.H[shuffled], point.b, problem.labels[shuffled])
    torch.testing.assert_close(problem.class_means(moved).H, means.H)


MISFITS = {
    "rows": (lambda p: Point(p.W, p.H[:-1], p.b), "H must have N = 12 or K = 4 rows, got 11"),
    "width": (lambda p: Point(p.W[:, 1:], p.H[:, 1:], p.b), "K = 4, d = 6, but W has shape"),
    "labels": (lambda p: Point(p.W, p.H, p.b, torch.zeros(12, dtype=torch.int64)), "labels count"),
}


@pytest.mark.parametrize(("spoil", "message"), MISFITS.values(), ids=MISFITS)
def test_points_that_do_not_fit(spoil, message):
    problem = PROBLEMS["balanced"]
    with pytest.raises(InputError, match=message):
        problem.objective(spoil(random_point(problem)))


def test_objective_is_differentiable():
    problem = PROBLEMS["balanced"]
    point = random_point(problem)
    W = point.W.clone().requires_grad_()
    problem.objective(Point(W, point.H, point.b)).backward()
    torch.testing.assert_close(W.grad, problem.gradient(point).W)


def test_without_one_decay_scaling_falls_and_without_both_a_linear_map_changes_nothing():
    """What the refusals say, on f written out: no minimiser, and a set of them that is not bounded."""
    generator = torch.Generator().manual_seed(0)
    W, H, A = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (4, 4, 3))

    def f(W, H, lambda_h):
        return torch.nn.functional.mse_loss(H @ W.T, torch.eye(4, dtype=torch.float64)) + lambda_h * H.square().sum()

    values = [float(f(s * W, H / s, 0.1)) for s in (1, 10, 100, 1000)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(float(f(W, H, 0.0)), rel=1e-4)
    torch.testing.assert_close(f(W @ A, H @ torch.linalg.inv(A).T, 0.0), f(W, H, 0.0))
