"""Symmetries of the model, and its derivatives, on problems and points drawn by hypothesis."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ufm
from tests.cases import naive_objective, orthogonal, random_point
from ufm import Point, Problem


@st.composite
def problems(draw) -> Problem:
    decay = st.floats(1e-4, 1.0)
    return Problem(
        class_counts=tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))),
        dim=draw(st.integers(1, 5)),
        lambda_w=draw(decay),
        lambda_h=draw(decay),
        lambda_b=draw(st.one_of(st.just(0.0), decay)),
        bias=draw(st.booleans()),
    )


seeds = st.integers(0, 2**31)
scales = st.sampled_from([0.1, 1.0, 4.0])


@given(problems(), seeds, scales)
def test_orthogonal_invariance(problem, seed, scale):
    point, R = random_point(problem, seed, scale), orthogonal(problem.dim, seed % 7)
    rotated = point.rotated(R)
    assert float(problem.objective(rotated)) == pytest.approx(float(problem.objective(point)), rel=1e-12)
    gradient = problem.gradient(point)
    torch.testing.assert_close(problem.gradient(rotated).W, gradient.W @ R, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(problem.gradient(rotated).H, gradient.H @ R, rtol=1e-10, atol=1e-12)


@given(problems(), seeds, scales, st.randoms(use_true_random=False))
def test_class_permutation_equivariance(problem, seed, scale, random):
    """Renaming the classes moves the rows of W, b and the samples with them."""
    order = list(range(problem.num_classes))
    random.shuffle(order)
    point = random_point(problem, seed, scale)
    renamed = replace(problem, class_counts=tuple(problem.class_counts[k] for k in order))
    rows = torch.cat([(problem.labels == k).nonzero().flatten() for k in order])
    moved = Point(point.W[order], point.H[rows], point.b[order])
    assert float(renamed.objective(moved)) == pytest.approx(float(problem.objective(point)), rel=1e-12)
    gradient = problem.gradient(point)
    torch.testing.assert_close(renamed.gradient(moved).W, gradient.W[order], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(renamed.gradient(moved).b, gradient.b[order], rtol=1e-10, atol=1e-12)


@given(problems(), seeds)
def test_gauge_directions_are_null_at_critical_points(problem, seed):
    """For antisymmetric A the orbit's tangent (W A, H A, 0) is in the kernel of the Hessian."""
    point = ufm.minimize(problem, seed=seed % 1000, tol=1e-13).point
    A = torch.randn(problem.dim, problem.dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    A = A - A.T
    tangent = Point(point.W @ A, point.H @ A, torch.zeros_like(point.b))
    image = problem.hessian_vector_product(point, tangent)
    size = sum(float(part.norm()) for part in (tangent.W, tangent.H))
    assert sum(float(part.norm()) for part in (image.W, image.H, image.b)) <= 1e-9 * (1 + size)


@given(problems(), seeds, scales)
def test_gradient_is_a_finite_difference(problem, seed, scale):
    point, direction = random_point(problem, seed, scale), random_point(problem, seed + 1)
    gradient = problem.gradient(point)
    predicted = sum(float((getattr(gradient, x) * getattr(direction, x)).sum()) for x in ("W", "H", "b"))
    step = 1e-5
    ends = [
        naive_objective(problem, Point(*(getattr(point, x) + s * getattr(direction, x) for x in ("W", "H", "b"))))
        for s in (step, -step)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(predicted, rel=1e-5, abs=1e-6)


@given(problems(), seeds, scales)
def test_averaging_never_rises(problem, seed, scale):
    point = random_point(problem, seed, scale)
    assert float(problem.objective(problem.class_means(point))) <= float(problem.objective(point)) + 1e-12
