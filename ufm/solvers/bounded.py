"""Minimisation with some variables bounded below by 0: L-BFGS-B (scipy), then Newton's method inside the bounds."""

from typing import Protocol

import numpy as np
import torch
from scipy.optimize import minimize

from ..errors import require

WARM = 2000  # iterations of L-BFGS-B before Newton's method
STEPS = 200  # of Newton's method at most
LARGEST = 3000  # variables: the Hessian is formed


class SecondOrder(Protocol):
    """A function at one point."""

    @property
    def value(self) -> torch.Tensor:
        """The function there, 0-d."""

    @property
    def gradient(self) -> torch.Tensor:
        """Flat."""

    @property
    def unit(self) -> float:
        """What the norm of the gradient is measured in."""

    def hessian(self) -> torch.Tensor:
        """(size, size), symmetric."""


class Function(Protocol):
    """A function of flat vectors."""

    @property
    def size(self) -> int:
        """How many variables there are."""

    def jet(self, x: torch.Tensor) -> SecondOrder:
        """The function at x."""


def residual(jet: SecondOrder, x: torch.Tensor, bounded: torch.Tensor) -> float:
    """|projected gradient| over the unit: at a bound a gradient that points into it does not count."""
    g = torch.where(bounded & (x <= 0), jet.gradient.clamp_max(0), jet.gradient)
    return float(g.norm()) / jet.unit


def minimize_bounded(f: Function, x: torch.Tensor, bounded: torch.Tensor, tol: float) -> tuple[torch.Tensor, int]:
    """(where the descent from x ends, the steps of Newton's method), x >= 0 where `bounded` (size,) says so.

    It stops where the residual is <= tol, or where no step improves. Raises InputError for more than 3,000 variables.
    """
    require(f.size <= LARGEST, f"at most {LARGEST:,} collapsed variables are taken, got {f.size:,}")
    x = _warm(f, x, bounded)
    for taken in range(STEPS):
        jet = f.jet(x)
        left = residual(jet, x, bounded)
        if left <= tol:
            return x, taken
        inside = ~(bounded & (x <= 0) & (jet.gradient >= 0))
        values, vectors = torch.linalg.eigh(jet.hessian()[inside][:, inside])
        size = values.abs().clamp_min(1e-9 * float(values.abs().max()))
        step = torch.zeros_like(x)
        step[inside] = -vectors @ ((vectors.T @ jet.gradient[inside]) / size)
        found = _along(f, jet, x, step, bounded, left)
        if found is None:
            return x, taken
        x = found
    return x, STEPS


def _warm(f: Function, x: torch.Tensor, bounded: torch.Tensor) -> torch.Tensor:
    """Where L-BFGS-B leads."""

    def both(y: np.ndarray) -> tuple[float, np.ndarray]:
        jet = f.jet(torch.from_numpy(y))
        return float(jet.value), jet.gradient.numpy()

    bounds = [(0.0, None) if one else (None, None) for one in bounded.tolist()]
    options = {"maxiter": WARM, "maxfun": 4 * WARM, "ftol": 0.0, "gtol": 1e-8}
    return torch.from_numpy(minimize(both, x.numpy(), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


def _along(
    f: Function, jet: SecondOrder, x: torch.Tensor, step: torch.Tensor, bounded: torch.Tensor, left: float
) -> torch.Tensor | None:
    """The first of x + step, x + step/2, ... (projected) with a lower f, or residual where rounding hides f."""
    noise = 1e-14 * abs(float(jet.value))
    for power in range(40):
        trial = x + 0.5**power * step
        trial = torch.where(bounded, trial.clamp_min(0), trial)
        there = f.jet(trial)
        change = float(there.value - jet.value)
        if change < -noise or (change <= noise and residual(there, trial, bounded) < left):
            return trial
    return None
