"""The collapse of each class, a row a class:

tr(Sigma_k Sigma_B^+)/K,   tr Sigma_k/tr Sigma_B,   |w_k|,   |h_k - h_G|,   cos(w_k, h_k - h_G).
"""

from typing import TYPE_CHECKING

import torch

from ufm import Point
from ufm.errors import require

from ..statistics.classes import point_statistics
from ..statistics.inputs import measurable
from ..statistics.scale import logits_in_units, power
from .definitions import Definitions, Options
from .nc1 import trace_between
from .nc3 import centred_rows
from .nearest_center import NearestCenter
from .neural_collapse import ROWS

if TYPE_CHECKING:
    from typing_extensions import Unpack


def per_class(
    point: Point, labels: torch.Tensor | None = None, *, rows: int = ROWS, **definitions: "Unpack[Options]"
) -> list[dict[str, float]]:
    """One row for each class that has samples: `pandas.DataFrame(per_class(point, labels))` is a table.

    class, samples
    nc1           tr(Sigma_k Sigma_B^+)/K: the mean over all samples of that of their class is `NeuralCollapse.nc1`
    nc1_quotient  tr Sigma_k/tr Sigma_B. Both are NaN for a class of one sample, and count as 0 in that mean
    nearest_center_disagreement  of the samples of the class (NaN where K exceeds `rows`)
    norm_w, norm_mean            |w_k|, |h_k - h_G|
    alignment     cosine of w_k and h_k - h_G: 1 at self-duality
    closest       the class with the nearest mean (-1 where K exceeds `rows`)

    definitions  centre="classes", centre_w=True (of norm_w and alignment), classes, least_count and most_count, as for
            `validate.neural_collapse`, whose arguments and errors the others are too
    """
    asked = Definitions.named(definitions)
    require("cdnv_exponent" not in definitions, "cdnv is of pairs of classes: leave cdnv_exponent out")
    point = measurable(point)
    statistics, classes = asked.measured(point_statistics(point, labels), "drop")
    K, M, W, counts = len(classes), statistics.centred, point.W.double()[classes], statistics.counts
    judging, offsets, _ = logits_in_units(W, point.b.double()[classes], statistics.exponent)
    nearest = NearestCenter(statistics, judging, offsets, rows)
    whitened = statistics.within.whitened(statistics.between, statistics.num_samples, nearest)
    wrong = M.new_full((K,), torch.nan) if nearest.by_class is None else nearest.by_class / counts
    variances = torch.stack([whitened / counts, statistics.variances])
    nc1, quotient = variances.masked_fill(counts < 2, torch.nan)
    W = centred_rows(W) if asked.centre_w else W
    columns = {
        "class": classes,
        "samples": counts,
        "nc1": nc1,
        "nc1_quotient": quotient / trace_between(statistics),
        "nearest_center_disagreement": wrong,
        "norm_w": W.norm(dim=1),
        "norm_mean": M.norm(dim=1) * power(statistics.exponent),
        "alignment": torch.nn.functional.cosine_similarity(W, M, eps=0.0),
        "closest": _closest(M, classes) if rows >= K else torch.full_like(classes, -1),
    }
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]


def _closest(M: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    distances = torch.cdist(M, M)
    distances.fill_diagonal_(torch.inf)
    return classes[distances.argmin(1)]
