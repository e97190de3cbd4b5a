"""A point of a deep linear model: its factors."""

from dataclasses import dataclass, replace

import torch

from ..errors import require
from ..point import Point
from ..results import Result

ROUNDING = 1e-13  # of the largest singular value: what is left of one that is 0, of which a root would be large


@dataclass(frozen=True, eq=False)
class Factors(Result):
    """The L factors of the logits Z = H W_1^T ... W_(L-1)^T.

    layers  W_1, ..., W_(L-1) in the order in which they meet a feature: (d, d) each, the last one (K, d)
    H       (N, d) features, one row a sample, sorted by type; or (T, d), one row a type (collapsed)

    One floating dtype and one device. Raises InputError where shapes do not fit or entries are not finite.
    """

    layers: tuple[torch.Tensor, ...]
    H: torch.Tensor

    def __post_init__(self) -> None:
        require(len(self.layers) > 0 and self.H.ndim == 2, "a point needs one layer or more, and H of shape (N, d)")
        d = self.H.shape[1]
        for number, W in enumerate(self.layers, 1):
            last = number == len(self.layers)
            fits = W.ndim == 2 and W.shape[1] == d and (last or W.shape[0] == d)
            shape = f"(K, {d})" if last else f"({d}, {d})"
            require(fits, f"layer {number} must have shape {shape} to fit H, got {tuple(W.shape)}")
        alike = all(W.dtype == self.H.dtype and W.device == self.H.device for W in self.layers)
        require(alike, "the factors must share one dtype and one device")
        finite = all(bool(part.isfinite().all()) for part in (*self.layers, self.H))
        require(finite, "the factors have entries that are not finite; a point needs numbers")

    @property
    def depth(self) -> int:
        """L, the features included."""
        return len(self.layers) + 1

    @property
    def dim(self) -> int:
        return self.H.shape[1]

    @property
    def num_classes(self) -> int:
        return self.layers[-1].shape[0]

    @property
    def classifier(self) -> torch.Tensor:
        """(K, d) W_(L-1) ... W_1, which takes features to logits."""
        product = self.layers[-1]
        for W in reversed(self.layers[:-1]):
            product = product @ W
        return product

    @property
    def point(self) -> Point:
        """The same features under the product of the layers, with b = 0: what metrics take."""
        W = self.classifier
        return Point(W, self.H, W.new_zeros(len(W)))

    def padded(self, dim: int) -> "Factors":
        """The same logits in a wider model: zeros in the new rows and columns."""
        more = dim - self.dim
        require(more >= 0, f"factors of width {self.dim} do not fit d = {dim}")

        def wider(part: torch.Tensor, down: int) -> torch.Tensor:
            return torch.nn.functional.pad(part, (0, more, 0, down))

        inner = [wider(W, more) for W in self.layers[:-1]]
        return replace(self, layers=(*inner, wider(self.layers[-1], 0)), H=wider(self.H, 0))


def balanced_factors(Z: torch.Tensor, roots: torch.Tensor, dim: int, depth: int) -> Factors:
    """The factors of least decay with logits Z (T, K), a row a type: W_(l+1)^T W_(l+1) = W_l W_l^T.

    roots  (T, 1) the sqrt n_t: with sqrt(n) Z = U diag(x) V^T and s = x^(1/L), the rows sqrt(n_t) h_t are those of
           U diag(s), W_1, ... are diag(s), and the last layer is V diag(s)

    Only the d largest singular values are kept. Any factors of Z have decays of at least (L/2) sum x^(2/L), these have
    just that (docs/theory, section 12.4).
    """
    U, x, Vt = torch.linalg.svd(roots * Z, full_matrices=False)
    kept = min(dim, len(x))
    x = torch.where(x > ROUNDING * x[0], x, 0.0)
    s = x[:kept] ** (1 / depth)
    last, first = Vt[:kept].T * s, U[:, :kept] * s / roots
    return Factors((*[s.diag()] * (depth - 2), last), first).padded(dim)
