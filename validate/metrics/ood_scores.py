"""Scores that say how much a feature is like the training set's, larger for what is more like it:

max_softmax    max_k softmax(W h + b)_k             through its log-odds, an increasing map of it
max_logit      max_k (W h + b)_k
neco           |P z|/|z|                             z = h - h_G, P onto the principal components of the features
neco_logit     |P z|/|z| max_k (W h + b)_k
nci            <w_y, z>/|z| + alpha |h|_1            y the largest logit's class
nearest_mean   -min_k |h - h_k|
residual       -|z - Q z|                            Q onto the span of the centred class means
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ufm import Point
from ufm.errors import require

from ..statistics.blocks import blocks
from ..statistics.classes import ClassStatistics

ROUNDING = 1e-13  # relative: scores that differ by less are equal, for their order to be no accident


@dataclass(frozen=True, eq=False)
class Fitted:
    """What the scores know of the training set, float64.

    W (K, d), b (K,), means (K, d) of the classes, centre (d,) = h_G
    components  (d, r) the leading principal components of the features, orthonormal
    span        (d, q) an orthonormal basis of the span of the centred class means
    alpha       the weight of |h|_1 in nci
    """

    W: torch.Tensor
    b: torch.Tensor
    means: torch.Tensor
    centre: torch.Tensor
    components: torch.Tensor
    span: torch.Tensor
    alpha: float = 0.0

    @classmethod
    def of(cls, point: Point, statistics: ClassStatistics, components: int | None, alpha: float) -> "Fitted":
        """Fit to a point with the statistics of its classes; InputError for components out of 1 .. d.

        components  how many principal components; None: min(K - 1, d), the rank of a simplex ETF
        """
        K, d = point.W.shape
        r = min(K - 1, d) if components is None else components
        require(1 <= r <= d, f"components must lie in 1 .. {d}, the dimension of the features, got {r}")
        centre = statistics.global_mean
        scatter = sum((_scatter(point.H[part] - centre) for part in blocks(len(point.H), d)), centre.new_zeros(d, d))
        basis = statistics.between.basis[:, statistics.between.sizes > 0]
        return cls(
            W=point.W.double(),
            b=point.b.double(),
            means=statistics.means,
            centre=centre,
            components=torch.linalg.eigh(scatter).eigenvectors[:, d - r :],
            span=torch.linalg.qr(basis).Q,
            alpha=alpha,
        )

    def logits(self, H: torch.Tensor) -> torch.Tensor:
        """(m, K)"""
        return torch.addmm(self.b, H, self.W.T)


def _scatter(rows: torch.Tensor) -> torch.Tensor:
    return rows.T @ rows


# score(fitted, H) is (m,) float64 for features H (m, d) float64, larger for what is more like the training set.
Score = Callable[[Fitted, torch.Tensor], torch.Tensor]


def max_softmax(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """The log-odds log(p/(1 - p)) of p, the largest softmax: at collapse p itself is 1 to all of float64's digits.

    Source: Hendrycks and Gimpel, ICLR 2017 (arXiv 1610.02136).
    """
    logits = fitted.logits(H)
    largest, chosen = logits.max(1, keepdim=True)
    others = logits.scatter(1, chosen, -torch.inf).logsumexp(1)
    return largest.squeeze(1) - others


def max_logit(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """Source: Hendrycks et al., ICML 2022 (arXiv 1911.11132)."""
    return fitted.logits(H).amax(1)


def neco(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """In [0, 1], 1 in the span of the components, 0 at h_G; unchanged by rotations, shifts and scale of the features.

    Source: Ammar et al., ICLR 2024 (arXiv 2310.06823). Their code and `pytorch_ood.detector.NECO` (its negative) divide
    each coordinate by its standard deviation first, by default, which depends on the axes; here none is.
    """
    z = H - fitted.centre
    share = _by_length((z @ fitted.components).norm(dim=1), z, fitted)
    return torch.where(share > 1 - ROUNDING, 1.0, share)


def neco_logit(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """A negative largest logit turns the order of what it scales.

    Source: Ammar et al., ICLR 2024 (arXiv 2310.06823), who scale so for transformers.
    """
    return neco(fitted, H) * max_logit(fitted, H)


def nci(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """Unchanged by rotations and shifts of the features where alpha = 0, since |h|_1 is not.

    Source: Liu and Qin, CVPR 2025 (arXiv 2311.01479). `pytorch_ood.detector.NCI` is its negative.
    """
    z, y = H - fitted.centre, fitted.logits(H).argmax(1)
    return _by_length((fitted.W[y] * z).sum(1), z, fitted) + fitted.alpha * H.abs().sum(1)


def nearest_mean(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """Unchanged by rotations and shifts of the features, taken about h_G for accuracy.

    Source: the nearest class centre of Papyan, Han and Donoho, PNAS 2020 (arXiv 2008.08186), NC4, as a score.
    """
    return -torch.cdist(H - fitted.centre, fitted.means - fitted.centre).amin(1)


def residual(fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    """Unchanged by rotations and shifts of the features.

    Source: the residual of Wang et al., CVPR 2022 (arXiv 2203.10807), to the span of the means, where theirs, and
    `pytorch_ood.detector.Residual`, is to the leading principal components about a point at which W h + b is least.
    """
    z = H - fitted.centre
    left = (z - (z @ fitted.span) @ fitted.span.T).norm(dim=1)
    return -torch.where(left > ROUNDING * z.norm(dim=1), left, 0.0)


def _by_length(values: torch.Tensor, z: torch.Tensor, fitted: Fitted) -> torch.Tensor:
    """values/|z| (m,), and 0 where z is what rounding left of h_G - h_G."""
    lengths = z.norm(dim=1)
    return torch.where(lengths > ROUNDING * fitted.centre.norm(), values / lengths, 0.0)


SCORES: Mapping[str, Score] = {
    "max_softmax": max_softmax,
    "max_logit": max_logit,
    "neco": neco,
    "neco_logit": neco_logit,
    "nci": nci,
    "nearest_mean": nearest_mean,
    "residual": residual,
}
