"""The two ends of a symmetric operator's spectrum, matrix-free: Lanczos iteration on its products."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ..errors import InputError, require
from ..problem import Problem
from .spectrum import ENDS, UNSHARP, Spectrum, listed

RESTARTS = 100  # of a Lanczos iteration: about 7,600 products at each end for k <= 20


class Operator(NamedTuple):
    """v (size,) -> H v (size,), float64 tensors on `device`."""

    product: Callable[[torch.Tensor], torch.Tensor]
    size: int
    device: torch.device


def end_spectrum(problem: Problem, operators: Sequence[Operator], known: Sequence[torch.Tensor], k: int) -> Spectrum:
    """The k values at each end of the union of the operators' spectra and the known eigenvalues."""
    found = [ends(operator, k) for operator in operators if operator.size]
    low = torch.cat([*(low for low, _, _ in found), *known]).sort().values[:k]
    high = torch.cat([*(high for _, high, _ in found), *known]).sort().values[-k:]
    values = torch.cat([low, high])
    both = listed(problem, values, torch.ones_like(values, dtype=torch.int64), UNSHARP, ENDS)
    return replace(both, tolerance=max([both.tolerance, *(residual for _, _, residual in found)]))


def ends(operator: Operator, k: int, tol: float = 1e-10) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(k smallest, k largest eigenvalues, ascending, float64; the worst residual |H v - value v|).

    Equivalent to scipy's eigsh at both ends, except that the lower end is sought as the upper one of
    sigma I - H: the tolerance is then relative to the largest eigenvalue, and eigenvalues near zero do not
    stall it. Eigenvalues too close together to converge within RESTARTS restarts are not listed. A space of at
    most 4 k + 20 dimensions is diagonalised whole, and none of its eigenvalues is listed twice. Raises InputError
    for k < 1, and when nothing converges.
    """
    require(k >= 1, f"k must be >= 1 eigenvalues at each end, got {k}")

    def apply(v: np.ndarray) -> np.ndarray:
        return operator.product(torch.from_numpy(v.reshape(-1)).to(operator.device)).cpu().numpy()

    if operator.size <= 4 * k + 20:
        columns = np.stack([apply(e) for e in np.eye(operator.size)], 1)
        values = torch.linalg.eigvalsh(torch.from_numpy((columns + columns.T) / 2))
        below = min(k, operator.size // 2)
        return values[:below], values[below:][-k:], 0.0
    high, high_residual = _top(apply, operator.size, k, tol)
    sigma = 1.1 * float(np.abs(high).max())
    low, low_residual = _top(lambda v: sigma * v.reshape(-1) - apply(v), operator.size, k, tol)
    return torch.from_numpy(sigma - low[::-1]), torch.from_numpy(high), max(low_residual, high_residual)


def _top(apply: Callable[[np.ndarray], np.ndarray], size: int, k: int, tol: float) -> tuple[np.ndarray, float]:
    """(the k largest eigenvalues ascending, or those of them that converged; the worst residual)."""
    start = np.random.default_rng(0).standard_normal(size)
    operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
    ncv = min(size, max(4 * k, 80))
    try:
        values, vectors = eigsh(operator, k, which="LA", tol=tol, v0=start, ncv=ncv, maxiter=RESTARTS)
    except ArpackNoConvergence as failure:
        values, vectors = failure.eigenvalues, failure.eigenvectors
    if not len(values):
        raise InputError(f"none of {k} eigenvalues converged; ask for another number of them")
    order = values.argsort()
    residuals = [np.linalg.norm(apply(vectors[:, i]) - values[i] * vectors[:, i]) for i in order]
    return values[order], float(max(residuals))
