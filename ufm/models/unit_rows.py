"""f on a product of spheres: value, Riemannian gradient and Hessian of f(W, H~) where rows have given lengths.

A row x of length r moves on its sphere. With u = x/r and e the gradient of f in that row, P = I - u u^T,

    gradient  P e                Hessian  P (Hess f) P - (<u, e>/r) P

(Absil, Mahony and Sepulchre 2008, section 5.3): the second term is what the sphere's own curvature adds.
"""

from dataclasses import dataclass
from functools import cached_property

import torch

from ..landscape import Landscape


@dataclass(frozen=True, eq=False)
class UnitRows:
    """(1/N) sum_j m_j loss(scale W h_j) of flat vectors (W, H~): rows of W have length 1, rows of H~ sqrt(m_j).

    inner  the landscape of the loss alone: without decays and bias
    """

    inner: Landscape
    scale: float

    @cached_property
    def lengths(self) -> torch.Tensor:
        """(K + R, 1) of the rows of W and H~."""
        return torch.cat([self.inner.roots.new_ones(self.inner.num_classes, 1), self.inner.roots])

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """(..., K + R, d) the rows of flat vectors (..., size)."""
        return x.unflatten(-1, (len(self.lengths), self.inner.dim))

    def onto(self, x: torch.Tensor) -> torch.Tensor:
        """The flat vector with each row at its length."""
        return (torch.nn.functional.normalize(self.rows(x), dim=-1) * self.lengths).flatten(-2)

    def moved(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """The retraction: a step along the tangent, and back onto the spheres."""
        return self.onto(x + step)

    def stretched(self, x: torch.Tensor) -> torch.Tensor:
        """Flat vectors with W multiplied by the scale."""
        cut = self.inner.num_classes * self.inner.dim
        return torch.cat([self.scale * x[..., :cut], x[..., cut:]], -1)

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """0-d f at the point of the spheres nearest to x, differentiable by autograd."""
        return self.inner.value(self.stretched(self.onto(x)))

    def jet(self, x: torch.Tensor) -> "RoundJet":
        return RoundJet(self, self.onto(x.detach()))


class RoundJet:
    """f at one point of the spheres to second order, in the coordinates of the space around them.

    multipliers  (K + R, 1) -<u, e>/r of each row: e = -multiplier x at a critical point
    """

    def __init__(self, on: UnitRows, x: torch.Tensor):
        self.on, self.inner = on, on.inner.jet(on.stretched(x))
        self.value = self.inner.value
        self.directions = on.rows(x) / on.lengths
        around = on.rows(on.stretched(self.inner.gradient))
        self.multipliers = -(around * self.directions).sum(-1, keepdim=True) / on.lengths
        self.gradient = self.tangent(around).flatten(-2)

    def tangent(self, rows: torch.Tensor) -> torch.Tensor:
        """P of the rows (..., K + R, d)."""
        return rows - (rows * self.directions).sum(-1, keepdim=True) * self.directions

    @property
    def unit(self) -> float:
        """scale times the mean size of the slopes: the most that the gradient in W can be."""
        f = self.inner.landscape
        return max(self.on.scale * float(f.counts @ self.inner.terms.norm(dim=1)) / f.num_samples, 1e-300)

    @property
    def relative_gradient(self) -> float:
        return float(self.gradient.norm()) / self.unit

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        """The Riemannian Hessian times flat vectors (..., size); nothing along the rows themselves."""
        on = self.on
        moved = self.tangent(on.rows(v))
        bent = on.rows(on.stretched(self.inner.hvp(on.stretched(moved.flatten(-2)))))
        return (self.tangent(bent) + self.multipliers * moved).flatten(-2)

    @cached_property
    def frames(self) -> torch.Tensor:
        """(K + R, d, d - 1) an orthonormal basis of each row's tangent space."""
        return torch.linalg.qr(self.directions[:, :, None], mode="complete").Q[:, :, 1:]

    def hessian(self) -> torch.Tensor:
        """The Riemannian Hessian in orthonormal tangent coordinates, ((K + R)(d - 1)) squared."""
        basis = torch.block_diag(*self.frames)
        columns = torch.cat([self.hvp(block) for block in basis.T.split(256)]) @ basis
        return (columns + columns.T) / 2
