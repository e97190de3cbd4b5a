"""Generalised neural collapse, where d < K - 1 leaves no room for a simplex: the one-versus-rest distance

    min_k dist(x_k/|x_k|, conv{x_j/|x_j| : j != k})

of the rows of W (K, d), and of the centred class means.
"""

from dataclasses import dataclass

import torch

from ufm import Point
from ufm.errors import require
from ufm.results import Result, Shown
from ufm.traps.code_search import reference_distance
from ufm.traps.codes import one_vs_rest_distance

from ..statistics.classes import class_statistics
from ..statistics.inputs import measurable
from ..statistics.scale import to_size_one
from .formulas import FORMULAS

CLASSES = 200  # the most for which K non-negative least-squares problems of K columns take seconds


@dataclass(frozen=True)
class GeneralizedCollapse(Shown, Result):
    """One-versus-rest distances: min over k of dist(x_k, conv{x_j : j != k}) over directions x_k = row k/|row k|.

    one_vs_rest_w, one_vs_rest_means   of the rows of W, and of the class means about the global mean
    best          that of softmax codes, which is the largest there is; where not `best_is_known` the best that a
                  search found (K <= 20), or None
    Source: Jiang et al. 2023 (arXiv 2310.05351): at the global minimisers, as the decay goes to 0, both reach `best`.
    """

    one_vs_rest_w: float
    one_vs_rest_means: float
    best: float | None
    best_is_known: bool

    formulas = FORMULAS


def generalized_collapse(point: Point, labels: torch.Tensor | None = None) -> GeneralizedCollapse:
    """The one-versus-rest distances of a point with at most 200 classes, for any d; labels as for `neural_collapse`.

    Where no best is known (d < K/2, d > 2, K <= 20) the first call for a (K, d) searches for one, up to 10 s at K = 20.
    Raises InputError for more classes, and for labels that do not fit.
    """
    point = measurable(point)
    K = point.num_classes
    require(K <= CLASSES, f"one-versus-rest distances of {K} classes take too long; up to {CLASSES} can be had")
    centred = class_statistics(point, labels).centred
    best, known = reference_distance(K, point.dim)
    of_w, of_means = (one_vs_rest_distance(to_size_one(rows)) for rows in (point.W, centred))
    return GeneralizedCollapse(of_w, of_means, best, known)
