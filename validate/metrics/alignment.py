"""How the rows w_k of W and the centred class means m_k = h_k - h_G go together, class by class:

dot        <w_k, m_k>                                UNC3: its variance over the classes vanishes
cosine     <w_k, m_k>/(|w_k| |m_k|)
distance   | w_k/|w_k| - m_k/|m_k| |
overall    <W, M>/(|W|_F |M|_F)                      the square of `self_duality` is 2 - 2 overall
"""

from dataclasses import dataclass

import torch

from ufm import Point
from ufm.results import Result, Shown

from ..statistics.classes import class_statistics
from ..statistics.inputs import measurable
from ..statistics.pair_moments import directions
from ..statistics.scale import power, to_size_one


@dataclass(frozen=True)
class Alignment(Shown, Result):
    """Mean and variance over the K classes of dot, cosine and distance of w_k and m_k, and the overall cosine.

    `dot_variance` is UNC3, uniform duality. Variances divide by K. NaN where a row or a centred mean is 0, but for the
    dots. Rotations and shifts of the features leave all numbers as they are; the dots scale with |W| and |M|.

    Source: Wu and Papyan 2024 (arXiv 2405.17767), NC3 and UNC3. The package neural_collapse has these numbers of each
    class as `similarities(W, M, mG)`, `similarities(..., cos=True)` and `distance_norms`; its UNC3 is
    `similarities(W, M, mG).var()`, which divides by K - 1.
    """

    dot_mean: float
    dot_variance: float
    cosine_mean: float
    cosine_variance: float
    distance_mean: float
    distance_variance: float
    overall: float


def alignment(point: Point, labels: torch.Tensor | None = None) -> Alignment:
    """The alignment of classifier and class means; labels (N,) as for `validate.neural_collapse`.

    Raises InputError for a class without samples.
    """
    point = measurable(point)
    statistics, W = class_statistics(point, labels), point.W.double()
    M = statistics.centred
    unit_w, unit_m = directions(W), directions(M)
    by_class = {
        "dot": (W * M).sum(1) * power(statistics.exponent),
        "cosine": (unit_w * unit_m).sum(1),
        "distance": (unit_w - unit_m).norm(dim=1),
    }
    found = {f"{name}_mean": float(values.mean()) for name, values in by_class.items()}
    found |= {f"{name}_variance": float(values.var(correction=0)) for name, values in by_class.items()}
    sized_w, sized_m = to_size_one(W), to_size_one(M)
    return Alignment(overall=float((sized_w * sized_m).sum() / (sized_w.norm() * sized_m.norm())), **found)
