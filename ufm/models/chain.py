"""f of the factors of a deep linear model as a function of one flat vector, to second order.

    f = (1/N) sum_j m_j loss(W_(L-1) ... W_1 h_j, y_j) + decay/2 (sum_l |W_l|^2 + sum_j m_j |h_j|^2)

As in `ufm.landscape`, row j of H stands for m_j samples and the flat vector holds W_1, ..., W_(L-1) and H~, whose rows
are sqrt(m_j) h_j. Forwards Y_0 = H~, Y_l = Y_(l-1) W_l^T, logits Y_(L-1)/sqrt(m); backwards with the slopes

    B_(L-1) = G~ = sqrt(m) slopes / N,    B_(l-1) = B_l W_l;     gradient   W_l: B_l^T Y_(l-1) + decay W_l,
                                                                            H~:  B_0 + decay H~.
A product with the Hessian differentiates these lines.
"""

import math
from dataclasses import dataclass, replace

import torch

from ..landscape import Landscape
from .factors import Factors


@dataclass(frozen=True, eq=False)
class Chain:
    """The objective on flat vectors of length (L - 2) d^2 + K d + R d; `inner` says the rows, d, loss and decay."""

    inner: Landscape
    depth: int

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Of W_1, ..., W_(L-1) and H~."""
        K, R, d = self.inner.num_classes, len(self.inner.labels), self.inner.dim
        return [*[(d, d)] * (self.depth - 2), (K, d), (R, d)]

    @property
    def size(self) -> int:
        return sum(rows * columns for rows, columns in self.shapes)

    def of_width(self, dim: int) -> "Chain":
        return replace(self, inner=replace(self.inner, dim=dim))

    def split(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Views (W_1, ..., W_(L-1)), H~ (..., R, d) of flat vectors (..., size)."""
        parts = x.split([rows * columns for rows, columns in self.shapes], -1)
        *layers, scaled = [part.unflatten(-1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
        return layers, scaled

    def join(self, layers: list[torch.Tensor], scaled: torch.Tensor) -> torch.Tensor:
        """The flat vectors (..., size): the inverse of `split`."""
        return torch.cat([part.flatten(-2) for part in (*layers, scaled)], -1)

    def pack(self, point: Factors) -> torch.Tensor:
        return self.join(list(point.layers), self.inner.roots * point.H)

    def unpack(self, x: torch.Tensor) -> Factors:
        layers, scaled = self.split(x)
        return Factors(tuple(W.clone() for W in layers), scaled / self.inner.roots)

    def forwards(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Y_0, ..., Y_(L-1)."""
        layers, scaled = self.split(x)
        found = [scaled]
        for W in layers:
            found.append(found[-1] @ W.mT)
        return found

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """0-d f(x), differentiable by autograd."""
        f = self.inner
        losses = f.loss.values(self.forwards(x)[-1] / f.roots, f.labels)
        return f.counts @ losses / f.num_samples + f.lambda_h / 2 * x.square().sum()

    def jet(self, x: torch.Tensor) -> "ChainJet":
        return ChainJet(self, x.detach())


class ChainJet:
    """f at one x: `value` (0-d), `gradient` (flat), `hvp(v)`, G = G~ (R, K); `before` and `behind` are the Y_l, B_l."""

    def __init__(self, chain: Chain, x: torch.Tensor):
        f = chain.inner
        self.chain, (self.layers, self.scaled) = chain, chain.split(x)
        self.before = chain.forwards(x)
        losses, slopes, self.curvature = f.loss.expand(self.before[-1] / f.roots, f.labels)
        self.value = f.counts @ losses / f.num_samples + f.lambda_h / 2 * (x @ x)
        self.G = f.roots * slopes / f.num_samples
        self.behind = [self.G]
        for W in reversed(self.layers):
            self.behind.insert(0, self.behind[0] @ W)
        moved = [B.mT @ Y for Y, B in zip(self.before, self.behind[1:], strict=False)]
        self.gradient = chain.join(moved, self.behind[0]) + f.lambda_h * x

    @property
    def excess(self) -> float:
        """f - infimum of the loss, more than 0."""
        return max(float(self.value) - self.chain.inner.floor, self.chain.inner.least, 1e-300)

    @property
    def relative_gradient(self) -> float:
        """|gradient| / sqrt(4 decay (f - floor)): for L = 2 that of `ufm.Problem`."""
        return float(self.gradient.norm()) / math.sqrt(4 * self.chain.inner.lambda_h * self.excess)

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        """The Hessian of f at x times the flat vectors v (..., size)."""
        f = self.chain.inner
        changes, dY = self.chain.split(v)
        forwards = [dY]
        for W, dW, Y in zip(self.layers, changes, self.before, strict=False):
            forwards.append(forwards[-1] @ W.mT + Y @ dW.mT)
        dB = self.curvature(forwards[-1] / f.roots) * (f.roots / f.num_samples)
        moved: list[torch.Tensor] = []
        steps = zip(self.layers, changes, self.before, forwards, self.behind[1:], strict=False)
        for W, dW, Y, dY, B in reversed(list(steps)):
            moved.insert(0, dB.mT @ Y + B.mT @ dY)
            dB = dB @ W + B @ dW
        return self.chain.join(moved, dB) + f.lambda_h * v

    def hessian(self) -> torch.Tensor:
        """The dense symmetric Hessian, (size, size)."""
        identity = torch.eye(self.chain.size, dtype=self.scaled.dtype, device=self.scaled.device)
        if not len(identity):
            return identity
        columns = torch.cat([self.hvp(block) for block in identity.split(64)])
        return (columns + columns.mT) / 2
