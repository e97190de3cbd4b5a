"""f at many collapsed points of r dimensions at once: values, gradients and dense Hessians, a point a row.

The coordinates are those of `ufm.models.free`: W (K, r), H~ (K, r) with rows sqrt(n_k) h_k, and b (K), flattened.
With A_k = (n_k/N) S_k the weighted curvature of class k, U = H~/sqrt(n) and T_k = A_k W/sqrt(n_k), the Hessian is

    W  W     sum_k A_k x u_k u_k^T + lW I            W  H~_k  (T_k, u_k) + G~_k I
    H~_k H~_k  W^T T_k/sqrt(n_k) + lH I              b  .     sum_k A_k u_k^T,  T_k,  sum_k A_k + lb I
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch

from ..models.free import Landscape
from ..point import Point
from ..problem import Problem
from ..solvers.sharpen import row_space


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

    def point(self, x: torch.Tensor) -> Point:
        """One row as a Point with d = rank."""
        return Point(*self.landscape.unpack(x))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """(B, K, K): row k holds the logits of class k's samples. Up to rotation, they determine a critical point."""
        W, scaled, b = self.landscape.split(x)
        return scaled @ W.mT / self.landscape.roots + b[..., None, :]

    def pull(self, x: torch.Tensor, R: torch.Tensor) -> torch.Tensor:
        """(B, size): the derivative of the logits, transposed, applied to R (B, K, K)."""
        f = self.landscape
        W, scaled, _ = f.split(x)
        R = R / f.roots
        return f.join(R.mT @ scaled, R @ W, (R * f.roots).sum(-2))

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """(B,) f at every row of x."""
        f, logits = self.landscape, self.logits(x)
        losses = f.loss.values(logits.flatten(0, 1), f.labels.repeat(len(x))).view(len(x), -1)
        return losses @ f.counts / f.num_samples + (self.decay * x.square()).sum(1) / 2

    def expand(self, x: torch.Tensor) -> Expansion:
        """f to second order at every row of x."""
        f, (B, K) = self.landscape, (len(x), self.problem.num_classes)
        W, scaled, _ = f.split(x)
        values, slopes, curvature = f.loss.expand(self.logits(x).flatten(0, 1), f.labels.repeat(B))
        units = torch.eye(K, dtype=x.dtype, device=x.device)[:, None, :].expand(K, B * K, K)
        A = curvature(units).view(K, B, K, K).permute(1, 2, 3, 0) * (f.counts[:, None, None] / f.num_samples)
        G = slopes.view(B, K, K) * (f.roots / f.num_samples)
        value = values.view(B, K) @ f.counts / f.num_samples + (self.decay * x.square()).sum(1) / 2
        gradient = f.join(G.mT @ scaled, G @ W, (f.roots * G).sum(-2)) + self.decay * x
        return Expansion(value, gradient, self._hessian(W, scaled / f.roots, A, G))

    def _hessian(self, W: torch.Tensor, U: torch.Tensor, A: torch.Tensor, G: torch.Tensor) -> torch.Tensor:
        (B, K, r), roots = W.shape, self.landscape.roots
        T = A @ W[:, None] / roots[:, :, None]
        unit = torch.eye(r, dtype=W.dtype, device=W.device)
        WW = A.flatten(2).mT @ (U[..., None] * U[..., None, :]).flatten(2)
        WW = WW.view(B, K, K, r, r).transpose(2, 3).reshape(B, K * r, K * r)
        WH = torch.einsum("zka,zkic->ziakc", U, T) + torch.einsum("zki,ac->ziakc", G, unit)
        WH = WH.reshape(B, K * r, K * r)
        HH = W.new_zeros(B, K, r, K, r)
        classes = torch.arange(K, device=W.device)
        HH[:, classes, :, classes, :] = (W[:, None].mT @ T / roots[:, :, None]).movedim(1, 0)
        HH = HH.view(B, K * r, K * r)
        rows = [[WW, WH], [WH.mT, HH]]
        if self.problem.bias:
            Wb = torch.einsum("zka,zkij->ziaj", U, A).reshape(B, K * r, K)
            Hb = T.transpose(2, 3).reshape(B, K * r, K)
            rows = [[WW, WH, Wb], [WH.mT, HH, Hb], [Wb.mT, Hb.mT, A.sum(1)]]
        H = torch.cat([torch.cat(row, 2) for row in rows], 1)
        H.diagonal(dim1=1, dim2=2).add_(self.decay)
        return H

    @cached_property
    def decay(self) -> torch.Tensor:
        """(size,) the weight decay of each variable."""
        f = self.landscape
        widths = (f.num_classes * self.rank, f.num_classes * self.rank, f.num_classes * f.bias)
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
