"""Which of many affine functions is largest: decided in float32 where its rounding cannot matter, else in float64.

An inner product of n terms in floating point of unit roundoff u, summed in any order, is off by at most
g |x| |y| with g = n u/(1 - n u). Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1.
"""

from collections.abc import Iterator

import torch

from .blocks import LEAST, blocks
from .buffers import scratch

LONGER = 1.001  # times a norm that float32 computed: no less than the norm
RANGE = 2.0**40  # norms of at most this and at least its inverse neither overflow nor underflow in float32


class Largest:
    """Largest(Y, c)(X) is the (m,) int64 argmax over j of <x, y_j> + c_j for rows x of X (m, d), as float64 decides.

    Y       (K, d) and c (K,), float64, on the device of X
    centre  (d,) float64 about which the rows x lie, None for 0: the nearer they are, the more float32 decides
    faithful  whether float32 products are what they claim to be; None: one of LEAST rows is looked at

    Y and c are centred in float64 before they are rounded, which changes no decision. A row is taken from float32 where
    the largest exceeds the second by twice the bound on all that rounding did to them; the others, and all rows where
    float32 products are not what they claim to be (autocast, TF32), are computed in float64.
    """

    def __init__(
        self, Y: torch.Tensor, c: torch.Tensor, centre: torch.Tensor | None = None, *, faithful: bool | None = None
    ):
        self.Y, self.c = Y.detach(), c.detach()
        self.centre = self.Y.new_zeros(Y.shape[1]) if centre is None else centre
        self.faithful = faithful
        self.screens = self._prepare()

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        if not self.screens:
            return self._in_double(X)
        scores, wrong = self._in_single(X)
        first, largest = scores.max(1)
        second = scores.scatter_(1, largest[:, None], -torch.inf).amax(1)
        rest = (~(first.double() - second.double() > 2 * wrong)).nonzero().flatten()
        if len(rest):
            least = first[rest].double() - 2 * wrong[rest]
            close = ~(scores[rest] < least[:, None])
            largest[rest] = self._among(X[rest], close.scatter_(1, largest[rest, None], True))
        return largest

    def is_at(self, X: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(m,) bool: whether the largest is at these places (m,); faster than to find it."""
        if not self.screens:
            return self._in_double(X) == places
        scores, wrong = self._in_single(X)
        own = scores.gather(1, places[:, None])
        others = scores.scatter_(1, places[:, None], -torch.inf).amax(1)
        ahead = own.squeeze(1).double() - others.double()
        found = ahead > 0
        rest = (~(ahead.abs() > 2 * wrong)).nonzero().flatten()
        if len(rest):
            scores = scores.scatter_(1, places[:, None], own)[rest]
            least = scores.amax(1).double() - 2 * wrong[rest]
            found[rest] = self._among(X[rest], ~(scores < least[:, None])) == places[rest]
        return found

    def _prepare(self) -> bool:
        """Round the centred functions to float32, and bound what that does; whether it can be used."""
        middle = self.Y.mean(0)
        Y, c = self.Y - middle, torch.addmv(self.c, self.Y, self.centre)
        c -= c.mean()
        longest, offset = float(Y.norm(dim=1).max()), float(c.abs().max())
        self.Y32, self.c32 = Y.float(), c.float()
        share, share64 = (_share(Y.shape[1], dtype) for dtype in (torch.float32, torch.float64))
        self.slope = share * longest  # the bound is slope |x - centre| + least
        self.least = _share(0, torch.float32) * offset
        uncentred = longest + float(middle.norm())
        self.slope += 2 * share64 * uncentred  # of c, and of float64's own
        self.least += 2 * share64 * (float(self.centre.norm()) * uncentred + float(self.c.abs().max()))
        if not (1 / RANGE <= longest <= RANGE and offset <= RANGE**2 and share < 0.01):
            return False
        if self.faithful is None:
            self.faithful = _is_faithful(self.Y32)
        return self.faithful

    def _in_double(self, X: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.c, X, self.Y.T).argmax(1)

    def _among(self, X: torch.Tensor, close: torch.Tensor) -> torch.Tensor:
        """The argmax, in float64, over those j where close (m, K)."""
        rows, columns = close.nonzero(as_tuple=True)
        if len(rows) > max(LEAST, len(X)):
            return self._in_double(X)
        scores = X.new_full(close.shape, -torch.inf)
        scores[rows, columns] = (X[rows] * self.Y[columns]).sum(1) + self.c[columns]
        return scores.argmax(1)

    def _in_single(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(<x, y_j> + c_j in float32 (m, K), but for a number a row; a bound on their errors (m,), float64)."""
        centred = torch.sub(X, self.centre, out=scratch().get("centred", len(X), X.shape[1], self.Y32))
        size = centred.norm(dim=1).double().mul_(LONGER)
        wrong = (size * self.slope).add_(self.least)
        wrong.masked_fill_(~((size >= 1 / RANGE) & (size <= RANGE)), torch.inf)
        scores = scratch().get("scores", len(X), len(self.Y32), self.Y32)
        return torch.addmm(self.c32, centred, self.Y32.T, out=scores), wrong


class LargestOfMany:
    """`Largest` of so many functions that neither a copy of them nor their values at all rows of X are to be kept."""

    def __init__(self, Y: torch.Tensor, c: torch.Tensor, centre: torch.Tensor | None = None):
        self.Y, self.c, self.centre = Y, c, centre

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        largest, values = torch.zeros_like(X[:, 0], dtype=torch.int64), X.new_full((len(X),), -torch.inf)
        for start, piece in self._pieces():
            found = piece(X) + start
            of_found = self._values(X, found)
            largest = torch.where(of_found > values, found, largest)
            values = torch.maximum(values, of_found)
        return largest

    def is_at(self, X: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """As `Largest.is_at`. A row is looked at no more once another function is larger there."""
        result, left = torch.zeros_like(places, dtype=torch.bool), torch.arange(len(X), device=X.device)
        values = self._values(X, places)
        for start, piece in self._pieces():
            found = piece(X) + start
            of_found = self._values(X, found)
            stays = (of_found < values) | ((of_found == values) & (found >= places))
            if not bool(stays.all()):
                left, X, places, values = (part[stays] for part in (left, X, places, values))
            if not len(left):
                break
        return result.index_fill_(0, left, True)

    def _pieces(self) -> Iterator[tuple[int, Largest]]:
        """(number of its first function, piece)"""
        faithful = None
        for part in blocks(len(self.Y), self.Y.shape[1] // 4):
            piece = Largest(self.Y[part], self.c[part], self.centre, faithful=faithful)
            faithful = piece.faithful
            yield part.start, piece

    def _values(self, X: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(m,) <x, y_j> + c_j for one place j a row."""
        return torch.linalg.vecdot(X, self.Y[places]) + self.c[places]


def _share(dim: int, dtype: torch.dtype) -> float:
    """The bound on the error of <x, y> over |x||y|: d terms, x and y rounded, something added, and one spare."""
    unit = (dim + 4) * torch.finfo(dtype).eps / 2
    return 1.01 * unit / (1 - unit) if unit < 1 else torch.inf


def _is_faithful(Y: torch.Tensor) -> bool:
    """Whether products with Y^T are float32's: one entry of 1 + eps in each row is lost in any shorter format."""
    column, entry = int(Y.abs().amax(0).argmax()), 1 + torch.finfo(torch.float32).eps
    X = Y.new_zeros(LEAST, Y.shape[1])
    X[:, column] = entry
    found = X @ Y.T
    return found.dtype == torch.float32 and bool((found == entry * Y[:, column]).all())
