"""The largest value of u^T M u over unit vectors u >= 0, which says whether c I - M is copositive.

A maximiser is, on its support S, an eigenvector of M_S with positive entries (Kaplan 2000, on copositive matrices);
where that eigenvalue is repeated one moves inside its space until an entry vanishes, so some maximiser's is simple, and
an eigenvector that a solver returns. All supports are looked at for up to 12 rows. For more, u^T M u is at most
u^T M+ u, M+ without the negative entries off the diagonal: the smaller of their largest eigenvalues is a bound.
"""

from dataclasses import dataclass
from itertools import combinations

import torch

ROWS = 12  # the most whose supports are all looked at
SIGN = 1e-9  # an entry of a unit eigenvector above minus this counts as nonnegative


@dataclass(frozen=True, eq=False)
class Largest:
    """value: at least the largest u^T M u over unit u >= 0, and that of `vector` (T,) where one is known."""

    value: float
    vector: torch.Tensor | None


def largest_on_orthant(M: torch.Tensor) -> Largest:
    """For a symmetric M (T, T). Time 2^T T^3 up to T = 12, T^3 beyond."""
    T = len(M)
    if T > ROWS:
        above = torch.where(torch.eye(T, dtype=torch.bool, device=M.device), M, M.clamp_min(0))
        return Largest(min(float(torch.linalg.eigvalsh(part)[-1]) for part in (M, above)), None)
    return max((_on_supports(M, size) for size in range(1, T + 1)), key=lambda found: found.value)


def _on_supports(M: torch.Tensor, size: int) -> Largest:
    """The largest eigenvalue with an eigenvector of one sign, over all principal parts of that size."""
    S = torch.tensor(list(combinations(range(len(M)), size)), device=M.device)
    values, vectors = torch.linalg.eigh(M[S[:, :, None], S[:, None, :]])
    fits = (vectors >= -SIGN).all(1) | (vectors <= SIGN).all(1)
    values = values.masked_fill(~fits, -torch.inf)
    part, which = divmod(int(values.argmax()), size)
    vector = M.new_zeros(len(M))
    vector[S[part]] = vectors[part, :, which].abs()
    return Largest(float(values[part, which]), vector)
