"""Every metric of a Point, of batches, or of what a stream left, put together: float64, in one pass over deviations.

Each file beside this one has a quantity: its formula, its source, its function.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from ufm import Point
from ufm.errors import require
from ufm.results import Result, Shown

from ..statistics.classes import Batches, ClassStatistics, batch_statistics, point_statistics
from ..statistics.inputs import measurable
from ..statistics.pairs import Pairs
from ..statistics.reference import Centres, Reference, about
from ..statistics.scale import logits_in_units, power, to_size_one
from .angles import angles
from .cdnv import cdnv
from .definitions import Definitions, Options
from .effective_rank import effective_rank
from .equinorm import equinorm
from .formulas import FORMULAS
from .nc1 import nc1, nc1_quotient, nc1_worst_class
from .nc2 import nc2
from .nc3 import centred_rows, nc3, self_duality
from .nc4 import nc4
from .nearest_center import NearestCenter

if TYPE_CHECKING:
    from typing_extensions import Unpack

ROWS = 4096  # classes that are compared with all others; of more classes, so many are drawn
# What needs a class of two samples: the mean of one sample is where the sample is.
WITHIN = ("nc1", "nc1_quotient", "nc1_worst_class", "cdnv", "nearest_center_accuracy")
OF_CLASSIFIER = (  # what needs W
    "nc2",
    "nc3",
    "nc4",
    "self_duality",
    "equinorm_w",
    "equiangularity_w",
    "simplex_angles_w",
    "coherence_w",
)

DEFAULT = Definitions()


@dataclass(frozen=True)
class NeuralCollapse(Shown, Result):
    """How far features and classifier are from neural collapse.

    With class means h_k, the mean of all samples h_G, centred means Hbar = [h_k - h_G], Sigma_k the mean over the
    samples of class k of (h - h_k)(h - h_k)^T, Sigma_W that over all samples, Sigma_B the mean over the classes of
    (h_k - h_G)(h_k - h_G)^T, and Pi = I - 11^T/K:

    nc1  tr(Sigma_W Sigma_B^+)/K                                   (within-class variability) [1]
    nc2  | W W^T/|W W^T|_F - Pi/sqrt(K-1) |_F                      (classifier against the simplex ETF) [1]
    nc3  | W Hbar/|W Hbar|_F - Pi/sqrt(K-1) |_F                    (self-duality) [1]
    nc4  | b + W h_G |_2                                           (collapse of the bias) [1]
    nearest_center_disagreement  the fraction of samples whose largest logit, bias included, is not of the class with
         the nearest mean: NC4 of [2]. NaN where single samples were not seen or all means are equal
    nearest_center_accuracy      the fraction of samples whose nearest class mean is that of their own class. NaN
         likewise
    rank       numerical rank of the centred means, at most min(K - 1, d)
    condition  largest over smallest kept eigenvalue of their Gram matrix: nc1 may be uncertain by 1e-16 times this,
         relative, and where it is near 1e13 a direction more or less counts as one
    nc1_quotient      tr Sigma_W/tr Sigma_B [3]
    nc1_worst_class   the largest tr Sigma_k/tr Sigma_B over the classes
    cdnv              mean over pairs of (tr Sigma_j + tr Sigma_k)/(2 |h_j - h_k|^2) [4]
    nc2_means         | Hbar^T Hbar/|Hbar^T Hbar|_F - Pi/sqrt(K-1) |_F
    equinorm_w, equinorm_means             standard deviation over mean of the norms of the rows of W, of Hbar [2]
    equiangularity_w, equiangularity_means standard deviation over pairs of their cosines [2]
    simplex_angles_w, simplex_angles_means mean over pairs of |cos + 1/(K-1)|: maximal equiangularity [2]
    coherence_w, coherence_means           largest |cos + 1/(K-1)| over pairs
    self_duality      | W/|W|_F - Hbar/|Hbar|_F |_F: NC3 of [2]
    effective_rank    exp of the entropy of the singular values of Hbar, scaled to sum 1 [5]

    All but rank, condition, effective_rank and the accuracy are 0 at perfect collapse, to a simplex ETF. Deviations are
    computed from features less their class means, so nc1 is exact deep into collapse, and never negative. Where a
    denominator vanishes (all means equal, or W = 0) a metric is NaN, or inf where its numerator does not vanish; the
    metrics of a classifier that was not given are NaN. Where there are more than ROWS classes, those over pairs and the
    nearest-centre decisions are an `Estimate` with its error, and nc2, nc3, nc2_means come from traces. Features and
    weights of any size can be measured: those of 1e160 are scaled first, by a power of two.

    Of held-out samples (`reference`) h_k, h_G, Hbar and Sigma_B are those of the training set, so that nc2, nc3, nc4,
    rank, condition and all that is of the means alone are the training set's own; Sigma_k is the mean over the
    held-out samples of class k of (h - h_k)(h - h_k)^T, Sigma_W that over all held-out samples, and decisions are of
    the held-out samples, by the training means. `Definitions` has what else can be meant by these names.

    Where no class has two samples, as in the class means that a run keeps of each epoch, nothing within a class was
    seen: nc1, nc1_quotient, nc1_worst_class, cdnv and the accuracy are not defined, and NaN. Beside larger classes a
    class of one sample counts, with a variance of 0. A held-out sample that is alone in its class counts as any other,
    for the class mean is that of others; a class without held-out samples has no variance, and no pair in cdnv.

    [1] Zhu et al. 2021 (arXiv 2105.02375), section on experiments. [2] Papyan, Han and Donoho, PNAS 2020, figures 2
    to 7. [3] Tirer and Bruna, ICML 2022, and Hui, Belkin and Nakkiran 2022 (arXiv 2202.08384). [4] Galanti, Gyorgy and
    Hutter, ICLR 2022. [5] Roy and Vetterli, EUSIPCO 2007. What [1] and [2] have in common is scaled as in [1].
    """

    nc1: float
    nc2: float
    nc3: float
    nc4: float
    nearest_center_disagreement: float
    nearest_center_accuracy: float
    rank: int
    condition: float
    nc1_quotient: float
    nc1_worst_class: float
    cdnv: float
    nc2_means: float
    equinorm_w: float
    equinorm_means: float
    equiangularity_w: float
    equiangularity_means: float
    simplex_angles_w: float
    simplex_angles_means: float
    coherence_w: float
    coherence_means: float
    self_duality: float
    effective_rank: float

    formulas = FORMULAS


def neural_collapse(
    point: Point,
    labels: torch.Tensor | None = None,
    *,
    reference: Reference | None = None,
    rows: int = ROWS,
    absent: str = "error",
    **definitions: "Unpack[Options]",
) -> NeuralCollapse:
    """Every metric of a point (theory's or a network's).

    labels  (N,) int, one for each row of H; None: those of the point, or one row a class. A collapsed point (H of K
            rows) may be given the N labels of samples that all are where their class's row is, as at theory's
            minimiser: its nc1 is then 0. Of a network's class means that is not so, and without labels it is NaN.
    reference  the training set, where the point has held-out samples: (point, labels), batches (features, labels), or
            the statistics of one pass over them (`NeuralCollapseMetric.statistics()`, `validate.Moments`)
    rows    up to so many classes everything is exact; of more, so many are drawn and compared with each other, and the
            metrics over pairs are an `Estimate`. rows=K is exact at any K, in time K^2 d and still without K x K
    absent  "error" raises InputError for a class without samples; "drop" measures the classes that have some. With a
            reference it is the reference that must have some of each class
    definitions  centre="classes", centre_w=True, ...: the fields of `Definitions`

    Time O(N d min(K, d) + min(K, rows) (K + N) d), memory O(K d + min(K, d)^2) beside the point.

    >>> import torch, ufm, validate
    >>> problem = ufm.Problem.balanced(num_classes=3, per_class=2, dim=2, lambda_w=5e-3, lambda_h=5e-3)
    >>> collapse = validate.neural_collapse(ufm.global_minimizer(problem), torch.tensor([0, 0, 1, 1, 2, 2]))
    >>> collapse.nc1, collapse.rank, max(collapse.nc2, collapse.nc3, collapse.nc4) < 1e-12
    (0.0, 2, True)
    """
    asked = Definitions.named(definitions)
    point = measurable(point)
    statistics = point_statistics(point, labels)
    return collapse(statistics, point.W, point.b, rows=rows, absent=absent, reference=reference, definitions=asked)


def batch_neural_collapse(
    batches: Batches,
    W: torch.Tensor,
    b: torch.Tensor | None = None,
    *,
    reference: Reference | None = None,
    rows: int = ROWS,
    absent: str = "error",
    **definitions: "Unpack[Options]",
) -> NeuralCollapse:
    """Every metric of batches (features (m, d), labels (m,)) that can be iterated over twice, and W (K, d), b (K,).

    The same numbers as `neural_collapse`, in memory O(K d + min(K, d)^2): class means first, then their deviations.
    """
    asked = Definitions.named(definitions)
    statistics = batch_statistics(batches, len(W), device=W.device)
    return collapse(statistics, W, b, rows=rows, absent=absent, reference=reference, definitions=asked)


def collapse(
    statistics: ClassStatistics,
    W: torch.Tensor | None = None,
    b: torch.Tensor | None = None,
    *,
    rows: int = ROWS,
    absent: str = "error",
    reference: Reference | Centres | None = None,
    definitions: Definitions = DEFAULT,
) -> NeuralCollapse:
    """Every metric of class statistics and, if given, of a classifier W (K, d), b (K,; None for 0)."""
    require(absent in ("error", "drop"), f'absent must be "error" or "drop", got {absent!r}')
    require(rows >= 2, f"rows must be >= 2 classes, got {rows}")
    statistics = statistics if reference is None else about(statistics, reference)
    statistics, classes = definitions.measured(statistics, absent)
    W, b = (None, None) if W is None else _classifier(W, b, classes, statistics.means)
    nearest = NearestCenter(statistics, *_judging(W, b, statistics.exponent), rows)
    whitened = statistics.within.whitened(statistics.between, statistics.num_samples, nearest)
    means = _of_size_one(statistics, rows)
    return NeuralCollapse(
        nc1=nc1(statistics, whitened),
        nc1_quotient=nc1_quotient(statistics),
        nc1_worst_class=nc1_worst_class(statistics),
        cdnv=cdnv(statistics, rows, definitions.cdnv_exponent),
        nearest_center_disagreement=nearest.disagreement,
        nearest_center_accuracy=nearest.accuracy if statistics.sees_within else math.nan,
        rank=statistics.between.rank,
        condition=statistics.between.condition,
        effective_rank=effective_rank(statistics.between),
        nc2_means=nc2(means),
        **_shape("means", means),
        **_of_classifier(W, b, statistics, rows, definitions.centre_w),
    )


def _classifier(
    W: torch.Tensor, b: torch.Tensor | None, classes: torch.Tensor, means: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """W and b of the classes that are measured, float64; InputError where they do not fit the class means."""
    b = W.new_zeros(len(W)) if b is None else b
    dim = means.shape[1]
    require(
        W.ndim == 2 and W.shape[1] == dim and b.shape == W.shape[:1],
        f"features of {dim} dimensions need W of shape (K, {dim}) and b of shape (K,), got {tuple(W.shape)} and "
        f"{tuple(b.shape)}",
    )
    W, b = (part if len(classes) == len(W) else part[classes] for part in (W.detach(), b.detach()))
    return W.to(means), b.to(means)


def _judging(
    W: torch.Tensor | None, b: torch.Tensor | None, exponent: int
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """A classifier that decides alike on features in units of 2^exponent."""
    return (None, None) if W is None or b is None else logits_in_units(W, b, exponent)[:2]


def _of_classifier(
    W: torch.Tensor | None, b: torch.Tensor | None, statistics: ClassStatistics, rows: int, centred: bool
) -> Mapping[str, float]:
    if W is None or b is None:
        return dict.fromkeys(OF_CLASSIFIER, math.nan)
    judging, offsets, exponent = logits_in_units(W, b, statistics.exponent)
    W, means = to_size_one(W), _of_size_one(statistics, rows)
    W = centred_rows(W) if centred else W
    of_w = Pairs(W, rows)
    return {
        "nc2": nc2(of_w),
        "nc3": nc3(of_w.against(means)),
        "nc4": nc4(judging, offsets, statistics.global_mean) * power(exponent),
        "self_duality": self_duality(W, means.X),
        **_shape("w", of_w),
    }


def _of_size_one(statistics: ClassStatistics, rows: int) -> Pairs:
    """The pairs of centred class means in a unit in which their fourth powers are float64 numbers."""
    means = to_size_one(statistics.centred)
    return statistics.pairs(rows) if means is statistics.centred else Pairs(means, rows)


def _shape(of: str, pairs: Pairs) -> Mapping[str, float]:
    """The norms and angles of the rows of X (K, d), of its pairs with itself."""
    found = {"equinorm": equinorm(pairs.norms)} | asdict(angles(pairs))
    return {f"{name}_{of}": value for name, value in found.items()}
