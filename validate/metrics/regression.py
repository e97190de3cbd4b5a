"""Regression collapse of features h_i and a last layer W (K, d), b to targets y_i in R^K, with means taken out:

NRC1   mean of |u_i - P u_i|^2,  u_i = (h_i - h_G)/|h_i - h_G|,  P onto the K principal components of the features
NRC2   the same with P onto the span of the rows of W
NRC3   min over gamma of | W W^T/|W W^T|_F - A/|A|_F |_F^2,  A = Sigma^(1/2) - gamma^(1/2) I,  0 <= gamma <= lambda_min
NRC4   min over linear B of sum |y_i - y_G - B (h_i - h_G)|^2/sum |y_i - y_G|^2

Sigma (K, K) is the covariance of the targets, lambda_min its least eigenvalue.
"""

import math
from dataclasses import dataclass

import torch

from ufm import Point
from ufm.errors import require
from ufm.results import Result, Shown

from ..statistics.blocks import blocks
from ..statistics.feature_mean import feature_mean
from ..statistics.inputs import measurable

AT_CENTRE = 1e-12  # of the largest length: a feature this near to the mean has no direction


@dataclass(frozen=True)
class RegressionCollapse(Shown, Result):
    """NRC1 to NRC4: 0 at collapse, and in [0, 1], but nrc3 in [0, 4].

    nrc1, nrc2    as above; features at the mean have no direction and are left out, NaN where all are
    nrc3          at `gamma`, the best there is, or the one that was given. For K = 1 it is 0 wherever A is not; NaN for
                  W = 0
    gamma         theory has N lW lH, for a mean over samples and penalties lW/2 |W|^2, lH/2 |H|^2
    nrc4          what no linear map of the features explains of the targets' variance; 0 too where features of
                  d >= N - 1 dimensions interpolate any targets
    unexplained   what the network's own W h + b does not explain; at least nrc4; decay keeps it above

    Source: Andriopoulos et al., NeurIPS 2024 (arXiv 2409.04180) for NRC1 to NRC3; features are taken about their mean
    here, as everywhere in this project. NRC4: Rangamani and Unal 2026 (arXiv 2603.23805), as a share of the variance.
    """

    nrc1: float
    nrc2: float
    nrc3: float
    gamma: float
    nrc4: float
    unexplained: float


def regression_collapse(point: Point, targets: torch.Tensor, *, gamma: float | None = None) -> RegressionCollapse:
    """The regression collapse of a point with N rows of H, and targets (N, K) of any dtype.

    gamma  the one of NRC3, at least 0 and below the least eigenvalue of Sigma; None: the best

    nrc1, nrc2 and nrc4 stay as they are under rotations, shifts and the scale of the features, nrc3 under the scale of
    W. Float64 throughout, by orthogonal triangularisation, which does not square the condition of the features; time
    O(N (d + K)^2). Raises InputError for targets that do not fit, that are not finite, or are all equal.
    """
    point = measurable(point)
    Y = torch.as_tensor(targets, device=point.H.device).detach()
    H = point.H
    N, K = len(H), point.num_classes
    require(Y.shape == (N, K), f"targets must have shape ({N}, {K}), samples by rows of W, got {tuple(Y.shape)}")
    require(bool(torch.isfinite(Y).all()), "targets have entries that are not finite; collapse needs numbers")
    W, b, Y = point.W.double(), point.b.double(), Y.double()
    centre = feature_mean(H)
    deviations = Y - Y.mean(0)
    total = float(deviations.square().sum())
    require(total > 0, "all targets are equal: there is no variance for features to explain")
    R = _triangle(H, centre, deviations)
    U, sizes, Vt = torch.linalg.svd(R[:, : point.dim], full_matrices=False)
    kept = int((sizes > max(R.shape) * torch.finfo(sizes.dtype).eps * sizes[0]).sum())
    left = R[:, point.dim :] - U[:, :kept] @ (U[:, :kept].T @ R[:, point.dim :])
    wrong = sum(
        float((Y[part] - torch.addmm(b, H[part].double(), W.T)).square().sum()) for part in blocks(N, point.dim)
    )
    nrc3, gamma = _gram_departure(W @ W.T, torch.linalg.svd(deviations / math.sqrt(N), full_matrices=False), gamma)
    return RegressionCollapse(
        nrc1=_outside(H, centre, Vt[: min(K, kept)].T),
        nrc2=_outside(H, centre, _span(W)),
        nrc3=nrc3,
        gamma=gamma,
        nrc4=float(left.square().sum()) / total,
        unexplained=wrong / total,
    )


