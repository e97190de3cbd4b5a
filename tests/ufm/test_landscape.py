"""The written-out derivatives against the definition, autograd and finite differences."""

import pytest
import torch

from tests.cases import PROBLEMS, autograd_gradient, autograd_hessian, flat, naive_objective, random_point
from ufm import Point


@pytest.fixture(params=list(PROBLEMS.values()), ids=list(PROBLEMS))
def problem(request):
    return request.param


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_objective_is_the_definition(problem, scale):
    point = random_point(problem, seed=1, scale=scale)
    assert float(problem.objective(point)) == pytest.approx(naive_objective(problem, point), rel=1e-13)


def test_gradient_is_autograds(problem):
    point = random_point(problem, seed=2)
    ours = flat(problem, problem.gradient(point))
    torch.testing.assert_close(ours, autograd_gradient(problem, point), rtol=0, atol=1e-14)


def test_hessian_vector_product_is_autograds(problem):
    point, direction = random_point(problem, seed=3), random_point(problem, seed=4)
    ours = flat(problem, problem.hessian_vector_product(point, direction))
    theirs = autograd_hessian(problem, point) @ flat(problem, direction)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)


def test_gradient_and_hessian_are_finite_differences(problem):
    point, direction = random_point(problem, seed=5), random_point(problem, seed=6)

    def moved(step: float) -> Point:
        return Point(*(getattr(point, name) + step * getattr(direction, name) for name in ("W", "H", "b")))

    v = flat(problem, direction)
    errors = []
    for step in (1e-3, 5e-4):
        rise = (naive_objective(problem, moved(step)) - naive_objective(problem, moved(-step))) / (2 * step)
        slopes = flat(problem, problem.gradient(moved(step))) - flat(problem, problem.gradient(moved(-step)))
        image = flat(problem, problem.hessian_vector_product(point, direction))
        errors.append(
            (abs(rise - float(flat(problem, problem.gradient(point)) @ v)), (slopes / (2 * step) - image).norm())
        )
    for coarse, fine in zip(*errors, strict=True):
        # Central differences: the error falls fourfold when the step is halved, unless it is rounding.
        assert fine < 0.3 * coarse or fine < 1e-9


def test_a_wrong_gradient_would_be_seen(problem):
    point = random_point(problem, seed=2)
    spoiled = flat(problem, problem.gradient(point)).clone()
    spoiled[0] += 1e-10
    with pytest.raises(AssertionError):
        torch.testing.assert_close(spoiled, autograd_gradient(problem, point), rtol=0, atol=1e-14)


def test_collapsed_landscape_is_the_full_one_on_collapsed_points(problem):
    means = problem.class_means(random_point(problem, seed=7))
    collapsed, x = problem.landscape_at(means)
    full, y = problem.landscape_at(problem.expand(means))
    assert float(collapsed.value(x)) == pytest.approx(float(full.value(y)), rel=1e-14)
    assert float(x.norm()) == pytest.approx(float(y.norm()), rel=1e-14)
    assert float(collapsed.jet(x).gradient.norm()) == pytest.approx(float(full.jet(y).gradient.norm()), rel=1e-12)


def test_products_with_many_vectors_at_once(problem):
    f, x = problem.landscape_at(random_point(problem, seed=8))
    vectors = torch.randn(3, f.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jet = f.jet(x)
    torch.testing.assert_close(jet.hvp(vectors), torch.stack([jet.hvp(v) for v in vectors]), rtol=0, atol=1e-14)


def test_dense_hessian_is_autograds(problem):
    f, x = problem.landscape_at(random_point(problem, seed=9))
    torch.testing.assert_close(
        f.jet(x).hessian(batch=7), torch.autograd.functional.hessian(f.value, x), rtol=0, atol=1e-13
    )


def test_labels_in_any_order_give_the_same_value_and_gradient():
    problem = PROBLEMS["imbalanced"]
    point = random_point(problem, seed=1)
    order = torch.randperm(problem.num_samples, generator=torch.Generator().manual_seed(0))
    shuffled = Point(point.W, point.H[order], point.b, problem.labels[order])
    assert float(problem.objective(shuffled)) == pytest.approx(float(problem.objective(point)), rel=1e-14)
    torch.testing.assert_close(problem.gradient(shuffled).H, problem.gradient(point).H[order], rtol=0, atol=1e-15)


def test_float32_points_are_computed_in_float32():
    problem = PROBLEMS["balanced"]
    point = random_point(problem).to(torch.float32)
    assert problem.objective(point).dtype == torch.float32
    assert float(problem.objective(point)) == pytest.approx(float(problem.objective(point.double())), rel=1e-5)
