"""The inner unknowns of many points at once, in plain floating point: approximations, which prove nothing.

R = B = 0 is the gradient of sum_k s_k (zeta_k^2/(2t) + log sum_j exp(z_kj) - <r_k, z_k>) + lb/2 |b|^2, strictly convex.
"""

import numpy as np

from .system import Jet, System

STEPS = 60
CLOSE = 1e-13  # a step below this, relative to 1 + |y|, is the last


def inner_solution(system: System, p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (inner, M) after Newton's method, damped, from the y given; p (outer, M) with t > 0."""
    y, n = y.copy(), system.inner
    going = np.arange(y.shape[1])
    value = _energy(system, p, y)
    for _ in range(STEPS):
        at, here = p[:, going], y[:, going]
        jet = Jet(system, at, here)
        A, F = np.moveaxis(jet.jacobian, 2, 0)[:, :n, system.outer :], jet.value[:n].T
        step = np.linalg.solve(A, F[..., None])[..., 0].T
        length = np.ones(len(going))
        for _ in range(30):
            trial = here - length * step
            energy = _energy(system, at, trial)
            worse = ~(energy <= value[going] + 1e-14 * (1 + np.abs(value[going])))
            if not worse.any():
                break
            length = np.where(worse, length / 2, length)
        y[:, going], value[going] = trial, energy
        going = going[(np.abs(step) > CLOSE * (1 + np.abs(trial))).any(0)]
        if not len(going):
            break
    return y


def _energy(system: System, p: np.ndarray, y: np.ndarray) -> np.ndarray:
    K = system.K
    jet = Jet(system, p, y)
    z = jet.zeta[:, None] * jet.u[None]
    decay = np.zeros(y.shape[1])
    if jet.beta is not None and system.lambda_b is not None:
        z = z + jet.beta[None]
        decay = system.lambda_b / 2 * ((jet.beta - jet.beta.mean(0)) ** 2).sum(0)
    most = z.max(1)
    loss = most + np.log(np.exp(z - most[:, None]).sum(1)) - (system.targets[..., None] * z).sum(1)
    return system.weights @ (y[:K] ** 2 / (2 * p[0]) + loss) + decay
