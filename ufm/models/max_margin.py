"""The margins (w_y - w_c).h of every row of features, and what is asked of them: multipliers and a descent.

In coordinates (W, H~) of a landscape with both decays 1 the problem is min |x|^2/2 subject to every margin >= 1, and
a multiplier mu_jc >= 0 belongs to row j and class c other than its own. With A~ the matrix whose row j has
-mu_jc/sqrt(m_j) off the label and minus their sum on it, sum mu m = <A~, Z~> for Z~ = H~ W^T, whose gradient in
(W, H~) is (A~^T H~, A~ W).
"""

import math

import numpy as np
import torch
from scipy.optimize import nnls

from ..errors import require
from ..landscape import Landscape
from ..solvers.newton import trust_region_newton

LARGEST = 3000  # constraints: the multipliers are found with a dense matrix
ROUNDS = 60  # of the method of multipliers
INNER = 1e-13  # relative gradient at which a round may end


class Margins:
    """All margins of a landscape's rows, as functions of its flat vectors x = (W, H~)."""

    def __init__(self, f: Landscape):
        self.f, self.rows = f, torch.arange(len(f.labels), device=f.counts.device)
        constraints = len(f.labels) * (f.num_classes - 1)
        require(constraints <= LARGEST, f"at most {LARGEST:,} margins are taken, got {constraints:,}; take class means")
        self.others = torch.ones(len(f.labels), f.num_classes, dtype=torch.bool, device=f.counts.device)
        self.others[self.rows, f.labels] = False

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """(R, K - 1) the margins of each row over every other class."""
        return self._less(self.f.logits(x))

    def _less(self, logits: torch.Tensor) -> torch.Tensor:
        own = logits[self.rows, self.f.labels]
        return (own[:, None] - logits)[self.others].view(len(own), -1)

    def spread(self, multipliers: torch.Tensor) -> torch.Tensor:
        """(R, K) A~ of multipliers (R, K - 1)."""
        A = multipliers.new_zeros(self.others.shape)
        A[self.others] = -multipliers.reshape(-1)
        A[self.rows, self.f.labels] = multipliers.sum(1)
        return A / self.f.roots

    def pull(self, x: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
        """The flat vector (A~^T H~, A~ W)."""
        W, H, b = self.f.split(x)
        return self.f.join(A.T @ H, A @ W, b)

    def change(self, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """(R, K - 1) the derivative of the margins at x along v."""
        (W, H, _), (dW, dH, _) = self.f.split(x), self.f.split(v)
        return self._less((dH @ W.T + H @ dW.T) / self.f.roots)

    def gradients(self, x: torch.Tensor) -> torch.Tensor:
        """(R (K - 1), size) the gradient of each margin at x, a row each."""
        one = torch.eye(int(self.others.sum()), dtype=x.dtype, device=x.device)
        return torch.stack([self.pull(x, self.spread(row.view(len(self.rows), -1))) for row in one])

    def multipliers(self, x: torch.Tensor) -> tuple[torch.Tensor, float]:
        """(mu (R, K - 1), residual): the mu >= 0 nearest to the conditions of Karush, Kuhn and Tucker at x.

        residual   min over mu >= 0 of sqrt(|x - sum mu grad m|^2 + sum (mu (m - 1))^2) / |x|, at x scaled so that the
                   least margin is 1; x has to separate, that is to have margins > 0
        """
        least = float(self.of(x).min())
        require(least > 0, "the point does not separate the classes: a margin is <= 0; descend further")
        x = x / math.sqrt(least)
        slack = (self.of(x) - 1).reshape(-1)
        system = torch.cat([self.gradients(x).T, torch.diag(slack)]).numpy()
        mu, distance = nnls(system, np.concatenate([x.numpy(), np.zeros(len(slack))]))
        return torch.from_numpy(mu).view(len(self.rows), -1), distance / float(x.norm())


class Augmented:
    """|x|^2/2 + (1/(2 weight)) sum (s^2 - mu^2), s = max(0, mu + weight (1 - m)): the augmented Lagrangian."""

    def __init__(self, margins: Margins, multipliers: torch.Tensor, weight: float):
        self.margins, self.multipliers, self.weight = margins, multipliers, weight

    def jet(self, x: torch.Tensor) -> "AugmentedJet":
        return AugmentedJet(self, x)


class AugmentedJet:
    """The augmented Lagrangian at one x to second order; `shifted` is s."""

    def __init__(self, function: Augmented, x: torch.Tensor):
        m, mu, weight = function.margins, function.multipliers, function.weight
        self.x, self.margins, self.weight = x, m, weight
        self.shifted = (mu + weight * (1 - m.of(x))).clamp_min(0)
        self.A = m.spread(self.shifted)
        self.value = x.square().sum() / 2 + (self.shifted.square() - mu.square()).sum() / (2 * weight)
        self.gradient = x - m.pull(x, self.A)

    @property
    def relative_gradient(self) -> float:
        return float(self.gradient.norm()) / max(float(self.x.norm()), 1e-3)

    def hvp(self, v: torch.Tensor) -> torch.Tensor:
        pressed = self.weight * torch.where(self.shifted > 0, self.margins.change(self.x, v), 0.0)
        return v - self.margins.pull(v, self.A) + self.margins.pull(self.x, self.margins.spread(pressed))


def least_norm(margins: Margins, x: torch.Tensor, tol: float) -> tuple[torch.Tensor, float, int]:
    """(x, residual, rounds): from x to a point of margins >= 1 where `Margins.multipliers` has a residual <= tol.

    The method of multipliers (Hestenes 1969, Powell 1969), each round by a trust-region Newton method.
    """
    multipliers, weight, missing = torch.zeros_like(margins.of(x)), 10.0, math.inf
    residual = math.inf
    for count in range(1, ROUNDS + 1):
        function = Augmented(margins, multipliers, weight)
        inner = max(INNER, min(1e-3, 1e-2 * missing))
        *_, (x, _) = trust_region_newton(function, x, tol=inner, max_iterations=500)
        multipliers, before = function.jet(x).shifted, missing
        found = margins.of(x)
        missing = float(torch.minimum(found - 1, multipliers / weight).abs().max())
        if float(found.min()) > 0:
            residual = margins.multipliers(x)[1]
            if residual <= tol:
                return x / math.sqrt(float(found.min())), residual, count
        if missing > before / 4:
            weight = min(2 * weight, 1e4)
    return x, residual, ROUNDS
