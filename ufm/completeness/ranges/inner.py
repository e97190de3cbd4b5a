"""The inner unknowns of many points at once, in plain floating point: approximations, which prove nothing."""

import numpy as np

from .system import Jet, System

STEPS = 60
CLOSE = 1e-13  # a step below this, relative to 1 + |y|, is the last
FLAT = 0.3  # where I a I^T has an eigenvalue below this, C and D are written by I^T q_k


def inner_solution(system: System, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (inner, M) after Newton's method on R = C = B = 0, damped, from the y given; u (outer, M)."""
    y, n = y.copy(), system.inner
    going = np.arange(y.shape[1])
    for _ in range(STEPS):
        at, here = u[:, going], y[:, going]
        flat = flat_where(Jet(system, at, here))
        jet = Jet(system, at, here, flat=flat)
        A, F = np.moveaxis(jet.jacobian, 2, 0)[:, :n, system.outer :], jet.value[:n].T
        step = np.linalg.solve(A, F[..., None])[..., 0].T
        length, left = np.ones(len(going)), _left(system, jet)
        for _ in range(30):
            trial = here - length * step
            worse = ~(_left(system, Jet(system, at, trial, flat=flat)) <= (1 - 0.1 * length) * left + 1e-9)
            if not worse.any():
                break
            length = np.where(worse, length / 2, length)
        y[:, going] = trial
        going = going[(np.abs(step) > CLOSE * (1 + np.abs(trial))).any(0)]
        if not len(going):
            break
    return y


def first_guess(system: System) -> np.ndarray:
    """y (inner, 1) of a global minimiser with equal counts, its logits projected to the range of u = 1/2."""
    K, r = system.K, system.rank
    s = np.sqrt(float(system.kappa.lo) / K)
    c = np.log(max((1 - (K - 1) * s) / s, 1.1))
    jet = Jet(system, np.full((system.outer, 1), 0.5), np.zeros((system.inner, 1)))
    a = c / (K * s) * np.linalg.inv(jet.square[..., 0])
    zeta = K * s * jet.eta[..., 0] @ a
    y = np.zeros((system.inner, 1))
    y[: system.linear, 0] = [*zeta.reshape(K * r), *(a[i, j] for i, j in system.triangle)]
    return y


def flat_where(jet: Jet) -> np.ndarray:
    """(M,) whether I a I^T is nearly singular on the range, or not positive."""
    L = np.linalg.cholesky(np.moveaxis(jet.square, 2, 0))
    return np.linalg.eigvalsh(np.nan_to_num(L.swapaxes(1, 2) @ np.moveaxis(jet.a, 2, 0) @ L))[:, 0] < FLAT


def _left(system: System, jet: Jet) -> np.ndarray:
    """(M,) how large R, C and B are, beside the logits where C has their squares.

    This keeps Newton's method from the zero at a = 0, zeta = 0.
    """
    R, C, B = np.split(np.abs(jet.value[: system.inner]), [system.logits, system.linear])
    size = np.where(jet.flat, 1.0, np.abs(jet.zeta).max((0, 1)))
    return np.maximum(np.maximum(R.max(0) / size, C.max(0) / size**2), B.max(0, initial=0.0))
