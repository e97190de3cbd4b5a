"""Every pair of classes without K x K: of all classes, or of some that are drawn."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch

from .blocks import blocks
from .gram import gram

KEPT = 2**22  # products that are kept for the next metric that asks: 32 MB in float64


def drawn(K: int, rows: int, device: torch.device) -> torch.Tensor:
    """All K class numbers, or `rows` of them drawn without replacement, ascending.

    A mean over pairs is that over the pairs among them (`estimate.PairSums`), with a standard error. Against rows of K
    it has twice the error in rows/K of the time.
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


class Pairs:
    """The inner products of the rows x_j and y_k of X and Y (K, d), float64; Y None: of X with itself.

    rows   up to so many classes there are all pairs; of more, those among so many that are drawn
    sides  the pairs of X, and of Y, with itself, whose Gram matrices are known once one has asked for them
    known_gram  gives X^T X where that is made already, else None
    some   (R,) the classes that are there; `exact` whether they are all
    """

    def __init__(
        self,
        X: torch.Tensor,
        rows: int,
        Y: torch.Tensor | None = None,
        known_gram: Callable[[], torch.Tensor | None] = lambda: None,
    ):
        self.X, self.Y = X, X if Y is None else Y
        self.some = drawn(len(X), rows, X.device)
        self.exact = len(self.some) == len(X)
        self.sides: tuple[Pairs, Pairs] = (self, self) if Y is None else (Pairs(X, rows), Pairs(Y, rows))
        self._gram = known_gram
        self._kept: torch.Tensor | None = None

    def against(self, other: "Pairs") -> "Pairs":
        """The products of these rows with the other's."""
        pairs = Pairs(self.X, len(self.some), other.X)
        pairs.sides = self, other
        return pairs

    @property
    def num_classes(self) -> int:
        """K"""
        return len(self.X)

    @cached_property
    def norms(self) -> torch.Tensor:
        """(K,) |x_k|"""
        return self.X.norm(dim=1)

    @cached_property
    def gram(self) -> torch.Tensor:
        """(d, d) X^T X"""
        known = self._gram()
        return gram(self.X) if known is None else known

    def __iter__(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """(which of the classes that are there, their products with all that are there), to be overwritten at will."""
        R = len(self.some)
        X, Y = (self.X, self.Y) if self.exact else (self.X[self.some], self.Y[self.some])
        if self._kept is None and R * R <= KEPT:
            self._kept = X @ Y.T
        for part in blocks(R, R):
            yield part, X[part] @ Y.T if self._kept is None else self._kept[part].clone()

    def squared_distances(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """The same of |x_j - y_k|^2, 0 at rounding level."""
        left, right = (squares(Z)[self.some] for Z in (self.X, self.Y))
        for part, products in self:
            distances = products.mul_(-2).add_(right).add_(left[part, None])
            floor = torch.finfo(distances.dtype).eps * (right + left[part, None])
            distances[distances <= floor] = 0
            yield part, distances


def squares(X: torch.Tensor) -> torch.Tensor:
    """(K,) |x_k|^2"""
    return X.norm(dim=1).square_()
