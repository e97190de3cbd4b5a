"""Values, gradients and Hessians of many collapsed points at once, against autograd over all N features."""

from dataclasses import replace

import pytest
import torch

from tests.cases import PROBLEMS, autograd_gradient, flat_objective, naive_objective, orthogonal
from ufm import Point
from ufm.atlas.family import Family
from ufm.solvers.critical import narrow_solution

CASES = [(name, rank) for name in PROBLEMS for rank in (1, 2, 3)]


def rows(family: Family, count: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, family.size, generator=generator, dtype=torch.float64)


def by_definition(family: Family):
    """f of one row, through the N features that it stands for."""
    problem = replace(family.problem, dim=family.rank)
    K, r = problem.num_classes, family.rank
    f, n = flat_objective(problem), torch.tensor(problem.class_counts, dtype=torch.float64)

    def value(x: torch.Tensor) -> torch.Tensor:
        H = x[K * r : 2 * K * r].view(K, r) / n.sqrt()[:, None]
        return f(torch.cat([x[: K * r], H[problem.labels].flatten(), x[2 * K * r :]]))

    return value


@pytest.mark.parametrize(("name", "rank"), CASES)
def test_expand_is_what_autograd_finds(name, rank):
    family = Family(PROBLEMS[name], rank)
    f, x = by_definition(family), rows(family)
    found = family.expand(x)
    torch.testing.assert_close(family.values(x), found.value, rtol=1e-14, atol=1e-14)
    for row, value, gradient, hessian in zip(x, *found, strict=True):
        torch.testing.assert_close(value, f(row), rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(gradient, torch.func.grad(f)(row), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(hessian, torch.func.hessian(f)(row), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias"])
def test_a_row_is_a_point(name):
    """The gradient norm is that over all N features: these coordinates are isometric."""
    family = Family(PROBLEMS[name], 2)
    problem, x = replace(family.problem, dim=2), rows(family)[0]
    point = problem.expand(family.point(x))
    assert float(family.values(x[None])) == pytest.approx(naive_objective(problem, point), rel=1e-13)
    expected = float(autograd_gradient(problem, point).norm())
    assert float(family.expand(x[None]).gradient.norm()) == pytest.approx(expected, rel=1e-12)


def test_rank_zero_has_the_bias_alone():
    problem = PROBLEMS["imbalanced"]
    found = Family(problem, 0).expand(torch.zeros(1, 3, dtype=torch.float64))
    shares = torch.tensor(problem.class_counts) / problem.num_samples
    torch.testing.assert_close(found.gradient[0], 1 / 3 - shares.double(), rtol=1e-6, atol=1e-7)
    expected = torch.eye(3).double() / 3 - 1 / 9 + problem.lambda_b * torch.eye(3).double()
    torch.testing.assert_close(found.hessian[0], expected, rtol=1e-13, atol=1e-13)
    no_bias = Family(PROBLEMS["no bias"], 0)
    assert no_bias.size == 0
    assert float(no_bias.values(torch.zeros(1, 0, dtype=torch.float64))) == pytest.approx(1.0986122886681098)


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias"])
def test_logits_are_those_of_the_samples(name):
    family = Family(PROBLEMS[name], 2)
    x = rows(family)
    for row, logits in zip(x, family.logits(x), strict=True):
        point = family.point(row)
        torch.testing.assert_close(logits, point.H @ point.W.T + point.b)


@pytest.mark.parametrize(("name", "rank"), [("balanced", 3), ("imbalanced", 2), ("no bias", 1)])
def test_pull_is_the_adjoint_of_the_derivative_of_the_logits(name, rank):
    family = Family(PROBLEMS[name], rank)
    K, x, direction = family.problem.num_classes, rows(family, 1), rows(family, 1, seed=1)
    R = torch.randn(1, K, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    _, change = torch.func.jvp(family.logits, (x,), (direction,))
    assert float((change * R).sum()) == pytest.approx(float((direction * family.pull(x, R)).sum()), rel=1e-12)


@pytest.mark.parametrize("rank", [1, 2])
def test_in_row_space_forgets_unused_dimensions(rank):
    """A point of rank r, padded and rotated, is the point of d = r that it was, up to a rotation."""
    problem = PROBLEMS["d = K"]
    narrow = narrow_solution(problem, rank, tol=1e-13).point
    turned = Point(narrow.W[:, :rank], narrow.H[:, :rank], narrow.b).padded(3).rotated(orthogonal(3))
    wide = Family(problem, 3)
    family, x = wide.in_row_space(wide.landscape.pack(turned.W, problem.class_means(turned).H, turned.b))
    assert family == Family(problem, rank)
    small = replace(problem, dim=rank).class_means(Point(narrow.W[:, :rank], narrow.H[:, :rank], narrow.b))
    torch.testing.assert_close(family.logits(x[None])[0], small.H @ small.W.T + small.b, rtol=1e-10, atol=1e-10)
    assert float(family.expand(x[None]).gradient.norm()) <= 1e-12