def _triangle(H: torch.Tensor, centre: torch.Tensor, deviations: torch.Tensor) -> torch.Tensor:
    """R with R^T R = (H - centre, Y)^T (H - centre, Y), a block of samples after the other."""
    R = deviations.new_zeros(0, H.shape[1] + deviations.shape[1])
    step = max(R.shape[1], 1024)
    for start in range(0, len(H), step):
        rows = slice(start, start + step)
        stacked = torch.cat([R, torch.cat([H[rows].double() - centre, deviations[rows]], 1)])
        R = torch.linalg.qr(stacked, mode="r").R
    return R


def _span(W: torch.Tensor) -> torch.Tensor:
    """(d, r) an orthonormal basis of the span of the rows of W (K, d)."""
    _, sizes, Vt = torch.linalg.svd(W, full_matrices=False)
    return Vt[sizes > max(W.shape) * torch.finfo(W.dtype).eps * sizes[0]].T


def _outside(H: torch.Tensor, centre: torch.Tensor, basis: torch.Tensor) -> float:
    """The mean of |u - P u|^2 over the directions u of H - centre, P onto the columns of `basis`; NaN where none is."""
    parts = list(blocks(len(H), H.shape[1]))
    longest = max(float((H[part].double() - centre).norm(dim=1).max()) for part in parts)
    total, seen = 0.0, 0
    for part in parts:
        rows = H[part].double() - centre
        lengths = rows.norm(dim=1)
        away = lengths > AT_CENTRE * max(longest, float(centre.norm()))
        unit = rows[away] / lengths[away, None]
        for _ in range(2):  # once more takes out what rounding left in the span
            unit = unit - (unit @ basis) @ basis.T
        total, seen = total + float(unit.square().sum()), seen + int(away.sum())
    return total / seen if seen else math.nan


def _gram_departure(
    gram: torch.Tensor, svd: tuple[torch.Tensor, torch.Tensor, torch.Tensor], gamma: float | None
) -> tuple[float, float]:
    """(NRC3, gamma) for W W^T and the singular value decomposition of the targets' deviations over sqrt(N).

    With G = W W^T/|W W^T|_F and S = Sigma^(1/2), the departure is 2 - 2 <G, S - c I>/|S - c I|_F, whose slope in
    c = gamma^(1/2) vanishes at one place, c = (<I, G> |S|^2 - <G, S> tr S)/(tr G tr S - K <G, S>).
    """
    _, sizes, Vt = svd
    S, K = (Vt.T * sizes) @ Vt, len(gram)
    G, eye = gram / gram.norm(), torch.eye(K).to(gram)
    top = float(sizes[-1]) if len(sizes) == K else 0.0
    if gamma is None:
        a, g, s = (float(value) for value in ((G * S).sum(), G.trace(), S.trace()))
        slope = g * s - K * a
        still = (g * float(S.square().sum()) - a * s) / slope if slope else 0.0
        candidates = [0.0, top, *([still] if 0 < still < top else [])]
    else:
        require(0 <= gamma < top**2 or gamma == 0, f"gamma must lie in [0, {top**2:.6g}), got {gamma}")
        candidates = [math.sqrt(gamma)]
    found = []
    for c in candidates:
        A = S - c * eye
        size = A.norm()
        if float(size) > 1e-12 * float(sizes[0]):
            found.append((float((G - A / size).square().sum()), c**2))
    return min(found)
