"""The inner unknowns of many points at once, in plain floating point: approximations, which prove nothing."""

import numpy as np

from .system import Jet, System

STEPS = 60
CLOSE = 1e-13  # a step below this, relative to 1 + |y|, is the last


def inner_solution(system: System, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (inner, M) after Newton's method on R = C = 0, damped, from the y given; u (outer, M)."""
    y, n = y.copy(), system.inner
    going = np.arange(y.shape[1])
    for _ in range(STEPS):
        at, here = u[:, going], y[:, going]
        jet = Jet(system, at, here)
        A, F = np.moveaxis(jet.jacobian, 2, 0)[:, :n, system.outer :], jet.value[:n].T
        step = np.linalg.solve(A, F[..., None])[..., 0].T
        length, left = np.ones(len(going)), _left(system, jet)
        for _ in range(30):
            trial = here - length * step
            worse = ~(_left(system, Jet(system, at, trial)) <= (1 - 0.1 * length) * left + 1e-9)
            if not worse.any():
                break
            length = np.where(worse, length / 2, length)
        y[:, going] = trial
        going = going[(np.abs(step) > CLOSE * (1 + np.abs(trial))).any(0)]
        if not len(going):
            break
    return y


def first_guess(system: System) -> np.ndarray:
    """y (inner, 1) of a global minimiser, its logits projected to the range of u = 1/2."""
    K, r = system.K, system.rank
    s = np.sqrt(float(system.kappa.lo) / K)
    c = np.log(max((1 - (K - 1) * s) / s, 1.1))
    jet = Jet(system, np.full((system.outer, 1), 0.5), np.zeros((system.inner, 1)))
    gram = jet.gram[..., 0] / float(system.kappa.lo)
    a = c / (K * s) * np.linalg.inv(gram)
    zeta = K * s * jet.eta[..., 0] @ a
    return np.concatenate([zeta.reshape(K * r), [a[i, j] for i, j in system.triangle]])[:, None]


def _left(system: System, jet: Jet) -> np.ndarray:
    """(M,) how large R and C are beside the logits: this keeps Newton's method from the zero at a = 0, zeta = 0."""
    R, C = np.split(np.abs(jet.value[: system.inner]), [system.logits])
    size = np.abs(jet.zeta).max((0, 1))
    return np.maximum(R.max(0) / size, C.max(0) / size**2)
