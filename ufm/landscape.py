"""f(W, H, b) as a function of one flat vector: value, gradient and Hessian products as matrix products.

    f = (1/N) sum_j m_j loss(W h_j + b, y_j) + lW/2 |W|^2 + lH/2 sum_j m_j |h_j|^2 + lb/2 |b|^2

Row j of H stands for m_j samples: 1 each for the full problem, n_k each when every class shares one
feature. The flat vector holds W, H~ and b, where H~ has rows h~_j = sqrt(m_j) h_j. In these coordinates
the Euclidean geometry is that of the full problem (all N features) restricted to its collapsed points,
so gradient norms, curvatures and eigenvalues are the full problem's own.

    G~ = sqrt(m) * slopes / N             gradient    W: G~^T H~ + lW W      H~: G~ W + lH H~
    M  = (dW h~_j + W dh~_j)/sqrt(m_j) + db                                  b:  sum_j sqrt(m_j) g~_j + lb b
    A~ = sqrt(m) * S M / N                Hessian     W: A~^T H~ + G~^T dH~ + lW dW
                                                      H~: A~ W + G~ dW + lH dH~
                                                      b:  sum_j sqrt(m_j) a~_j + lb db
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from .losses import Loss


@dataclass(frozen=True, eq=False)
class Landscape:
    """The objective on flat vectors of length K d + R d + K (without the last K when bias is False).

    labels (R,) int64 and counts (R,) float (how many samples a row stands for) fix device and dtype;
    num_samples is N; the lambdas are the weight decays of W, H and b (not yet halved); f >= floor everywhere,
    and an excess below `least` is rounding.
    """

    labels: torch.Tensor
    counts: torch.Tensor
    num_samples: int
    num_classes: int
    dim: int
    lambda_w: float
    lambda_h: float
    lambda_b: float
    bias: bool
    loss: Loss
    floor: float = 0.0
    least: float = 1e-300

    @cached_property
    def roots(self) -> torch.Tensor:
        """(R, 1) sqrt of the counts."""
        return self.counts.sqrt()[:, None]

    @property
    def size(self) -> int:
        return (self.num_classes + len(self.labels)) * self.dim + self.num_classes * self.bias

    def pack(self, W: torch.Tensor, H: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The flat vector of (W (K, d), H (R, d) per-sample features, b (K,))."""
        return self.join(W, self.roots * H, b)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Views (W (..., K, d), H~ (..., R, d), b (..., K)) of flat vectors (..., size); b = 0 without bias."""
        cut, rows = self.num_classes * self.dim, len(self.labels)
        end = cut + rows * self.dim
        W = x[..., :cut].unflatten(-1, (self.num_classes, self.dim))
        scaled = x[..., cut:end].unflatten(-1, (rows, self.dim))
        return W, scaled, x[..., end:] if self.bias else x.new_zeros(self.num_classes)

    def join(self, W: torch.Tensor, scaled: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The flat vectors (..., size) of (W, H~, b): the inverse of `split`."""
        parts = [W.flatten(-2), scaled.flatten(-2)]
        return torch.cat([*parts, b] if self.bias else parts, -1)

    def unpack(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(W, H, b) of a flat vector, H with per-sample rows h_j = h~_j / sqrt(m_j)."""
        W, scaled, b = self.split(x)
        return W, scaled / self.roots, b

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        W, scaled, b = self.split(x)
        return torch.addmm(b, scaled, W.T) if self._plain else (scaled @ W.T) / self.roots + b

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """0-d f(x), differentiable by autograd."""
        losses = self.loss.values(self.logits(x), self.labels)
        return (self.counts * losses).sum() / self.num_samples + self._penalty(x)

    def jet(self, x: torch.Tensor) -> "Jet":
        """Value, gradient and Hessian products at x, sharing one pass over the logits."""
        return Jet(self, x)

    def weighted(self, rows: torch.Tensor) -> torch.Tensor:
        """sqrt(m_j) times row j of `rows` (R, K): the rows themselves where every m_j is 1."""
        return rows if self._plain else self.roots * rows

    @cached_property
    def _plain(self) -> bool:
        return bool((self.counts == 1).all())

    def _penalty(self, x: torch.Tensor) -> torch.Tensor:
        W, H, b = (part.flatten() @ part.flatten() for part in self.split(x))
        return self.lambda_w / 2 * W + self.lambda_h / 2 * H + self.lambda_b / 2 * b


class Jet:
    """f at one x to second order: `value` (0-d), `gradient` (flat), `hvp(v)` (flat), `G` (R, K) = G~."""

    def __init__(self, landscape: Landscape, x: torch.Tensor):
        f = landscape
        self.landscape, self.x = landscape, x.detach()
        self.W, self.scaled, self.b = f.split(self.x)
        losses, self.slopes, self.curvature = f.loss.expand(f.logits(self.x), f.labels)
        self.value = f.counts @ losses / f.num_samples + f._penalty(self.x)

    @cached_property
    def gradient(self) -> torch.Tensor:
        """Of two more products, which a trial step that is refused does without."""
        f = self.landscape
        weighted, share, gradient = f.weighted(self.slopes), 1 / f.num_samples, torch.empty_like(self.x)
        into_W, into_H, into_b = f.split(gradient)
        torch.addmm(self.W, weighted.T, self.scaled, beta=f.lambda_w, alpha=share, out=into_W)
        torch.addmm(self.scaled, weighted, self.W, beta=f.lambda_h, alpha=share, out=into_H)
        torch.addmv(self.b, weighted.T, f.roots[:, 0], beta=f.lambda_b, alpha=share, out=into_b)
        return gradient

    @cached_property
    def G(self) -> torch.Tensor:
        return self.landscape.weighted(self.slopes) / self.landscape.num_samples

    @cached_property
    def terms(self) -> torch.Tensor:
        """(R, K) the size of what each slope is made of: itself, or the curvature in its own logit if that is more.

        A slope that is a difference, z - y or p - r, is as exact as its terms, and its logits as exact as they are.
        """
        if getattr(self.landscape.loss, "exact_slopes", False):
            return self.slopes.abs()
        K = self.landscape.num_classes
        units = torch.eye(K, dtype=self.W.dtype, device=self.W.device)[:, None, :].expand(K, len(self.slopes), K)
        own = self.curvature(units).diagonal(dim1=0, dim2=2)
        return torch.maximum(self.slopes.abs(), own.abs())

    @property
    def sigma_max(self) -> float:
        """|G~|_2, the largest singular value of G~: the root of the top eigenvalue of the K x K matrix G~^T G~."""
        return math.sqrt(max(0.0, float(torch.linalg.eigvalsh(self.G.T @ self.G)[-1])))

    @property
    def excess(self) -> float:
        """f - floor: what f has of decays and of loss above its infimum; more than 0."""
        value = float(self.value)
        return max(value - self.landscape.floor, self.landscape.least, 1e-300)

    @property
    def relative_gradient(self) -> float:
        """|gradient| / sqrt(4 sqrt(lW lH) (f - floor)) in coordinates where both decays are sqrt(lW lH).

        f - floor >= lW/2 |W|^2 + lH/2 |H~|^2, so the unit bounds the gradient of the decays at a point of that level.
        """
        f = self.landscape
        stretch = (f.lambda_w / f.lambda_h) ** 0.25
        W, H, b = (float(part.norm()) for part in f.split(self.gradient))
        return math.hypot(W / stretch, H * stretch, b) / self.unit

    @property
    def unit(self) -> float:
        """What gradients are measured in where both decays are sqrt(lW lH): see `relative_gradient`."""
        return math.sqrt(4 * math.sqrt(self.landscape.lambda_w * self.landscape.lambda_h) * self.excess)

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        """The Hessian of f at x times the flat vectors v (..., size)."""
        f = self.landscape
        dW, dH, db = f.split(v)
        A = self.curved((self.scaled @ dW.mT).add_(dH @ self.W.T), db)
        return f.join(
            (A.mT @ self.scaled).add_(self.G.T @ dH).add_(dW, alpha=f.lambda_w),
            (A @ self.W).add_(self.G @ dW).add_(dH, alpha=f.lambda_h),
            (A.mT @ f.roots).squeeze(-1).add_(db, alpha=f.lambda_b),
        )

    def curved(self, change: torch.Tensor, db: torch.Tensor) -> torch.Tensor:
        """A~ = sqrt(m) S M / N of M = change/sqrt(m) + db, for change (..., R, K)."""
        f = self.landscape
        logits = torch.addcmul(db[..., None, :], change, 1 / f.roots)
        return self.curvature(logits).mul_(f.roots / f.num_samples)

    def hessian(self, batch: int | None = None) -> torch.Tensor:
        """The dense symmetric Hessian, (size, size): for small landscapes only.

        `batch` columns at a time: by default as many as have their logits in a processor's cache (2 MB).
        """
        identity = torch.eye(self.landscape.size, dtype=self.W.dtype, device=self.W.device)
        if not len(identity):
            return identity
        batch = batch or max(1, 2**18 // self.G.numel())
        columns = torch.cat([self.hvp(block) for block in identity.split(batch)])
        return (columns + columns.T) / 2
