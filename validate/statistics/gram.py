"""X^T X, of which the part above the diagonal is computed alone: half the work of a product."""

import torch

STEP = 256  # columns of a block: wide enough for products to be fast, and of the blocks on the diagonal half is lost


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
