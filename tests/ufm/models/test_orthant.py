"""The largest quadratic form over nonnegative unit vectors, beside projected ascent and a matrix made for it."""

import pytest
import torch

from ufm.models.orthant import largest_on_orthant


def matrix(size: int, seed: int) -> torch.Tensor:
    G = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return G @ G.T


def ascent(M: torch.Tensor, starts: int = 200) -> float:
    """Projected power iteration from many starts."""
    u = torch.rand(starts, len(M), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = u / u.norm(dim=1, keepdim=True)
    for _ in range(4000):
        u = (u @ M + float(M.norm()) * 0.05 * u).clamp_min(0)
        u = u / u.norm(dim=1, keepdim=True)
    return float(torch.einsum("ui,ij,uj->u", u, M, u).max())


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_best_of_many_ascents(seed):
    M = matrix(5, seed)
    found = largest_on_orthant(M)
    assert found.value == pytest.approx(ascent(M), rel=1e-8)
    assert float(found.vector.min()) >= 0
    assert float(found.vector @ M @ found.vector) == pytest.approx(found.value, rel=1e-12)


def test_a_repeated_eigenvalue_is_found_on_a_smaller_support():
    """The identity, and a matrix whose top eigenspace has nonnegative vectors that a solver need not return."""
    assert largest_on_orthant(torch.eye(4, dtype=torch.float64)).value == pytest.approx(1)
    a, b = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    M = torch.outer(a, a) / 2 + torch.outer(b, b)
    assert largest_on_orthant(M).value == pytest.approx(1)


def test_beyond_twelve_rows_it_is_no_less():
    M = matrix(13, 3)
    found = largest_on_orthant(M)
    assert found.vector is None
    assert found.value >= ascent(M) - 1e-9
    assert found.value <= float(torch.linalg.eigvalsh(M)[-1]) + 1e-9


def test_the_largest_eigenvalue_is_not_it():
    """The planted error: the top eigenvector changes sign, and the orthant has less."""
    M = torch.tensor([[2.0, -1.0], [-1.0, 2.0]], dtype=torch.float64)
    assert largest_on_orthant(M).value == pytest.approx(2)
    assert float(torch.linalg.eigvalsh(M)[-1]) == pytest.approx(3)
