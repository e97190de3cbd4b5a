"""f of many problems at once: the products of `ufm.landscape` with one axis more in front, and fewer of them.

The problems of a stack share K, T, d, the loss and whether there is a bias; counts and decays are their own. A point is
one matrix, collapsed, h~_j = sqrt(m_j) h_j, so that a row of H knows its weight and b is a column like those of W:

    X = [W   b      ]  (K, d + 1)        f = (1/N) sum_j m_j loss(z_j, j) + <D X, X>/2,   z_j = X_W x_j / sqrt(m_j)
        [H~  sqrt(m)]  (T, d + 1)

with the decays D of each entry, 0 for the last column of H~, which is fixed. Without a bias there is no last column.
Where the loss says what logit a class has that is absent, a problem may have fewer classes than the stack: the others
have no samples, and their rows of X are 0 and stay so.
As S_j scales with its row, sqrt(m) drops out of the second derivative:

    G~ = sqrt(m) slopes/N                 gradient  D X + [0 G~^T; G~ 0] X
    A~ = S (X_H dX_W^T + dX_H X_W^T)/N    Hessian   D dX + [0 G~^T; G~ 0] dX + [0 A~^T; A~ 0] X

With x_j row j of X_H, entries (k, a) of X_W and (j, a) of X_H have in the Hessian itself, without decays,

    (k, a), (l, e)   sum_j S_j[k, l] x_j[a] x_j[e]/N         (j, a), (j, e)   (X_W^T S_j X_W)[a, e]/N
    (j, a), (l, e)   (X_W^T S_j)[a, l] x_j[e]/N, and G~[j, l] where a = e
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ..losses import Loss
from ..losses.loss import Expansion, shift_direction
from ..losses.own import has_conjugate
from ..point import Point
from ..problem import LEAST, Problem

# What a part of a stack need not compute again.
DERIVED = ("floor", "least", "ridge", "stretch", "decay", "roots", "divisors", "weights", "resting")
KNOWN = ("value", "gradient", "size")  # nor one of a jet


@dataclass(frozen=True, eq=False)
class Stack:
    """The objectives of B problems on matrices X (K + T, c) as flat vectors (B, (K + T) c), c = d and 1 with a bias.

    padded        whether some have fewer than K = num_classes classes; they count 0 samples of the others
    counts (B, T); num_samples N (B,); lambdas (B, 3) of W, H and b; sizes (B,) how many variables each has of its own
    """

    loss: Loss
    num_classes: int
    dim: int
    bias: bool
    padded: bool
    counts: torch.Tensor
    num_samples: torch.Tensor
    lambdas: torch.Tensor
    sizes: torch.Tensor

    @classmethod
    def of(cls, problems: Sequence[Problem], dim: int, device: torch.device | str = "cpu") -> "Stack":
        """The stack of problems that share the loss and whether there is a bias, all in `dim` dimensions.

        They share K and T as well, or the loss says what logit a class has that is absent.
        """
        one = max(problems, key=lambda problem: problem.num_classes)
        padded = any(problem.num_classes < one.num_classes for problem in problems)
        rows = [(*p.class_counts, *(0,) * (one.num_types - p.num_types)) for p in problems]
        counts = torch.tensor(rows, dtype=torch.float64, device=device)
        decays = [(p.lambda_w, p.lambda_h, p.lambda_b) for p in problems]
        lambdas = torch.tensor(decays, dtype=torch.float64, device=device)
        own = [(p.num_classes + p.num_types) * p.dim + p.num_classes * p.bias for p in problems]
        sizes = torch.tensor(own, device=device)
        return cls(one.loss, one.num_classes, dim, one.bias, padded, counts, counts.sum(1), lambdas, sizes)

    def take(self, places: torch.Tensor) -> "Stack":
        """The problems at these places."""
        own = ("counts", "num_samples", "lambdas", "sizes")
        part = replace(self, **{name: getattr(self, name)[places] for name in own})
        known = {name: vars(self)[name][places] for name in DERIVED if name in vars(self)}
        vars(part).update(known)
        return part

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def num_types(self) -> int:
        return self.counts.shape[1]

    @property
    def columns(self) -> int:
        """c"""
        return self.dim + self.bias

    @property
    def rows(self) -> int:
        """K + T"""
        return self.num_classes + self.num_types

    @cached_property
    def resting(self) -> torch.Tensor:
        """(B, T, K) the logits where X = 0: 0, and what the loss says in the place of a class that is absent."""
        logits = self.counts.new_zeros(*self.counts.shape, self.num_classes)
        if not self.padded:
            return logits
        there = self.counts > 0
        return logits.masked_fill_(there[:, :, None] & ~there[:, None, :], getattr(self.loss, "absent", 0.0))

    @cached_property
    def floor(self) -> torch.Tensor:
        """(B,) as in `ufm.landscape.Landscape`."""
        if not has_conjugate(self.loss):
            return torch.zeros_like(self.num_samples)
        lowest = self.loss.negative_conjugate(torch.zeros_like(self.resting).flatten(0, 1), self.types)
        return dot(self.counts, lowest.view_as(self.counts)) / self.num_samples

    @cached_property
    def least(self) -> torch.Tensor:
        """(B,) likewise."""
        values = self.loss.values(self.resting.flatten(0, 1), self.types).view_as(self.counts)
        return (LEAST * (dot(self.counts, values) / self.num_samples - self.floor)).clamp_min(1e-300)

    @cached_property
    def ridge(self) -> torch.Tensor:
        """(B,) sqrt(lW lH)."""
        return (self.lambdas[:, 0] * self.lambdas[:, 1]).sqrt()

    @cached_property
    def even(self) -> "Stack":
        """The problems in the coordinates of `Problem.even`."""
        return replace(self, lambdas=torch.stack([self.ridge, self.ridge, self.lambdas[:, 2]], 1))

    @cached_property
    def stretch(self) -> torch.Tensor:
        """(B, K + T, c) X of `even` over X: (lW/lH)^(1/4) for W, its inverse for H~, 1 for the last column."""
        s = (self.lambdas[:, 0] / self.lambdas[:, 1]) ** 0.25
        return self._spread(torch.stack([s, 1 / s, torch.ones_like(s)], 1)) + self._fixed

    @cached_property
    def decay(self) -> torch.Tensor:
        """(B, K + T, c) D."""
        return self._spread(self.lambdas)

    @cached_property
    def roots(self) -> torch.Tensor:
        """(B, T, 1) sqrt of the counts."""
        return self.counts.sqrt()[:, :, None]

    @cached_property
    def divisors(self) -> torch.Tensor:
        """(B, T, 1) the same, and 1 where there is no sample."""
        return self.roots.clamp_min(1)

    @cached_property
    def weights(self) -> torch.Tensor:
        """(B, T, 1) sqrt of the counts over N."""
        return self.roots / self.num_samples[:, None, None]

    @cached_property
    def types(self) -> torch.Tensor:
        """(B T,) the type of each row of logits, problem by problem."""
        return torch.arange(self.num_types, device=self.counts.device).repeat(len(self))

    @cached_property
    def free(self) -> torch.Tensor:
        """(K + T, c) 1, and 0 where X is fixed."""
        return 1 - self._fixed

    @property
    def _fixed(self) -> torch.Tensor:
        fixed = self.counts.new_zeros(self.rows, self.columns)
        fixed[self.num_classes :, self.dim :] = 1
        return fixed

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """(B, K + T, c) numbers (B, 3) in the places of W, H~ and b, and 0 in the fixed ones."""
        K, d = self.num_classes, self.dim
        spread = values.new_zeros(len(values), self.rows, self.columns)
        spread[:, :K, :d], spread[:, K:, :d], spread[:, :K, d:] = values.T[:, :, None, None]
        return spread

    def join(self, W: torch.Tensor, H: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The flat vectors (B, (K + T) c) of W (B, K, d), features H (B, T, d) and b (B, K)."""
        X = torch.cat([W, self.roots * H], 1)
        if self.bias:
            X = torch.cat([X, torch.cat([b[:, :, None], self.roots], 1)], 2)
        return X.flatten(1)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(W (B, K, d), H (B, T, d), b (B, K)) of flat vectors: the inverse of `join`."""
        X, K, d = self.matrix(x), self.num_classes, self.dim
        return X[:, :K, :d], X[:, K:, :d] / self.divisors, X[:, :K, d] if self.bias else x.new_zeros(len(x), K)

    def matrix(self, x: torch.Tensor) -> torch.Tensor:
        """(B, K + T, c) X of flat vectors, a view."""
        return x.view(-1, self.rows, self.columns)

    def packed(self, means: Sequence[Point]) -> torch.Tensor:
        """(B, (K + T) c) flat vectors of collapsed points, a row of H a type; columns beyond their own d are 0."""
        both = [
            torch.nn.functional.pad(torch.cat([one.W, one.H]), (0, self.dim - one.dim)).to(self.counts.device)
            for one in means
        ]
        W, H = torch.stack(both).split([self.num_classes, self.num_types], 1)
        return self.join(W, H, torch.stack([one.b for one in means]).to(self.counts.device))

    def without_shift(self, b: torch.Tensor) -> torch.Tensor:
        """`ufm.solvers.bias.without_shift` of biases b (B, K) where they have a decay."""
        shift = shift_direction(self.loss, self.num_classes)
        if shift is None:
            return b
        s = shift.to(b) * (self.counts > 0) if self.padded else shift.to(b).expand_as(b)
        along = dot(b, s) / dot(s, s)
        return torch.where(self.lambdas[:, 2:] > 0, b - along[:, None] * s, b)

    def lengths(self, x: torch.Tensor) -> torch.Tensor:
        """(B,) the Euclidean norm of the free entries of flat vectors: that of (W, H~, b)."""
        return norms(x * self.free.flatten())

    def evened(self, x: torch.Tensor) -> torch.Tensor:
        """Flat vectors of these problems as those of `even`."""
        return x * self.stretch.flatten(1)

    def unevened(self, x: torch.Tensor) -> torch.Tensor:
        """Flat vectors of `even` as those of these problems."""
        return x / self.stretch.flatten(1)

    def jet(self, x: torch.Tensor) -> "StackJet":
        """Values, gradients and Hessian products at x (B, (K + T) c)."""
        return StackJet(self, x)


class StackJet:
    """f of each problem at its x, to second order: `value` (B,), `gradient` (as x), `hvp`, `G` (B, T, K) = G~.

    known   what of `KNOWN` need not be computed
    """

    def __init__(self, stack: Stack, x: torch.Tensor, known: dict[str, torch.Tensor] | None = None):
        self.stack, self.x, self.X = stack, x, stack.matrix(x)
        self.W, self.H = self.X[:, : stack.num_classes], self.X[:, stack.num_classes :]
        self.N = stack.num_samples[:, None, None]
        vars(self).update(known or {})

    def take(self, places: torch.Tensor) -> "StackJet":
        """That of the problems at these places."""
        known = {name: vars(self)[name][places] for name in KNOWN if name in vars(self)}
        return StackJet(self.stack.take(places), self.x[places], known)

    def mixed(self, other: "StackJet", others: torch.Tensor) -> "StackJet":
        """With the points of another jet of these problems where the mask is true."""

        def both(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
            return torch.where(others.view(-1, *(1,) * (ours.ndim - 1)), theirs, ours)

        known = {name: both(getattr(self, name), getattr(other, name)) for name in KNOWN}
        return StackJet(self.stack, both(self.x, other.x), known)

    @property
    def logits(self) -> torch.Tensor:
        """(B, T, K)"""
        logits = torch.bmm(self.H, self.W.mT).div_(self.stack.divisors)
        return logits.add_(self.stack.resting) if self.stack.padded else logits

    @cached_property
    def _expansion(self) -> Expansion:
        return self.stack.loss.expand(self.logits.flatten(0, 1), self.stack.types)

    @property
    def slopes(self) -> torch.Tensor:
        """(B, T, K)"""
        return self._expansion[1].view(len(self.x), self.stack.num_types, self.stack.num_classes)

    @cached_property
    def G(self) -> torch.Tensor:
        return self.slopes * self.stack.weights

    @cached_property
    def value(self) -> torch.Tensor:
        f = self.stack
        losses = dot(f.counts, self._expansion[0].view_as(f.counts)) / f.num_samples
        return losses + dot(self.x, self._decayed.flatten(1)) / 2

    @cached_property
    def _decayed(self) -> torch.Tensor:
        return self.stack.decay * self.X

    @cached_property
    def gradient(self) -> torch.Tensor:
        coupled = torch.cat([torch.bmm(self.G.mT, self.H), torch.bmm(self.G, self.W)], 1)
        return self._free(coupled.add_(self._decayed))

    def _free(self, X: torch.Tensor) -> torch.Tensor:
        """(B, (K + T) c) the entries of X that are free, and 0 in the place of the others."""
        return (X.mul_(self.stack.free) if self.stack.bias else X).flatten(1)

    @cached_property
    def size(self) -> torch.Tensor:
        """(B,) |gradient|."""
        return norms(self.gradient)

    @cached_property
    def unit(self) -> torch.Tensor:
        """(B,) what gradients are measured in, as `ufm.landscape.Jet.unit`."""
        return (4 * self.stack.ridge * self.excess).sqrt()

    @property
    def excess(self) -> torch.Tensor:
        """(B,) f - floor, more than 0."""
        return torch.maximum(self.value - self.stack.floor, self.stack.least)

    @cached_property
    def relative_gradient(self) -> torch.Tensor:
        """(B,) as `ufm.landscape.Jet.relative_gradient`."""
        return norms(self.gradient / self.stack.stretch.flatten(1)) / self.unit

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        """The Hessian of f at x times flat vectors v (B, (K + T) c), which are 0 where X is fixed."""
        f, V, K = self.stack, self.stack.matrix(v), self.stack.num_classes
        change = torch.bmm(self.H, V[:, :K].mT).baddbmm_(V[:, K:], self.W.mT)
        A = self._expansion[2](change.flatten(0, 1)).view_as(change).div_(self.N)
        into_W = torch.bmm(A.mT, self.H).baddbmm_(self.G.mT, V[:, K:])
        into_H = torch.bmm(A, self.W).baddbmm_(self.G, V[:, :K])
        return self._free(torch.cat([into_W, into_H], 1).addcmul_(f.decay, V))

    @cached_property
    def _seen(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(S (B, T, K, K), X_W^T S (B, T, c, K)), both over N."""
        B, T, K = self.G.shape
        units = torch.eye(K, dtype=self.X.dtype, device=self.X.device)[:, None, :].expand(K, B * T, K)
        S = self._expansion[2](units).view(K, B, T, K).permute(1, 2, 0, 3) / self.N[..., None]
        return S, torch.einsum("bka,bjkl->bjal", self.W, S)

    @cached_property
    def within(self) -> torch.Tensor:
        """(B, T, c, c) X_W^T S_j X_W/N."""
        return torch.einsum("bjal,ble->bjae", self._seen[1], self.W)

    def hessian(self) -> torch.Tensor:
        """(B, size, size) the dense Hessians, over the free entries of X in order."""
        f, (S, WS) = self.stack, self._seen
        B, T, c, K = WS.shape
        cut = K * c
        full = self.X.new_zeros(B, f.rows * c, f.rows * c)
        full[:, :cut, :cut] = torch.einsum("bjkl,bja,bje->bkale", S, self.H, self.H).reshape(B, cut, cut)
        mixed = torch.einsum("bjal,bje->bjale", WS, self.H)
        mixed.diagonal(dim1=2, dim2=4).add_(self.G[..., None])
        full[:, cut:, :cut] = mixed.reshape(B, T * c, cut)
        full[:, :cut, cut:] = full[:, cut:, :cut].mT
        own = full[:, cut:, cut:].unflatten(2, (T, c)).unflatten(1, (T, c))
        own.diagonal(dim1=1, dim2=3).copy_(self.within.permute(0, 2, 3, 1))
        full.diagonal(dim1=1, dim2=2).add_(f.decay.flatten(1))
        free = f.free.flatten().nonzero()[:, 0] if f.bias else slice(None)
        return full[:, free][:, :, free]

    @property
    def rounding(self) -> torch.Tensor:
        """(B,) as `ufm.solvers.sharpen.rounding`, for a loss with exact slopes."""
        X, K = self.X.abs(), self.stack.num_classes
        G, largest = self.G.abs(), self.logits.abs().amax((1, 2))
        terms = torch.cat([torch.bmm(G.mT, X[:, K:]), torch.bmm(G, X[:, :K])], 1).addcmul_(self.stack.decay, X)
        return torch.finfo(X.dtype).eps * (4 + largest) * norms(self._free(terms))


def norms(x: torch.Tensor) -> torch.Tensor:
    """(B,) the Euclidean norm of each row."""
    return torch.linalg.vector_norm(x, dim=1)


def dot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(B,) the inner product of each row with its like."""
    return torch.linalg.vecdot(x, y)
