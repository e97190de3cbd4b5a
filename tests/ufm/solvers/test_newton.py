"""Truncated conjugate gradients against dense linear algebra, and what is asked of them."""

from typing import NamedTuple

import pytest
import torch

from ufm.solvers.newton import EXACT, Trial, forcing, steihaug

SIZE = 12


class Dense(NamedTuple):
    """A quadratic with its matrix."""

    gradient: torch.Tensor
    matrix: torch.Tensor

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        return self.matrix @ v

    def decrease(self, p: torch.Tensor) -> float:
        return -float(self.gradient @ p + p @ self.matrix @ p / 2)


def drawn(seed: int, least: float) -> Dense:
    """Eigenvalues from `least` to 30, and a gradient with a part along each."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64))
    values = torch.linspace(least, 30.0, SIZE, dtype=torch.float64)
    return Dense(torch.randn(SIZE, generator=generator, dtype=torch.float64), (basis * values) @ basis.T)


def consistent(model: Dense, found: Trial) -> bool:
    return found.decrease == pytest.approx(model.decrease(found.step), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_inside_the_sphere_it_is_newtons_step(seed):
    model = drawn(seed, 0.5)
    found = steihaug(model, 1e3, 1e-11)
    torch.testing.assert_close(found.step, -torch.linalg.solve(model.matrix, model.gradient), rtol=1e-8, atol=1e-10)
    assert consistent(model, found)
    assert found.products <= SIZE + 2


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_a_longer_step_ends_on_the_sphere(seed, share):
    """Its length is followed through inner products that nothing computes anew."""
    model = drawn(seed, 0.5)
    radius = share * float(torch.linalg.solve(model.matrix, model.gradient).norm())
    found = steihaug(model, radius, 1e-11)
    assert float(found.step.norm()) == pytest.approx(radius, rel=1e-9)
    assert consistent(model, found)


@pytest.mark.parametrize("radius", [0.1, 1.0, 50.0])
@pytest.mark.parametrize("seed", range(3))
def test_negative_curvature_leads_to_the_sphere(seed, radius):
    model = drawn(seed, -2.0)
    found = steihaug(model, radius, 1e-11)
    steepest = model.gradient / model.gradient.norm()
    along = max(model.decrease(-t * radius * steepest) for t in torch.linspace(0, 1, 201, dtype=torch.float64).tolist())
    assert float(found.step.norm()) == pytest.approx(radius, rel=1e-9)
    assert consistent(model, found)
    assert found.decrease >= along * (1 - 1e-12)


def test_a_null_space_without_gradient_is_never_entered():
    model = drawn(0, 0.5)
    values, vectors = torch.linalg.eigh(model.matrix)
    matrix = (vectors * torch.cat([values.new_zeros(2), values[2:]])) @ vectors.T
    found = steihaug(Dense(matrix @ model.gradient, matrix), 1e3, 1e-12)
    torch.testing.assert_close(vectors[:, :2].T @ found.step, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-11)
    torch.testing.assert_close(vectors[:, 2:].T @ (found.step + model.gradient), torch.zeros_like(values[2:]))


def test_a_gradient_within_the_tolerance_asks_for_no_product():
    found = steihaug(drawn(0, 0.5), 1.0, 1e3)
    assert (found.decrease, found.products) == (0.0, 0)
    assert not found.step.any()


@pytest.mark.parametrize(("relative", "expected"), [(1.0, 0.3), (1e-4, 1e-2), (1e-10, 1e-5), (1e-13, EXACT / 1e-13)])
def test_no_more_is_asked_for_than_rounding_lets_a_gradient_fall(relative, expected):
    assert forcing(relative) == pytest.approx(expected)
