"""Products that leave out what is known: X^T X below its diagonal, and the zeros of a triangular factor."""

import torch

STEP = 256  # columns of a block: wide enough for products to be fast, and of the blocks on the diagonal half is lost
NARROW = 192  # columns of a block of a triangular factor: a multiple of what processors' kernels take at a time


def gram(X: torch.Tensor) -> torch.Tensor:
    """X^T X (d, d) of X (m, d), exactly symmetric."""
    return symmetric(add_gram(X.new_zeros(X.shape[1], X.shape[1]), X))


def add_gram(total: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """Add X^T X to the entries of total (d, d) on and above the diagonal, in place; those below mean nothing then."""
    for start in range(0, X.shape[1], STEP):
        columns = slice(start, start + STEP)
        total[columns, start:].addmm_(X[:, columns].T, X[:, start:])
    return total


def symmetric(upper: torch.Tensor) -> torch.Tensor:
    """The symmetric matrix with the entries of `upper` (d, d) on and above the diagonal."""
    return upper.triu() + upper.triu(1).T


def times_lower(X: torch.Tensor, L: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """X L, into out (m, r), of X (m, d) and L (d, r) that is 0 above its diagonal."""
    for start in range(0, L.shape[1], NARROW):
        columns = slice(start, start + NARROW)
        torch.mm(X[:, start:], L[start:, columns], out=out[:, columns])
    return out
