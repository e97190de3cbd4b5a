"""f at many collapsed points of r dimensions at once: values, gradients and dense Hessians, a point a row.

The coordinates are those of `ufm.landscape`: W (K, r), H~ (T, r) with rows sqrt(n_t) h_t, and b (K), flattened.
With A_t = (n_t/N) S_t the weighted curvature of type t, U = H~/sqrt(n) and B_t = A_t W/sqrt(n_t), the Hessian is

    W  W     sum_t A_t x u_t u_t^T + lW I            W  H~_t  (B_t, u_t) + G~_t I
    H~_t H~_t  W^T B_t/sqrt(n_t) + lH I              b  .     sum_t A_t u_t^T,  B_t,  sum_t A_t + lb I
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from ..landscape import Landscape
from ..point import Point
from ..problem import Problem
from ..solvers.sharpen import row_space
from .symmetry import equal_classes


class Expansion(NamedTuple):
    """value (B,), gradient (B, size), hessian (B, size, size)."""

    value: torch.Tensor
    gradient: torch.Tensor
    hessian: torch.Tensor


@dataclass(frozen=True)
class Family:
    """The collapsed points of a problem whose features have `rank` dimensions, as rows of (B, size) float64."""

    problem: Problem
    rank: int

    @cached_property
    def landscape(self) -> Landscape:
        return replace(self.problem.landscape(collapsed=True), dim=self.rank)

    @property
    def size(self) -> int:
        return self.landscape.size

    @property
    def cut(self) -> int:
        """How many of the coordinates are those of W: they come first."""
        return self.problem.num_classes * self.rank

    @property
    def family(self) -> "Family":
        """Itself: it is the largest of its own subspaces (`ufm.atlas.subspaces`)."""
        return self

    def lift(self, y: torch.Tensor) -> torch.Tensor:
        """The points whose coordinates y are: y itself."""
        return y

    def restrict(self, x: torch.Tensor) -> torch.Tensor:
        """The coordinates of x, or of a gradient: x itself."""
        return x

    def point(self, x: torch.Tensor) -> Point:
        """One row as a Point with d = rank."""
        return Point(*self.landscape.unpack(x))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, K): row t holds the logits of type t's samples. Up to rotation, they determine a critical point."""
        W, scaled, b = self.landscape.split(x)
        return scaled @ W.mT / self.landscape.roots + b[..., None, :]

    def pull(self, x: torch.Tensor, R: torch.Tensor) -> torch.Tensor:
        """(B, size): the derivative of the logits, transposed, applied to R (B, T, K)."""
        f = self.landscape
        W, scaled, _ = f.split(x)
        R = R / f.roots
        return f.join(R.mT @ scaled, R @ W, (R * f.roots).sum(-2))

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """(B,) f at every row of x."""
        f, logits = self.landscape, self.logits(x)
        losses = f.loss.values(logits.flatten(0, 1), f.labels.repeat(len(x))).view(len(x), -1)
        return losses @ f.counts / f.num_samples + (self.decay * x.square()).sum(1) / 2

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """(B, size) the gradient of f at every row of x."""
        f = self.landscape
        _, slopes, _ = f.loss.expand(self.logits(x).flatten(0, 1), f.labels.repeat(len(x)))
        weighted = slopes.view(len(x), len(f.labels), -1) * (f.counts[:, None] / f.num_samples)
        return self.pull(x, weighted) + self.decay * x

    def expand(self, x: torch.Tensor) -> Expansion:
        """f to second order at every row of x."""
        f, B, K, T = self.landscape, len(x), self.problem.num_classes, self.problem.num_types
        W, scaled, _ = f.split(x)
        values, slopes, curvature = f.loss.expand(self.logits(x).flatten(0, 1), f.labels.repeat(B))
        units = torch.eye(K, dtype=x.dtype, device=x.device)[:, None, :].expand(K, B * T, K)
        A = curvature(units).view(K, B, T, K).permute(1, 2, 3, 0) * (f.counts[:, None, None] / f.num_samples)
        G = slopes.view(B, T, K) * (f.roots / f.num_samples)
        value = values.view(B, T) @ f.counts / f.num_samples + (self.decay * x.square()).sum(1) / 2
        gradient = f.join(G.mT @ scaled, G @ W, (f.roots * G).sum(-2)) + self.decay * x
        return Expansion(value, gradient, self._hessian(W, scaled / f.roots, A, G))

    def _hessian(self, W: torch.Tensor, U: torch.Tensor, A: torch.Tensor, G: torch.Tensor) -> torch.Tensor:
        (B, K, r), T, roots = W.shape, U.shape[1], self.landscape.roots
        pulled = A @ W[:, None] / roots[:, :, None]
        H = W.new_zeros(B, self.size, self.size)
        cut, end = K * r, (K + T) * r
        WW, WH, HH = H[:, :cut, :cut], H[:, :cut, cut:end], H[:, cut:end, cut:end]
        squares = A.flatten(2).mT @ (U[..., None] * U[..., None, :]).flatten(2)
        WW.view(B, K, r, K, r).copy_(squares.view(B, K, K, r, r).transpose(2, 3))
        cross = WH.view(B, K, r, T, r)
        torch.mul(U.mT[:, None, :, :, None], pulled.transpose(1, 2)[:, :, None], out=cross)
        cross.diagonal(dim1=2, dim2=4).add_(G.mT[..., None])
        HH.view(B, T, r, T, r).diagonal(dim1=1, dim2=3).copy_(
            (W[:, None].mT @ pulled / roots[:, :, None]).movedim(1, 3)
        )
        if self.problem.bias:
            H[:, :cut, end:].view(B, K, r, K).copy_((U.mT @ A.flatten(2)).view(B, r, K, K).transpose(1, 2))
            H[:, cut:end, end:].view(B, T, r, K).copy_(pulled.transpose(2, 3))
            H[:, end:, end:] = A.sum(1)
            H[:, end:, :end] = H[:, :end, end:].mT
        H[:, cut:end, :cut] = WH.mT
        H.diagonal(dim1=1, dim2=2).add_(self.decay)
        return H

    def partition(self, x: torch.Tensor) -> tuple[tuple[int, ...], ...]:
        """The classes in blocks of equal ones at one row x: same rows of W, of b and, where types are classes, of H."""
        W, scaled, b = self.landscape.split(x)
        features = [scaled / self.landscape.roots] if len(scaled) == len(W) else []
        rows = torch.cat([W, *features, b.expand(len(W))[:, None]], 1).numpy()
        return equal_classes(rows, 1 + float(np.abs(rows).max()))

    @cached_property
    def decay(self) -> torch.Tensor:
        """(size,) the weight decay of each variable."""
        f = self.landscape
        widths = (f.num_classes * self.rank, len(f.labels) * self.rank, f.num_classes * f.bias)
        decays = f.counts.new_tensor([f.lambda_w, f.lambda_h, f.lambda_b])
        return torch.repeat_interleave(decays, torch.tensor(widths, device=decays.device))

    def in_row_space(self, x: torch.Tensor) -> tuple["Family", torch.Tensor]:
        """(the family of the rank of W, the one point x there): its coordinates in the row space of W."""
        if self.rank == 0:
            return self, x
        W, scaled, b = self.landscape.split(x)
        basis, rank = row_space(replace(self.problem, dim=self.rank), self.point(x))
        family = Family(self.problem, rank)
        return family, family.landscape.join(W @ basis, scaled @ basis, b)
