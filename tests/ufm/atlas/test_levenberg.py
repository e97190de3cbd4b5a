"""The search for zeros, its deflation and the last digits, on systems whose zeros are known by hand."""

import pytest
import torch

from tests.cases import PROBLEMS
from ufm.atlas.family import Family
from ufm.atlas.levenberg import System, deflation, find_zeros, gradient_system
from ufm.atlas.subspaces import Subspace, Symmetry

BY_HAND = torch.tensor([[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [-2.0, -1.0]], dtype=torch.float64)


def circle_and_hyperbola(x):
    """x^2 + y^2 = 5, x y = 2."""
    a, b = x[:, 0], x[:, 1]
    F = torch.stack([a * a + b * b - 5, a * b - 2], 1)
    return F, torch.stack([torch.stack([2 * a, 2 * b], 1), torch.stack([b, a], 1)], 1)


def system_of(expand) -> System:
    return System(lambda x: expand(x)[0], expand)


def normal(count: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_zero_of_a_system_is_found():
    ends, norms = find_zeros(system_of(circle_and_hyperbola), 3 * normal(60, 2), tol=1e-12, damping=1e-2)
    assert (norms <= 1e-12).all()
    distances = (ends[:, None] - BY_HAND).norm(dim=2)
    assert float(distances.min(1).values.max()) <= 1e-11
    assert set(distances.argmin(1).tolist()) == {0, 1, 2, 3}


def test_a_system_without_zeros_does_not_converge():
    """x^2 + 1 = 0: the norm that is left is said."""

    def system(x):
        return x * x + 1, (2 * x)[:, :, None]

    ends, norms = find_zeros(system_of(system), normal(5, 1), tol=1e-10, damping=1e-3)
    assert (norms > 0.99).all()
    torch.testing.assert_close(norms, ends[:, 0] ** 2 + 1)


def test_starts_that_creep_are_given_up_and_no_others():
    """x^9: a step takes |F| to (8/9)^9 = 0.35 of it, but for the first ones, which are damped."""

    def system(x):
        return x**9, torch.diag_embed(9 * x**8)

    start = 1 + normal(6, 1).abs()
    ends, norms = find_zeros(system_of(system), start, tol=1e-12, damping=1e-2)
    assert (norms <= 1e-12).all()
    torch.testing.assert_close(find_zeros(system_of(system), start, tol=1e-12, damping=1e-2, patience=5)[0], ends)
    assert (find_zeros(system_of(system), start, tol=1e-12, damping=1e-2, patience=1)[1] > 1e-8).all()


def test_starts_that_wait_for_others_to_end_lose_nothing(monkeypatch):
    """Two at a time, and all at once: each end stands at the place of its start."""
    start = torch.cat([3 * normal(9, 2), BY_HAND[:1]])
    settings = {"tol": 1e-12, "damping": 1e-2, "patience": 10}
    ends, norms = find_zeros(system_of(circle_and_hyperbola), start, **settings)
    monkeypatch.setattr("ufm.atlas.levenberg.CACHED", 0)
    monkeypatch.setattr("ufm.atlas.levenberg.FEWEST", 2)
    few_ends, few_norms = find_zeros(system_of(circle_and_hyperbola), start, **settings)
    torch.testing.assert_close(few_ends, ends)
    torch.testing.assert_close(few_norms, norms, atol=1e-12, rtol=0)
    assert (few_norms <= 1e-12).all()


def test_starts_do_not_depend_on_one_another():
    start = 3 * normal(7, 2)
    together, _ = find_zeros(system_of(circle_and_hyperbola), start, tol=1e-12, damping=1e-2)
    for row, end in zip(start, together, strict=True):
        torch.testing.assert_close(
            find_zeros(system_of(circle_and_hyperbola), row[None], tol=1e-12, damping=1e-2)[0][0], end
        )


@pytest.mark.parametrize(("name", "rank"), [("balanced", 2), ("imbalanced", 2), ("no bias", 1), ("free bias", 1)])
def test_the_deflation_is_what_autograd_finds(name, rank):
    family = Family(PROBLEMS[name], rank)
    x = normal(4, family.size)
    known = family.logits(normal(3, family.size, seed=1))

    def log_factor(row):
        squares = (family.logits(row[None]) - known).square().sum((1, 2))
        return (1 + 1 / squares).log().sum()

    factor, slope = deflation(family, x, known)
    torch.testing.assert_close(factor.log(), torch.stack([log_factor(row) for row in x]))
    torch.testing.assert_close(slope, torch.stack([torch.func.grad(log_factor)(row) for row in x]))
    system = gradient_system(family, known)
    F, J = system.expand(x)
    torch.testing.assert_close(system.values(x), F)
    torch.testing.assert_close(F, factor[:, None] * family.expand(x).gradient)
    slope_of_f = torch.func.grad(lambda row: family.values(row[None])[0])
    deflated = torch.func.jacfwd(lambda row: log_factor(row).exp() * slope_of_f(row))
    torch.testing.assert_close(J, torch.stack([deflated(row) for row in x]), rtol=1e-10, atol=1e-10)


def test_the_system_of_a_subspace_is_a_restriction():
    space = Subspace(Family(PROBLEMS["balanced"], 2), Symmetry(((1, 0, 2, 3),), ((1, -1),)))
    y, known = normal(2, space.size, seed=1), space.family.logits(normal(3, space.family.size, seed=2))
    system = gradient_system(space, known)
    F, J = system.expand(y)
    wide_F, wide_J = gradient_system(space.family, known).expand(y @ space.basis.T)
    torch.testing.assert_close(system.values(y), F)
    torch.testing.assert_close(F, wide_F @ space.basis)
    torch.testing.assert_close(J, space.basis.T @ wide_J @ space.basis)


def test_a_deflated_search_leaves_the_points_already_known():
    """From the starts that end at one point, deflated there: none returns, and another point is found."""
    problem = PROBLEMS["d = K"]
    family = Family(problem, 2)
    tol = 1e-11
    start = normal(30, family.size)
    ends, norms = find_zeros(gradient_system(family), start, tol=tol, damping=problem.ridge**2)
    logits = family.logits(ends)
    known = logits[(norms <= tol).nonzero()[0]]
    here = (norms <= tol) & ((logits - known).abs().amax((1, 2)) < 1e-5)
    assert here.any()
    system = gradient_system(family, known)
    ends, norms = find_zeros(system, start[here], tol=tol, damping=problem.ridge**2, iterations=300)
    found = ends[norms <= tol]
    assert len(found)
    assert float((family.logits(found) - known).abs().amax((1, 2)).min()) > 1e-2
    assert float(family.expand(found).gradient.norm(dim=1).max()) <= tol
