"""Out of distribution: how features of other data stand to those of the training set.

NC5            mean_k |cos(h_k, o)|                  o the mean feature of the other data
NC5, centred   mean_k |cos(h_k - h_G, o - h_G)|
AUROC          P(score inside > score outside) + P(equal)/2
FPR95          the least share of outside samples at a threshold that keeps 95% of those inside
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torchmetrics.functional.classification import binary_auroc, binary_roc

from ufm import Point
from ufm.errors import require
from ufm.results import Result, Shown, Table
from ufm.results.table import cell

from ..statistics.blocks import blocks
from ..statistics.classes import class_statistics
from ..statistics.feature_mean import feature_mean
from ..statistics.inputs import measurable
from .ood_scores import SCORES, Fitted, Score

RECALL = 0.95


@dataclass(frozen=True)
class Detection(Result):
    """How well a score tells inside from outside: AUROC (1/2 by chance, 1 at best), FPR95 (0.95 by chance, 0 at best).

    Samples inside count as positive. Both are rounded to float32 by torchmetrics.
    """

    auroc: float
    fpr95: float


@dataclass(frozen=True)
class OutOfDistribution(Shown, Result):
    """How features outside the training distribution stand to it.

    nc5          mean over classes of |cos(h_k, o)|, o the mean outside: 0 where o is orthogonal to every class mean. It
                 depends on where the features' origin is. Source: Ammar et al., ICLR 2024 (arXiv 2310.06823); the
                 package neural_collapse has it as `orthogonality_deviation(means, mG_ood)`
    nc5_centred  the same about the global mean of the training set: unchanged by shifts
    scores       by name: how well each score tells inside from outside (`validate.metrics.ood_scores`)

    NaN where a mean is 0.
    """

    nc5: float
    nc5_centred: float
    scores: dict[str, Detection]

    def as_table(self) -> Table:
        """A row a score."""
        rows = [(name, found.auroc, found.fpr95) for name, found in self.scores.items()]
        said = f"NC5 {cell(self.nc5)}; about the global mean {cell(self.nc5_centred)}"
        return Table(
            "inside against outside of the training distribution", ("score", "AUROC", "FPR95"), rows, notes=[said]
        )


def out_of_distribution(
    train: Point,
    inside: Point | torch.Tensor,
    outside: Point | torch.Tensor,
    labels: torch.Tensor | None = None,
    *,
    scores: Mapping[str, Score] = SCORES,
    components: int | None = None,
    alpha: float = 0.0,
) -> OutOfDistribution:
    """NC5 and the detection of outside features by scores that are fitted to the training set.

    train, labels  the point of the training set with its N labels, as for `validate.neural_collapse`
    inside         features (m, d) of other samples of the same distribution, or a Point of them
    outside        features (m', d) of samples of another one, or a Point: `validate.collect(model, loader)[0]`
    scores         name -> score(fitted, H), larger for what is more like the training set
    components     principal components of neco; None: min(K - 1, d)
    alpha          weight of |h|_1 in nci; papers choose it, and the components, on held-out data

    Float64 throughout. Raises InputError for features that do not fit or are not finite, for a class without samples,
    and for a score that gives NaN.
    """
    train = measurable(train)
    sets = {"inside": _features(inside, train, "inside"), "outside": _features(outside, train, "outside")}
    statistics = class_statistics(train, labels)
    require(not statistics.exponent, "features of such a size leave float64 in the squares; divide them by their size")
    fitted = Fitted.of(train, statistics, components, alpha)
    o = feature_mean(sets["outside"])
    return OutOfDistribution(
        nc5=_mean_cosine(statistics.means, o),
        nc5_centred=_mean_cosine(statistics.centred, o - fitted.centre),
        scores={
            name: detection(*(_scored(score, name, fitted, H) for H in sets.values())) for name, score in scores.items()
        },
    )


def detection(inside: torch.Tensor, outside: torch.Tensor) -> Detection:
    """AUROC and FPR95 of scores (m,) inside and (m',) outside, of any size: their ranks alone count."""
    values = torch.cat([inside, outside]).double()
    ranks = torch.unique(values, return_inverse=True)[1].double()
    # torchmetrics takes what is not in [0, 1] for logits, and its sigmoid makes large ones equal.
    ranks /= ranks.max().clamp_min(1)
    truth = torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))]).to(values.device).long()
    false, true, _ = binary_roc(ranks, truth)
    return Detection(float(binary_auroc(ranks, truth)), float(false[true >= RECALL].min()))


def _mean_cosine(means: torch.Tensor, o: torch.Tensor) -> float:
    return float(((means @ o) / (means.norm(dim=1) * o.norm())).abs().mean())


def _features(given: Point | torch.Tensor, train: Point, name: str) -> torch.Tensor:
    H = given.H if isinstance(given, Point) else given
    tensor = isinstance(H, torch.Tensor)
    require(tensor, f"{name} must be features (m, {train.dim}) or a Point, got {type(H).__name__}")
    fits = H.ndim == 2 and H.shape[1] == train.dim and len(H) > 0 and H.is_floating_point()
    require(fits, f"{name} must be features of shape (m, {train.dim}), m >= 1, got {H.dtype} of shape {tuple(H.shape)}")
    require(bool(torch.isfinite(H).all()), f"features {name} have entries that are not finite; scores need numbers")
    return H.detach().to(train.H.device)


def _scored(score: Score, name: str, fitted: Fitted, H: torch.Tensor) -> torch.Tensor:
    values = torch.cat([score(fitted, H[part].double()) for part in blocks(len(H), max(fitted.W.shape))])
    require(not bool(values.isnan().any()), f"the score {name!r} gave NaN, which no threshold can tell from the rest")
    return values
