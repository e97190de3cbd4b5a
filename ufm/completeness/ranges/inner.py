"""The inner unknowns of many points at once, in plain floating point: approximations, which prove nothing.

For a positive they are where a convex function is least,
sum_k s_k (<zeta_k, a^-1 zeta_k>/2 + log sum_j exp(z_kj) - <r_k, z_k>) + kappa/2 tr(I a I^T) + lb/2 |b|^2.
Newton's method finds them from nearby, and steps in zeta and beta, with the best a in turn, lead there from afar.
"""

import numpy as np

from .system import Jet, System

STEPS = 30
TURNS = 40
SOLVED = 1e-8  # where less than this is left
CLOSE = 1e-13  # a step below this, relative to 1 + |y|, is the last
FLAT = 2.0  # where I a I^T has an eigenvalue below this, C and D are written by I^T q_k


def inner_solution(system: System, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (inner, M) where R = C = B = 0, from the y given, or from afar where that leads nowhere; u (outer, M)."""
    y = _newton(system, u, y)
    lost = ~(_left(system, Jet(system, u, y, flat=flat_where(Jet(system, u, y)))) < SOLVED)
    if lost.any():
        y[:, lost] = _newton(system, u[:, lost], _approached(system, u[:, lost]))
    return y


def _newton(system: System, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y after Newton's method, damped."""
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


def _approached(system: System, u: np.ndarray) -> np.ndarray:
    """y (inner, M) after turns of a Newton step in zeta and beta and of the best a."""
    y, m, n, end = np.repeat(first_guess(system), u.shape[1], 1), system.outer, system.logits, system.linear
    free = np.r_[0:n, end : system.inner]
    L = np.linalg.cholesky(np.moveaxis(Jet(system, u, y).square, 2, 0))
    for _ in range(TURNS):
        jet, step = Jet(system, u, y), np.zeros_like(y)
        J = np.moveaxis(jet.jacobian, 2, 0)[:, free][:, :, m + free]
        step[free] = np.linalg.solve(J, jet.value[free].T[..., None])[..., 0].T
        trials = np.stack([y - length * step for length in 0.5 ** np.arange(12)])
        best = np.array([_energy(Jet(system, u, trial)) for trial in trials]).argmin(0)
        y = trials[best, :, np.arange(u.shape[1])].T
        zeta = np.moveaxis(Jet(system, u, y).zeta, 2, 0)
        squares = L.swapaxes(1, 2) @ zeta.swapaxes(1, 2) @ (system.weights[:, None] * zeta) @ L
        values, vectors = np.linalg.eigh(squares / float(system.kappa.lo))
        root = (vectors * np.sqrt(np.maximum(values, 1e-12))[:, None]) @ vectors.swapaxes(1, 2)
        a = np.linalg.solve(L.swapaxes(1, 2), np.linalg.solve(L.swapaxes(1, 2), root).swapaxes(1, 2))
        y[n:end] = [a[:, i, j] for i, j in system.triangle]
    return y


def _energy(jet: Jet) -> np.ndarray:
    """(M,) the convex function, but for its term in a alone."""
    system, last = jet.system, [at for at, (_, i) in enumerate(jet.pairs) if i == jet.system.K - 1]
    z = np.concatenate([jet.differences[:, last], np.zeros_like(jet.zeta[:, :1])], 1)
    pull = np.linalg.solve(np.moveaxis(jet.a, 2, 0)[:, None], np.moveaxis(jet.zeta, 2, 0)[..., None])[..., 0]
    most, decay = z.max(1), 0.0
    loss = most + np.log(np.exp(z - most[:, None]).sum(1)) - (system.targets[..., None] * z).sum(1)
    if jet.beta is not None and system.lambda_b is not None:
        decay = system.lambda_b / 2 * ((jet.beta - jet.beta.mean(0)) ** 2).sum(0)
    return system.weights @ (np.moveaxis(pull, 0, 2) * jet.zeta).sum(1) / 2 + system.weights @ loss + decay


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
