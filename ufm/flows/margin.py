"""The gradient flow of cross-entropy without decays or a bias, followed to losses far below what float64 can hold.

    dx/dt = -grad f(x),    f(W, H) = (1/N) sum_i log(1 + sum_(c != y) e^(-m_ic)),    m_ic = (w_y - w_c).h_i

f falls like 1/t, and all that happens on the way happens in log t. So tau = -log f is taken for the time:

    dx/dtau = v/|v|^2,   v = -grad log f = sum q_ic grad m_ic,   q = e^(-m)/(1 + sum e^(-m))/(N f)   (of order 1),
    dt = e^tau/|v|^2 dtau;   log(1 + t) is integrated beside x, and nothing under- or overflows.

The flow keeps W^T W - H^T H and the column sums of W (docs/theory, section 12.5). In direction it turns to KKT
points of the problem of the largest margin (Lyu and Li 2020, arXiv 1906.05890; for this model Ji et al. 2022, arXiv
2110.02796).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp

from ..errors import Setting, require
from ..models.max_margin import Margins
from ..models.ridgeless import Ridgeless
from ..point import Point
from ..results import Result

LARGEST = 1000  # variables: the integrator may form a dense Jacobian
RTOL, ATOL = 1e-9, 1e-11
DEEP = -37.0  # where log(1 + e^u) is e^u in float64


@dataclass(frozen=True, eq=False)
class Moment(Result):
    """One moment of the flow.

    log_loss   log f                            log_time  log(1 + t)
    point      (W, H, 0)                        norm      sqrt(|W|^2 + |H|^2)
    drift      |change of W^T W - H^T H since the start| + |change of 1^T W| |x|, over |x|^2: 0 but for rounding
    residual   of the KKT conditions of the largest margin (`Ridgeless.residual`); None before all margins are > 0
    cosine     of the logits with those of the closed form, over all samples; None where d < K - 1
    spread     |h_i - mean of its class| over |h_i|, root mean square
    """

    log_loss: float
    log_time: float
    point: Point
    norm: float
    drift: float
    residual: float | None
    cosine: float | None
    spread: float


def without_decay(model: Ridgeless, start: Point, reach: float = 200.0, frames: int = 60) -> list[Moment]:
    """The moments of the flow at even steps of log log(1/f), from the start to f = e^-reach.

    start   a point of the model's classes and d, with one row of H a sample (or a class, for collapsed features)
    Equivalent to scipy.integrate.solve_ivp(method="LSODA") on (x, log(1 + t)) over tau, to relative accuracy 1e-9.
    Raises InputError for fewer than two frames, for a reach above which f is already, for more than 1,000 variables and
    for a start with a bias, or from which the flow comes to rest.
    """
    require(frames >= 2, (Setting("frames"), f" must be >= 2, got {frames}"))
    require(not bool(start.b.any()), "the flow has no bias, and the start's b is not 0; leave it out")
    problem = model.problem(1.0)
    f, x = problem.landscape_at(start.double())
    require(f.size <= LARGEST, f"the flow is integrated for up to {LARGEST:,} variables, got {f.size:,}")
    margins = Margins(f)
    begin = -_logarithm(margins, x)[0]
    limits = math.isfinite(reach) and begin < reach <= 1e5
    require(limits, (Setting("reach"), f" must lie above -log f = {begin:.3g} at the start, up to 1e5; got {reach:g}"))
    taus = begin + np.geomspace(1.0, reach - begin + 1.0, frames) - 1.0
    found = _integrated(margins, x, taus)
    return [_moment(model, margins, x, tau, y, start) for tau, y in zip(taus, found.T, strict=True)]


def _logarithm(margins: Margins, x: torch.Tensor) -> tuple[float, torch.Tensor]:
    """(log f, -grad log f), to full relative precision however small f is."""
    m, share = margins.of(x), (margins.f.counts / margins.f.num_samples).log()
    behind = (-m).logsumexp(1)
    loss = torch.nn.functional.softplus(behind, threshold=40.0)
    logs = share + torch.where(behind < DEEP, behind, loss.clamp_min(1e-300).log())
    level = logs.logsumexp(0)
    weights = ((share - loss - level)[:, None] - m).exp()
    return float(level), margins.pull(x, margins.spread(weights))


def _integrated(margins: Margins, x: torch.Tensor, taus: np.ndarray) -> np.ndarray:
    """(size + 1, frames) x and log(1 + t) at every tau."""

    def slope(tau: float, y: np.ndarray) -> np.ndarray:
        _, v = _logarithm(margins, torch.from_numpy(y[:-1]))
        square = float(v.square().sum())
        return np.append(v.numpy() / square, math.exp(min(tau - y[-1], 700.0)) / square)

    begin = np.append(x.numpy(), 0.0)
    _, speed = _logarithm(margins, x)
    rest = "the gradient flow comes to rest, or nearly; start elsewhere"
    require(float(speed.norm()) > 1e-6 * max(1.0, float(x.norm())), rest)
    found: Any = solve_ivp(slope, (taus[0], taus[-1]), begin, method="LSODA", t_eval=taus, rtol=RTOL, atol=ATOL)
    require(found.success, rest)
    return np.column_stack([begin, found.y[:, 1:]])


def _moment(model: Ridgeless, margins: Margins, start: torch.Tensor, tau: float, y: np.ndarray, like: Point) -> Moment:
    f, x = margins.f, torch.from_numpy(y[:-1].copy())
    W, H, b = f.unpack(x)
    point = Point(W, H, b, like.labels)
    square = float(x.square().sum())
    kept = [_kept(margins, z) for z in (start, x)]
    drift = float((kept[1][0] - kept[0][0]).norm()) / square + float((kept[1][1] - kept[0][1]).norm()) / square**0.5
    separates = float(margins.of(x).min()) > 0
    return Moment(
        log_loss=_logarithm(margins, x)[0],
        log_time=float(y[-1]),
        point=point,
        norm=square**0.5,
        drift=drift,
        residual=margins.multipliers(x)[1] if separates else None,
        cosine=_cosine(model, margins, x) if model.dim >= len(model.class_counts) - 1 else None,
        spread=_spread(model, point),
    )


def _kept(margins: Margins, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(W^T W - H^T H, 1^T W), which the flow does not change."""
    W, H, _ = margins.f.split(x)
    return W.T @ W - H.T @ H, W.sum(0)


def _cosine(model: Ridgeless, margins: Margins, x: torch.Tensor) -> float:
    """Of Z~ = H~ W^T with D^(1/2) Pi."""
    W, H, _ = margins.f.split(x)
    K = margins.f.num_classes
    one = torch.nn.functional.one_hot(margins.f.labels, K).to(x) - 1 / K
    return float(torch.nn.functional.cosine_similarity((H @ W.T).reshape(-1), (margins.f.roots * one).reshape(-1), 0))


def _spread(model: Ridgeless, point: Point) -> float:
    H, means = point.H, model.free.class_means(point).H
    labels = model.free.labels if point.labels is None else point.labels
    rows = means if len(H) == len(means) else means[labels]
    return float((H - rows).norm() / H.norm())
