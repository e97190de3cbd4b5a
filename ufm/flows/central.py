"""The central path of squared error: W and b always optimal for the features, which follow a renormalised flow.

For features h_ik (n of each of K classes, N = K n in all) with the global mean 0, class means M (d x K) and an
invertible within-class covariance Sw = (1/N) sum (h_ik - mu_k)(h_ik - mu_k)^T, squared error without decays is least,
over W and b, for

    W = M^T (Sw + M M^T/K)^-1 / K,  b = 1/K:   L = (1/2)[1 - 1/K - tr(M^T (Sw + M M^T/K)^-1 M)/K^2].

L stays the same under linear changes of the features, and sees them through the singular values w_j of the matrix of
signal to noise, Sw^(-1/2) M, alone. The renormalised flow is the gradient flow of L on the manifold Sw = I: -grad L
less its part normal to the manifold. (Han, Papyan and Donoho 2022, arXiv 2106.02073, who find that it keeps singular
vectors and that c1 log w + c2 w^2 + c3 w^4 = a + t. The constants below are derived in docs/theory, section 12.5.)

    dw/dt = w/(N K (1 + w^2/K)^2),        N K log w + N w^2 + (N/(4 K)) w^4 = a + t.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from ..errors import Setting, require
from ..results import Result

LARGEST = 4000  # numbers in H
RTOL, ATOL = 1e-10, 1e-12


@dataclass(frozen=True, eq=False)
class Station(Result):
    """The path at one time.

    time     in units in which the gradient is the speed      loss  L
    values   (K - 1,) the singular values of Sw^(-1/2) M, largest first
    turn     the largest sine of an angle between the left singular space at the start and now: 0 but for rounding
    """

    time: float
    loss: float
    values: torch.Tensor
    turn: float


def constants(num_classes: int, num_samples: int) -> tuple[float, float, float]:
    """(c1, c2, c3) of c1 log w + c2 w^2 + c3 w^4 = a + t."""
    K, N = num_classes, num_samples
    return float(N * K), float(N), N / (4 * K)


def singular_value(num_classes: int, num_samples: int, begin: float, time: float) -> float:
    """w at that time, from w = begin > 0 at time 0: the root of the implicit solution, bracketed."""
    c1, c2, c3 = constants(num_classes, num_samples)
    require(begin > 0 and time >= 0, f"a singular value moves from begin > 0 at time >= 0, got {begin} and {time}")

    def clock(x: float) -> float:
        """The time since begin at w = begin e^x."""
        grown = math.expm1(2 * x) * begin**2
        return c1 * x + c2 * grown + c3 * grown * (grown + 2 * begin**2) - time

    most = min(time / c1, math.log1p(time / (c2 * begin**2)) / 2)  # the first terms alone, which are less than all
    return begin * math.exp(brentq(clock, 0.0, most, xtol=1e-15, rtol=1e-14)) if time else begin


def random_features(num_classes: int, per_class: int, dim: int, seed: int = 0, signal: float = 1.0) -> torch.Tensor:
    """(N, d) features sorted by class, of global mean 0 and within-class covariance I; means of that size at random."""
    K, n = num_classes, per_class
    require(K >= 2, (Setting("num_classes"), f" must be >= 2, got {K}"))
    room = K * (n - 1)
    require(
        room >= dim >= K - 1,
        f"renormalised features need K - 1 <= d <= K (n - 1), got K = {K}, n = {n}, d = {dim}; else within classes "
        "their covariance is singular, or the means have no room",
    )
    generator = torch.Generator("cpu").manual_seed(seed)
    H = torch.randn(K, n, dim, generator=generator, dtype=torch.float64, device="cpu")
    means = signal * torch.randn(K, 1, dim, generator=generator, dtype=torch.float64, device="cpu")
    return renormalised((H - H.mean(1, keepdim=True) + means - means.mean(0)).reshape(K * n, dim), K)


def renormalised(H: torch.Tensor, num_classes: int) -> torch.Tensor:
    """H Sw^(-1/2), less its global mean."""
    H = H - H.mean(0)
    inside = _inside(H, num_classes)
    values, vectors = torch.linalg.eigh(inside.T @ inside / len(H))
    require(float(values[0]) > 1e-12 * float(values[-1]), "the within-class covariance is singular; take more samples")
    return H @ (vectors / values.sqrt()) @ vectors.T


def central_path(H: torch.Tensor, num_classes: int, times: "np.ndarray | list[float]") -> list[Station]:
    """The renormalised flow from features H (N, d), sorted by class and balanced, at ascending times from 0 on.

    It integrates all N features (scipy's DOP853, to 1e-10) and uses neither closed form nor singular vectors.
    Raises InputError for imbalanced classes, a singular within-class covariance, or times that do not ascend.
    """
    N, d, K = len(H), H.shape[1], num_classes
    require(N % K == 0 and N > K, f"the path is for K classes of n >= 2 samples each, got {N} rows for K = {K}")
    require(N * d <= LARGEST, f"the path is integrated for up to {LARGEST:,} numbers in H, got {N * d:,}")
    at = np.asarray(times, dtype=float)
    ascending = len(at) > 0 and at[0] >= 0 and bool((np.diff(at) > 0).all()) and bool(np.isfinite(at).all())
    require(ascending, (Setting("times"), " must ascend from 0 or more"))
    H = renormalised(H.double().cpu(), K)
    first = _means(H, K)

    def slope(_: float, y: np.ndarray) -> np.ndarray:
        X = torch.from_numpy(y).view(N, d)
        return tangent(X, -gradient(X, K), K).reshape(-1).numpy()

    span = (0.0, max(float(at[-1]), 1e-300))
    found: Any = solve_ivp(slope, span, H.reshape(-1).numpy(), method="DOP853", t_eval=at, rtol=RTOL, atol=ATOL)
    require(found.success, "the path could not be integrated; start at smaller means")
    return [_station(t, torch.from_numpy(y.copy()).view(N, d), first, K) for t, y in zip(at, found.y.T, strict=True)]


def gradient(H: torch.Tensor, num_classes: int) -> torch.Tensor:
    """(N, d) the gradient in H of squared error at the best W and b: W^T (W h + b - y)/N, the envelope's."""
    residual, W = _fit(H, num_classes)
    return residual @ W / len(H)


def loss(H: torch.Tensor, num_classes: int) -> torch.Tensor:
    """0-d L: half the mean squared error at the best W and b."""
    residual, _ = _fit(H, num_classes)
    return residual.square().sum() / (2 * len(H))


def tangent(H: torch.Tensor, V: torch.Tensor, num_classes: int) -> torch.Tensor:
    """V (N, d) less its part normal to the level set of Sw at H: deviations from class means times a symmetric B.

    B solves D^T D B + B D^T D = D^T V + V^T D for the deviations D. (On Sw = I that is B = (D^T V + V^T D)/(2 N), but a
    flow by this formula runs away from the manifold.)
    """
    D = _inside(H, num_classes)
    values, vectors = torch.linalg.eigh(D.T @ D)
    cross = vectors.T @ D.T @ V @ vectors
    return V - D @ (vectors @ ((cross + cross.T) / (values[:, None] + values)) @ vectors.T)


def _fit(H: torch.Tensor, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(residuals (N, K), W (K, d)) of the least squares fit of one-hot targets, with a bias."""
    N, K = len(H), num_classes
    Y = torch.eye(K, dtype=H.dtype, device=H.device).repeat_interleave(N // K, 0) - 1 / K
    X = H - H.mean(0)
    W = torch.linalg.solve(X.T @ X, X.T @ Y).T
    return X @ W.T - Y, W


def _inside(H: torch.Tensor, num_classes: int) -> torch.Tensor:
    """(N, d) deviations from the class means."""
    X = H.view(num_classes, -1, H.shape[1])
    return (X - X.mean(1, keepdim=True)).reshape(H.shape)


def _means(H: torch.Tensor, num_classes: int) -> torch.Tensor:
    """(K, d) Sw^(-1/2) M, transposed."""
    X = renormalised(H, num_classes)
    return X.view(num_classes, -1, H.shape[1]).mean(1)


def _station(time: float, H: torch.Tensor, first: torch.Tensor, num_classes: int) -> Station:
    now, K = _means(H, num_classes), num_classes
    values = torch.linalg.svdvals(now)[: K - 1]
    # Where singular vectors stay, M(0)^T M(t) and M(0) M(t)^T are symmetric.
    turned = [first.T @ now, first @ now.T]
    turn = max(float((A - A.T).norm() / A.norm()) for A in turned)
    return Station(float(time), float(loss(H, num_classes)), values, turn)
