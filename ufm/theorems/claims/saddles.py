"""Strict saddles: the origin, and one of every rank below K - 1."""

import math
from collections.abc import Iterable

import torch

from ...certificates import descent_direction
from ...problem import Problem
from ...results import PointVerdict
from ..evidence import Evidence, Undecided
from ..hypotheses import (
    BALANCED,
    CROSS_ENTROPY,
    MANY_CLASSES,
    WEAK_DECAY,
    WIDE,
)
from ..theorem import OPEN, ZHU_SADDLE, Finding, Theorem, here, worst_of


def zero_saddle(problem: Problem, evidence: Evidence) -> Finding:
    """W = H = 0 is critical; the direction from the top singular pair of G~ descends where sigma > sqrt(lW lH)."""
    return _strictness(problem, evidence, [0])


ZERO_SADDLE = Theorem(
    "zero saddle",
    "the origin is a strict saddle",
    f"{ZHU_SADDLE}; {here('4.1', '4.3')}",
    (WEAK_DECAY,),
    zero_saddle,
)


def saddles_of_every_rank(problem: Problem, evidence: Evidence) -> Finding:
    """The solution of the problem with d = r < K - 1 is critical for every larger d, and a strict saddle there.

    Of more than eight ranks eight are looked at; the note names them.
    """
    return _strictness(problem, evidence, evidence.ranks)


SADDLES_OF_EVERY_RANK = Theorem(
    "saddles of every rank",
    "strict saddles of each rank 1 .. K - 2",
    f"{ZHU_SADDLE}; {here('4.1', '4.4')}",
    (CROSS_ENTROPY, BALANCED, WIDE, WEAK_DECAY, MANY_CLASSES),
    saddles_of_every_rank,
)


def _strictness(problem: Problem, evidence: Evidence, ranks: Iterable[int]) -> Finding:
    """Each point is critical, of its rank, and the explicit direction has the negative curvature claimed.

    The curvature (lW + lH)/2 - sqrt(((lW - lH)/2)^2 + sigma^2) is compared with the second form of f, to rounding of
    the terms that it is the sum of; sigma is the certificate's, and the curvature that comes with the direction has to
    agree too.
    """
    deviations, curvatures = [], []
    for rank in ranks:
        certificate, point = evidence.certificates.get(rank), ({0: evidence.origin} | evidence.saddles).get(rank)
        if certificate is None or point is None or certificate.verdict in OPEN:
            raise Undecided(f"no critical point of rank {rank} was found that could be judged")
        strict = certificate.verdict == PointVerdict.STRICT_SADDLE and certificate.rank == rank
        explicit = descent_direction(problem, point) if strict else None
        if explicit is None:
            return Finding(math.inf, 1e-8, f"the point of rank {rank} is a {certificate.verdict}")
        lW, lH, sigma, ridge = problem.lambda_w, problem.lambda_h, certificate.sigma_max, certificate.ridge
        direction, own = explicit
        measured = problem.curvature(point, direction)
        curvatures.append(measured)
        rounding = 16 * torch.finfo(torch.float64).eps * (lW + lH + sigma)
        if sigma - ridge <= 10 * torch.finfo(torch.float64).eps * sigma:
            raise Undecided(f"rounding hides by how much sigma exceeds sqrt(lW lH) at the point of rank {rank}")
        predicted = (ridge - sigma) * (ridge + sigma) / ((lW + lH) / 2 + math.hypot((lW - lH) / 2, sigma))
        unit = abs(predicted) + rounding / 1e-8
        off = max(abs(measured - predicted), abs(own - predicted))
        deviations.append(off / unit if measured < 0 else math.inf)
    note = f"rank {', '.join(map(str, ranks))}; curvature at most {max(curvatures, default=math.nan):.3g}"
    return Finding(worst_of(deviations), 1e-8, note)
