"""Cross-entropy's minimisers as its decays vanish, beside the solution of the largest margin.

Let Z~ = D^(1/2) Pi be that solution (`ufm.models.Ridgeless`, d >= K - 1), A~ its dual variable, and Z~_lambda the
minimiser's H~ W^T at sqrt(lW lH) = lambda. Stationarity is sqrt(n_k) p_kc/N = lambda |A~_kc| with the polar factor A~
of Z~_lambda itself, so its margins are log(1/lambda) + log p_kk - log(N |A~_kc|/sqrt(n_k)), and

    tan(angle of Z~_lambda and Z~) <Z~_lambda, Z~>/|Z~|^2  ->  |B's part off Z~|/|Z~|,
    B: rows sqrt(n_k) z_k, 1^T z_k = 0, z_kk - z_kc = -log(N |A~_kc|/sqrt(n_k))

(docs/theory, section 12.5): the angle goes to 0 like 1/log(1/lambda), for equal n_k it is 0 throughout.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from ..errors import require
from ..models.ridgeless import Ridgeless
from ..point import Point
from ..results import Result
from ..solvers.minimize import minimize

TOL = 1e-11


@dataclass(frozen=True, eq=False)
class Approach(Result):
    """The minimiser at one decay.

    decay   sqrt(lW lH)                       point      collapsed
    level   <Z~_lambda, Z~>/|Z~|^2, its margin in units of the solution's
    tangent of the angle between Z~_lambda and Z~       converged  whether the descent reached its tolerance
    """

    decay: float
    point: Point
    level: float
    tangent: float
    converged: bool

    derived = ("distance",)

    @property
    def distance(self) -> float:
        """1 - cos of the angle, without cancellation."""
        secant = math.hypot(1.0, self.tangent)
        return self.tangent**2 / (secant * (secant + 1)) if self.level > 0 else 2.0


def approach(model: Ridgeless, decays: Sequence[float], seed: int = 0) -> list[Approach]:
    """The minimisers of `model.problem(decay)`, each from a random start, beside the model's closed form.

    Raises NoClosedForm for d < K - 1.
    """
    require(len(decays) > 0, "name at least one decay")
    form = logits(model, model.closed_form())
    return [_beside(model, form, decay, seed) for decay in decays]


def _beside(model: Ridgeless, form: torch.Tensor, decay: float, seed: int) -> Approach:
    problem = model.problem(decay)
    solution = minimize(problem, seed=seed, tol=TOL)
    point = problem.class_means(solution.point)
    level, tangent = _against(logits(model, point), form)
    return Approach(decay, point, level, tangent, solution.converged)


def logits(model: Ridgeless, point: Point) -> torch.Tensor:
    """(K, K) Z~ = H~ W^T of a collapsed point."""
    roots = torch.tensor(model.class_counts, dtype=torch.float64, device="cpu").sqrt()
    return roots[:, None] * (point.H @ point.W.T)


def _against(Z: torch.Tensor, form: torch.Tensor) -> tuple[float, float]:
    """(<Z, form>/|form|^2, the tangent of their angle)."""
    level = float((Z * form).sum() / form.square().sum())
    return level, float((Z - level * form).norm() / form.norm()) / abs(level)


def rate(model: Ridgeless) -> float:
    """The limit of tangent * level as the decay vanishes: |B's part off Z~|/|Z~|, which is 0 for equal n_k."""
    form = logits(model, model.closed_form())
    counts = torch.tensor(model.class_counts, dtype=torch.float64, device="cpu")
    off = ~torch.eye(len(counts), dtype=torch.bool, device="cpu")
    shares = (-model.dual / counts.sqrt()[:, None] * counts.sum()).masked_fill(~off, 1.0)
    z = shares.log()
    return _product(counts.sqrt()[:, None] * (z - z.mean(1, keepdim=True)), form)


def _product(B: torch.Tensor, form: torch.Tensor) -> float:
    level = (B * form).sum() / form.square().sum()
    return float((B - level * form).norm() / form.norm())


def extrapolated(found: Iterable[Approach]) -> float:
    """tangent * level at 1/level = 0, by the polynomial in 1/level through all the points."""
    places = [(1 / one.level, one.tangent * one.level) for one in found]
    return sum(
        value * math.prod(x / (x - at) for j, (x, _) in enumerate(places) if j != i)
        for i, (at, value) in enumerate(places)
    )
