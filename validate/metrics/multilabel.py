"""Multi-label collapse: the mean feature of samples with the tags S is the scaled sum of those of single tags,

    h_S - h_G = C_m sum_{k in S} (h_k - h_G),     m = |S|,

the tag-wise average, with one C_m for each multiplicity m; single tags collapse as classes do.
"""

import math
from dataclasses import dataclass, fields

import torch

from ufm import Point
from ufm.errors import require
from ufm.results import Result, Shown, Table
from ufm.results.table import cell

from ..statistics.blocks import blocks
from ..statistics.classes import ClassStatistics, batch_statistics
from ..statistics.feature_mean import feature_mean
from ..statistics.inputs import measurable
from .nc1 import nc1
from .neural_collapse import NeuralCollapse, neural_collapse


@dataclass(frozen=True)
class TagwiseAverage(Result):
    """What the samples with m tags show.

    multiplicity  m                              sets, samples   how many sets of m tags occur, and their samples
    nc1           tr(Sigma_W Sigma_B^+)/sets with the sets S in the place of classes, about the mean of these samples;
                  NaN for one set, and where no set has two samples
    scale         C_m, the one that fits the sets best (least squares, each set counts the same)
    departure     sqrt(sum_S |g_S - C_m sum_k g_k|^2/sum_S |g_S|^2) with g = h - h_G, in [0, 1]: 0 at collapse
    cosine        the mean over S of the cosine of g_S and sum_{k in S} g_k: 1 at collapse
    """

    multiplicity: int
    sets: int
    samples: int
    nc1: float
    scale: float
    departure: float
    cosine: float


@dataclass(frozen=True)
class MultilabelCollapse(Shown, Result):
    """Collapse of multi-label data.

    single    every metric of `NeuralCollapse` of the samples with one tag, about their own mean
    averages  the tag-wise averages, one for each multiplicity m >= 2 that occurs, ascending

    Source: Li, Li, Wang and Qu, ICML 2024 (arXiv 2310.15903): at the global minimisers of the pick-all-label loss, for
    data that are balanced within each multiplicity, single tags are at a simplex ETF and h_S is the tag-wise average.
    The theorem "tag-wise average" of `ufm.verify` checks it on the model.
    """

    single: NeuralCollapse
    averages: tuple[TagwiseAverage, ...]

    def as_table(self) -> Table:
        """A row a multiplicity; below, the NC1 of the samples with one tag."""
        names = [one.name for one in fields(TagwiseAverage)]
        rows = [[getattr(one, name) for name in names] for one in self.averages]
        single = cell(self.single.nc1), cell(self.single.nc2_means)
        said = f"samples with one tag: NC1 {single[0]}, NC2 of their means {single[1]}"
        return Table("tag-wise averages", tuple(names), rows, notes=[said])


def multilabel_collapse(point: Point, tags: torch.Tensor) -> MultilabelCollapse:
    """The multi-label collapse of features H (N, d) with tags (N, K), 0 or 1 of any dtype: 1 where the sample has it.

    h_G is the mean of all samples. Every tag needs samples that have it alone, for h_k. Numbers stay as they are under
    rotations and shifts of the features and, but for single's nc4, under their scale. Raises InputError for tags that
    do not fit H and W, samples without a tag, and tags without samples of their own.
    """
    point = measurable(point)
    tags = torch.as_tensor(tags, device=point.H.device)
    K, N = point.num_classes, len(point.H)
    require(tags.shape == (N, K), f"tags must have shape ({N}, {K}), samples by tags, got {tuple(tags.shape)}")
    require(bool(((tags == 0) | (tags == 1)).all()), "tags must be 0 or 1")
    tags = tags.bool()
    sizes = tags.sum(1)
    require(bool((sizes > 0).all()), f"{int((sizes == 0).sum())} samples have no tag; leave them out")
    alone = sizes == 1
    labels = tags[alone].int().argmax(1)
    missing = (torch.bincount(labels, minlength=K) == 0).nonzero().flatten().tolist()
    require(not missing, f"no sample has tag {missing[:1]} alone ({len(missing)} of {K} tags): the average needs them")
    single = neural_collapse(Point(point.W, point.H[alone], point.b), labels)
    centre = feature_mean(point.H)
    means = _statistics(point.H[alone], labels, K).means - centre
    found = [_average(int(m), point.H[sizes == m], tags[sizes == m], means, centre) for m in sizes.unique() if m > 1]
    return MultilabelCollapse(single, tuple(found))


def _average(m: int, H: torch.Tensor, tags: torch.Tensor, means: torch.Tensor, centre: torch.Tensor) -> TagwiseAverage:
    """The tag-wise average of samples H (n, d) with m tags each, about single means (K, d) less the centre."""
    sets, places = torch.unique(tags, dim=0, return_inverse=True)
    statistics = _statistics(H, places, len(sets))
    seen, sums = statistics.means - centre, sets.to(means) @ means
    inner = (seen * sums).sum(1)
    scale = inner.sum() / sums.square().sum()
    return TagwiseAverage(
        multiplicity=m,
        sets=len(sets),
        samples=len(H),
        nc1=_nc1(statistics) if len(sets) > 1 else math.nan,
        scale=float(scale),
        departure=float((seen - scale * sums).norm() / seen.norm()),
        cosine=float((inner / (seen.norm(dim=1) * sums.norm(dim=1))).mean()),
    )


def _statistics(H: torch.Tensor, labels: torch.Tensor, K: int) -> ClassStatistics:
    pieces = [(H[part], labels[part]) for part in blocks(len(H), max(K, H.shape[1]))]
    statistics = batch_statistics(pieces, K, device=H.device)
    require(not statistics.exponent, "features of such a size leave float64 in the squares; divide them by their size")
    return statistics


def _nc1(statistics: ClassStatistics) -> float:
    return nc1(statistics, statistics.within.whitened(statistics.between, statistics.num_samples))
