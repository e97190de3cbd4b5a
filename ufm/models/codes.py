"""Logits of cross-entropy on balanced classes that are made of simplices, and what they cost in a deep linear model.

*The simplex ETF* Z = c (I - 11^T/K) has the margin c, own logit less any other; sqrt(n) Z has the singular value
sqrt(n) c, K - 1 times. With L factors and one decay, and the least decay that they can have,

    f = log(1 + (K-1) e^-c) + (L/2) decay (K-1) (sqrt(n) c)^(2/L).

*Groups.* Let each group of g >= 2 classes be a simplex in dimensions of its own, Z = c g/(g-1) (I_g - 11^T/g) on the
group's block and 0 elsewhere: the margin is c between groups and c g/(g-1) within. In place of K - 1 it costs

    sum over groups of (g-1) (g/(g-1))^(2/L).

At the same c its loss is below the ETF's; where it costs less too, no ETF is a global minimiser, at any decay and n:
groups of two (and one of three) do so for K >= 4, L >= 4 and K >= 6, L >= 3 (docs/theory, section 12.4).
"""

import math
from collections.abc import Sequence

import torch
from scipy.optimize import brentq


def grouped_logits(groups: Sequence[int], margin: float) -> torch.Tensor:
    """(K, K) float64 logits, a row a class, of groups of those sizes, each >= 2; one group of K is the simplex ETF.

    The margin is that between groups; within the one group of an ETF, c = margin K/(K-1).
    """
    blocks = [margin * g / (g - 1) * (torch.eye(g, dtype=torch.float64, device="cpu") - 1 / g) for g in groups]
    return torch.block_diag(*blocks)


def simplex_logits(num_classes: int, margin: float) -> torch.Tensor:
    """(K, K) float64 c (I - 11^T/K)."""
    return margin * (torch.eye(num_classes, dtype=torch.float64, device="cpu") - 1 / num_classes)


def cost(groups: Sequence[int], depth: int) -> float:
    """sum (g-1) (g/(g-1))^(2/L): the quasi-norm of groups of margin 1; K - 1 is the ETF's."""
    return sum((g - 1) * (g / (g - 1)) ** (2 / depth) for g in groups)


def pairs(num_classes: int) -> tuple[int, ...]:
    """Groups of two classes, and one of three where K is odd."""
    return (2,) * (num_classes // 2 - 1) + (2 + num_classes % 2,)


def pairs_beat_simplex(num_classes: int, depth: int) -> bool:
    """Whether pairs cost less than the ETF of the same margin."""
    return num_classes >= 4 and cost(pairs(num_classes), depth) < num_classes - 1


def simplex_margin(num_classes: int, per_class: int, depth: int, decay: float) -> float | None:
    """The margin c of the best simplex ETF that is a critical point; None where the origin alone is one.

    f is stationary in c where c^(1 - 2/L)/(e^c + K - 1) = decay n^(1/L). The left side is log-concave, so for L >= 3
    there are two roots or none, and the larger one is a minimum in c.
    """
    others, power = num_classes - 1, 1 - 2 / depth
    wanted = math.log(decay) + math.log(per_class) / depth

    def pull(c: float) -> float:
        """The logarithm of the left side over the right one."""
        return (power * math.log(c) if power else 0.0) - c - math.log1p(others * math.exp(-c)) - wanted

    def rise(c: float) -> float:
        """c times the slope of `pull`."""
        return power - c / (1 + others * math.exp(-c))

    top = brentq(rise, 0.0, 2 + math.log(num_classes), xtol=1e-15) if power else 0.0
    if pull(top) <= 0:
        return None
    high = top + 1
    while pull(high) > 0:
        high *= 2
    return brentq(pull, top, high, xtol=1e-15, rtol=1e-15)
