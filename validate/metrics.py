"""Neural collapse of a Point: NC1 to NC4, exact in float64 through K x K Gram matrices."""

import math
from dataclasses import dataclass

import torch

from ufm import InputError, Point


@dataclass(frozen=True)
class NeuralCollapse:
    """How far a Point is from neural collapse; every nc is 0 at a perfectly collapsed one.

    With class means h_k, the mean of all samples h_G, centred means Hbar = [h_k - h_G], and
    Pi = I - 11^T/K:

    nc1  tr(Sigma_W Sigma_B^+)/K, Sigma_W = mean over samples of (h - h_k)(h - h_k)^T,
         Sigma_B = mean over classes of (h_k - h_G)(h_k - h_G)^T   (within-class variability)
    nc2  | W W^T/|W W^T|_F - Pi/sqrt(K-1) |_F                      (classifier against the simplex ETF)
    nc3  | W Hbar/|W Hbar|_F - Pi/sqrt(K-1) |_F                    (self-duality)
    nc4  | b + W h_G |_2                                           (collapse of the bias)
    nearest_center_disagreement  the fraction of samples whose largest logit is not of the class with the
         nearest mean: the fourth property of Papyan, Han and Donoho (PNAS 2020)
    rank       numerical rank of the centred means, at most min(K - 1, d)
    condition  largest over smallest kept eigenvalue of their Gram matrix

    Source of nc1 to nc4: Zhu et al. 2021 (arXiv 2105.02375), section on experiments. Where a
    denominator vanishes (all means equal, or W = 0) the metric is NaN, or inf for nc1 > 0.
    """

    nc1: float
    nc2: float
    nc3: float
    nc4: float
    nearest_center_disagreement: float
    rank: int
    condition: float


@dataclass(frozen=True)
class ClassStatistics:
    """First-order statistics of labelled features, float64.

    counts (K,), means (K, d), global_mean (d,), centred (K, d) = means - global_mean,
    deviations (N, d) of the features from their class mean; None for a collapsed point.
    """

    counts: torch.Tensor
    means: torch.Tensor
    global_mean: torch.Tensor
    centred: torch.Tensor
    deviations: torch.Tensor | None


def resolve_labels(point: Point, labels: torch.Tensor | None = None) -> torch.Tensor:
    """The (N,) int64 labels that go with a point; InputError when they do not fit it."""
    labels = point.labels if labels is None else torch.as_tensor(labels)
    if labels is None:
        if point.H.shape[0] != point.num_classes:
            raise InputError(f"H has {point.H.shape[0]} rows, one a sample: pass the labels of the samples")
        labels = torch.arange(point.num_classes)
    labels = labels.to(point.H.device)
    if labels.ndim != 1 or labels.is_floating_point():
        raise InputError(f"labels must be a vector of integers, got {labels.dtype} of shape {tuple(labels.shape)}")
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= point.num_classes:
        raise InputError(f"labels must lie in 0 .. {point.num_classes - 1} to fit W with K = {point.num_classes} rows")
    if len(labels) != point.H.shape[0] and point.H.shape[0] != point.num_classes:
        raise InputError(f"{len(labels)} labels for {point.H.shape[0]} rows of H; pass one for each row")
    return labels.long()


def class_statistics(point: Point, labels: torch.Tensor | None = None) -> ClassStatistics:
    """The class statistics of a point. InputError names a class without samples."""
    labels = resolve_labels(point, labels)
    K, H = point.num_classes, point.H.double()
    counts = torch.bincount(labels, minlength=K)
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        raise InputError(f"no sample of class {empty[0]} ({len(empty)} of {K} classes are empty): metrics need all")
    weights = counts.to(H)
    if len(labels) != H.shape[0]:  # a collapsed point that stands for all these samples
        means, deviations = H, None
    else:
        means = H.new_zeros(K, H.shape[1]).index_add_(0, labels, H) / weights[:, None]
        deviations = H - means[labels]
    global_mean = weights @ means / weights.sum()
    return ClassStatistics(counts, means, global_mean, means - global_mean, deviations)


def neural_collapse(point: Point, labels: torch.Tensor | None = None) -> NeuralCollapse:
    """NC1 to NC4 of a point (theory's or a network's).

    labels (N,) int, one for each row of H; None: those of the point, or one row a class. A collapsed
    point (H of K rows) may be given the N labels of the samples that it stands for.
    """
    labels = resolve_labels(point, labels)
    statistics = class_statistics(point, labels)
    W, b = point.W.double(), point.b.double()
    nc1, rank, condition = _within_over_between(statistics)
    return NeuralCollapse(
        nc1=nc1,
        nc2=_distance_to_simplex(W @ W.T),
        nc3=_distance_to_simplex(W @ statistics.centred.T),
        nc4=float((b + W @ statistics.global_mean).norm()),
        nearest_center_disagreement=_disagreement(point.double(), statistics),
        rank=rank,
        condition=condition,
    )


def _within_over_between(statistics: ClassStatistics) -> tuple[float, int, float]:
    """(tr(Sigma_W Sigma_B^+)/K, rank of Sigma_B, condition number of the Gram matrix).

    The rows of `centred`, weighted by the counts, sum to zero: Q, a basis of the complement of the
    counts, takes that null vector out exactly. With B = Q^T centred and the Gram matrix B B^T = U e U^T,
        tr(Sigma_W Sigma_B^+)/K = |e^-1 U^T B deviations^T|_F^2 / N.
    """
    K, d = statistics.centred.shape
    weights = statistics.counts.to(statistics.centred)
    Q = torch.linalg.qr((weights / weights.norm())[:, None], mode="complete")[0][:, 1:]
    B = Q.T @ statistics.centred
    sizes, U = torch.linalg.eigh(B @ B.T)
    keep = sizes > max(K, d) * torch.finfo(sizes.dtype).eps * sizes[-1]
    keep &= torch.arange(len(sizes), device=keep.device) >= len(sizes) - d
    sizes, U = sizes[keep], U[:, keep]
    deviations = statistics.deviations
    spread = 0.0 if deviations is None else float(deviations.square().sum())
    if not len(sizes):
        return (math.inf if spread else math.nan), 0, math.nan
    rank, condition = len(sizes), float(sizes[-1] / sizes[0])
    if not spread:
        return 0.0, rank, condition
    pulled = ((U / sizes).T @ B) @ deviations.T
    return float(pulled.square().sum()) / len(deviations), rank, condition


def _distance_to_simplex(gram: torch.Tensor) -> float:
    """|gram/|gram| - Pi/sqrt(K-1)|_F; NaN for a zero matrix."""
    K = gram.shape[0]
    target = (torch.eye(K).to(gram) - 1 / K) / math.sqrt(K - 1)
    return float((gram / gram.norm() - target).norm())


def _disagreement(point: Point, statistics: ClassStatistics) -> float:
    chosen = point.logits.argmax(1)
    # |h - h_k|^2 = |h|^2 - 2 <h, h_k> + |h_k|^2, about the global mean for accuracy.
    features = point.H - statistics.global_mean
    scores = features @ statistics.centred.T - statistics.centred.square().sum(1) / 2
    return float((chosen != scores.argmax(1)).double().mean())
