"""Every pair of classes without K x K: of all classes, or of some that are drawn."""

from collections.abc import Iterator

import torch

from .blocks import blocks


def drawn(K: int, rows: int, device: torch.device) -> torch.Tensor:
    """All K class numbers, or `rows` of them drawn without replacement, ascending.

    A mean over pairs is that over the pairs among them (`estimate.PairSums`), with a standard error. Against rows
    of K it has twice the error in rows/K of the time.
    """
    if rows >= K:
        return torch.arange(K, device=device)
    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.randperm(K, generator=generator, device="cpu")[:rows].sort().values.to(device)


def rows_of_pairs(K: int, rows: int, device: torch.device) -> list[torch.Tensor]:
    """All K class numbers, or `rows` of them drawn without replacement, in blocks whose rows of K stay small.

    A mean over pairs is the mean over the drawn rows (`estimate.mean_of_rows`), with a standard error.
    """
    some = drawn(K, rows, device)
    return [some[part] for part in blocks(len(some), K)]


def squared_distances(X: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """(which rows, their squared distances to all rows of X (K, d)), a block at a time; 0 at rounding level."""
    squares = X.square().sum(1)
    for part in blocks(len(X), len(X)):
        distances = (X[part] @ X.T).mul_(-2).add_(squares).add_(squares[part, None])
        floor = torch.finfo(X.dtype).eps * (squares + squares[part, None])
        distances[distances <= floor] = 0
        yield part, distances
