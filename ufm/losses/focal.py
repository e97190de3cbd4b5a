"""Focal loss: cross-entropy that forgets what is classified well.

    l(z) = F(CE(z)),   F(u) = (1 - e^-u)^g u,   that is (1 - p_y)^g (-log p_y)      (Lin et al. 2017, arXiv 1708.02002)

    slope      F'(u) (p - e_y)
    curvature  F'(u) (diag(p) - p p^T) + F''(u) (p - e_y)(p - e_y)^T
    conjugate  with U = -u_y = sum of the other u_k in [0, 1], all of them >= 0,
               l*(u) = sum_{k != y} u_k log(u_k/U) + max over v > 0 of [U log(e^v - 1) - F(v)]

It is not convex: convex in the logits where F' + F'' (e^u - 1) >= 0, and equal to its convex envelope where
F' (1 - e^-u) <= 1. The conjugate is exact all the same: for given p_y the other logits enter l not at all and <u, z>
through u_k log of their shares, and the maximum over v = -log p_y is where U = F'(v) (1 - e^-v), which rises from 0
to 1 before it exceeds 1 (docs/theory, section 10.4).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..errors import Setting, require
from .cross_entropy import CrossEntropy
from .loss import Expansion, OfClasses

HALVINGS = 80  # of the interval of log v in which the conjugate's maximum lies
SMALLEST = 1e-300


@dataclass(frozen=True)
class Focal(OfClasses):
    """(1 - p_y)^g (-log p_y); focusing is g >= 0, and 0 makes it cross-entropy."""

    focusing: float
    name: ClassVar[str] = "focal"
    shift_invariant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        g = self.focusing
        good = isinstance(g, int | float) and not isinstance(g, bool) and math.isfinite(g) and g >= 0
        require(good, (Setting("focusing"), f" must be a finite number >= 0, got {g!r}"))

    @property
    def convex(self) -> bool:
        return self.focusing == 0

    def outer(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """F, F' and F'' at u >= 0."""
        g, u = self.focusing, u.clamp_min(SMALLEST)
        miss, fit = -torch.expm1(-u), torch.exp(-u)  # 1 - p and p
        power = miss**g
        odds = fit / miss
        first = power * (1 + g * u * odds)
        second = g * power * odds * (2 - u + (g - 1) * u * odds)
        return power * u, first, second

    def values(self, logits: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        u = CrossEntropy().values(logits, types)
        return (-torch.expm1(-u)) ** self.focusing * u

    def expand(self, logits: torch.Tensor, types: torch.Tensor) -> Expansion:
        u, inner, curved = CrossEntropy().expand(logits, types)
        values, first, second = (part[:, None] for part in self.outer(u))

        def curvature(change: torch.Tensor) -> torch.Tensor:
            return first * curved(change) + second * inner * (inner * change).sum(-1, keepdim=True)

        return values[:, 0], first * inner, curvature

    @property
    def envelope_end(self) -> float:
        """u2: the loss equals its convex envelope for CE <= u2, where F'(u)(1 - e^-u) reaches 1; inf for g = 0."""
        g = self.focusing
        if g == 0:
            return math.inf
        low, high = 0.0, 10 + (g + 1) / g
        for _ in range(200):
            u = (low + high) / 2
            # log [F'(u) (1 - e^-u)], whose two terms keep their relative precision where both are tiny.
            above = u > 0 and (g + 1) * math.log1p(-math.exp(-u)) + math.log1p(g * _odds(u)) > 0
            low, high = (low, u) if above else (u, high)
        return low

    @property
    def convex_end(self) -> float:
        """u1: the loss is convex on CE <= u1, where 1 + 2 g - g u + g^2 u/(e^u - 1) falls to 0; inf for g = 0."""
        g = self.focusing
        if g == 0:
            return math.inf
        low, high = 1e-9, 2 * (1 + 2 * g) / g + g + 1
        for _ in range(200):
            u = (low + high) / 2
            low, high = (u, high) if 1 + 2 * g - g * u + g * g * _odds(u) > 0 else (low, u)
        return low

    def largest_share(self, slopes: torch.Tensor, types: torch.Tensor) -> float:
        """The largest t <= 1 for which t times these slopes is in the domain of the conjugate."""
        U = float(-slopes.gather(1, types[:, None]).min()) if len(slopes) else 0.0
        return min(1.0, 1 / U) if U > 0 else 1.0

    def negative_conjugate(self, slopes: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        own = types[:, None]
        U = -slopes.gather(1, own)
        others = slopes.scatter(1, own, 0.0)
        outside = (others.amin(1) < -1e-12) | ((others.sum(1) - U[:, 0]).abs() > 1e-9) | (U[:, 0] > 1 + 1e-9)
        U, others = U.clamp(0, 1), others.clamp_min(0)
        shares = others / U.clamp_min(SMALLEST)
        spread = torch.xlogy(others, shares).sum(1)
        return torch.where(outside, -torch.inf, -(spread + self._best(U[:, 0])))

    def _best(self, U: torch.Tensor) -> torch.Tensor:
        """max over v > 0 of U log(e^v - 1) - F(v); its limit 0 for U = 0, and for U = 1 that at v -> inf, 0."""
        high = torch.full_like(U, min(self.envelope_end, 700.0)).log()
        low = torch.full_like(U, -690.0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            v = middle.exp()
            rises = self.outer(v)[1] * -torch.expm1(-v) < U
            low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
        v = low.exp()
        inside = U * (v + torch.log(-torch.expm1(-v))) - self.outer(v)[0]
        # At U = 1 the supremum may be the limit for v -> inf, which is 0.
        inside = torch.where(U >= 1, inside.clamp_min(0), inside)
        return torch.where(U > 0, inside, 0.0)

    def to_plain(self) -> dict[str, Any]:
        return {"name": self.name, "focusing": self.focusing}


def _odds(u: float) -> float:
    """u/(e^u - 1), for u of any size."""
    return u * math.exp(-u) / -math.expm1(-u)
