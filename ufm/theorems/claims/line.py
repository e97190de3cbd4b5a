"""Claims about balanced cross-entropy at d = 1: blocks of equal classes, ordered partitions, the threshold.

Formulas are in coordinates with n = 1 and both decays s = sqrt(n lW lH) = rho/K; see docs/theory, section 13.
"""

import math
from collections import Counter
from collections.abc import Iterator
from math import comb, factorial, prod

import numpy as np
import torch

from ...atlas import CriticalPoint
from ...closed_forms.cross_entropy import collapse_ratio
from ...problem import Problem
from ..evidence import Evidence, Undecided
from ..hypotheses import BALANCED, CROSS_ENTROPY, MANY_CLASSES, WEAK_DECAY
from ..theorem import Finding, Hypothesis, Theorem, here, worst_of
from .atlas import FEW

CLOSE = 0.95  # rho from here on counts as near the threshold
MARGIN = 0.1  # lambda_b this near to the critical one, relatively and absolutely, is left undecided
RATE = 0.5  # what m4/m2^2 may deviate near the threshold, times 1 - rho

ON_A_LINE = Hypothesis("d = 1", lambda p: p.dim == 1)
DECAYED = Hypothesis("no bias, or one that decays", lambda p: not p.bias or p.lambda_b > 0)
NEAR = Hypothesis(f"{CLOSE} <= K sqrt(n lW lH) < 1", lambda p: p.is_balanced and CLOSE <= collapse_ratio(p) < 1)
LINE = (CROSS_ENTROPY, BALANCED, ON_A_LINE, MANY_CLASSES, DECAYED, FEW, WEAK_DECAY)


def even(problem: Problem, point: CriticalPoint) -> tuple[torch.Tensor, torch.Tensor]:
    """(w (K,), h (K,)) of a point in coordinates with n = 1 and equal decays; b and the logits are the same."""
    n, s = problem.per_class, problem.per_class**0.5 * problem.ridge
    w = point.point.W[:, 0] * (problem.lambda_w / s) ** 0.5
    return w, point.point.H[:, 0] * (n * problem.lambda_h / s) ** 0.5


def block_matrix(problem: Problem, point: CriticalPoint, block: tuple[int, ...]) -> np.ndarray:
    """The Hessian where the classes of a block of equal ones part: in (w, h, b) along a vector of sum 0, (13.1).

    (2, 2) without a bias. The block is stable exactly if it is positive definite.
    """
    K, s = problem.num_classes, problem.per_class**0.5 * problem.ridge
    w, h = even(problem, point)
    p = point.logits.softmax(1)
    share, own = p[:, block[0]], p[block[0]]
    spread = float(own @ w.square() - (own @ w) ** 2)
    A, B, C = (float((share * h**power).mean()) for power in (2, 1, 0))
    whole = np.array([[s + A, -1 / K, B], [-1 / K, s + spread / K, 0.0], [B, 0.0, problem.lambda_b + C]])
    return whole if problem.bias else whole[:2, :2]


def block_is_stable(matrix: np.ndarray, K: int) -> bool:
    """D (A - B^2/C) > 1/K^2; B^2/C = 0 without a bias."""
    A, D = matrix[0, 0], matrix[1, 1]
    through_bias = matrix[0, 2] ** 2 / matrix[2, 2] if len(matrix) == 3 else 0.0
    return bool(D * (A - through_bias) > 1 / K**2)


def _blocks(points: tuple[CriticalPoint, ...]) -> Iterator[tuple[CriticalPoint, tuple[int, ...]]]:
    return ((point, block) for point in points for block in point.partition if len(block) > 1)


def pitchfork(problem: Problem, evidence: Evidence) -> Finding:
    """Each block's eigenvalues are among the Hessian's, m - 1 times, and the criterion tells whether one is negative.

    The Hessian is autograd's, over (w, h, b) with one feature a class; deviations are relative to its largest
    eigenvalue.
    """
    spectra: dict[int, np.ndarray] = {}
    deviations, unstable, count = [], 0, 0
    for point, block in _blocks(evidence.atlas.points):
        if id(point) not in spectra:
            spectra[id(point)] = _eigenvalues(problem, point)
        matrix, values = block_matrix(problem, point, block), spectra[id(point)]
        stable = block_is_stable(matrix, problem.num_classes)
        own = np.linalg.eigvalsh(matrix)
        apart = [np.sort(np.abs(values - value))[len(block) - 2] for value in own]
        wrong = stable == bool(own[0] < 0)
        deviations.append(math.inf if wrong else max(apart) / np.abs(values).max())
        unstable, count = unstable + (not stable), count + 1
    note = f"{count} blocks of equal classes, {unstable} of which split"
    return Finding(worst_of(deviations), 1e-9, note)


def _eigenvalues(problem: Problem, point: CriticalPoint) -> np.ndarray:
    K, s = problem.num_classes, problem.per_class**0.5 * problem.ridge

    def f(x: torch.Tensor) -> torch.Tensor:
        w, h, b = x[:K], x[K : 2 * K], x[2 * K :]
        logits = torch.outer(h, w) + (b if problem.bias else 0.0)
        losses = torch.nn.functional.cross_entropy(logits, torch.arange(K, device="cpu"))
        return losses + s / 2 * (w @ w + h @ h) + problem.lambda_b / 2 * (b @ b)

    x = torch.cat([*even(problem, point), *([point.point.b] if problem.bias else [])])
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, x)).numpy()


PITCHFORK = Theorem(
    "pitchfork of a block",
    "a block B of equal classes at d = 1 splits exactly if D (A - B^2/C) < 1/K^2",
    here("13.1"),
    LINE,
    pitchfork,
)


def ordered_partitions(problem: Problem, evidence: Evidence) -> Finding:
    """Points whose indices are all K - (number of blocks) are the ordered set partitions of the classes, once each.

    The deviation is how many versions (with both signs) of some shape there are too many or too few. Where an index is
    another one nothing is claimed, and the points are named.
    """
    K, points = problem.num_classes, evidence.atlas.points
    others = [point for point in points if point.index != K - len(point.partition) or point.nullity]
    if others:
        named = ", ".join(f"{point.shape} of index {point.index} at f = {point.level:.6f}" for point in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise Undecided(f"not of index K - blocks: {named}{more}")
    found: Counter[str] = Counter()
    for point in points:
        found[point.shape] += point.copies * (2 if point.rank else 1)
    expected = {"+".join(map(str, sizes)): orderings(sizes) for sizes in compositions(K)}
    wrong = [abs(found[shape] - expected.get(shape, 0)) for shape in {*found, *expected}]
    return Finding(float(max(wrong)), 0.0, f"{sum(found.values())} of {sum(expected.values())} ordered partitions")


def compositions(K: int, most: int | None = None) -> Iterator[tuple[int, ...]]:
    """The partitions of the number K, largest part first."""
    if K == 0:
        yield ()
    for first in range(min(K, most or K), 0, -1):
        yield from ((first, *rest) for rest in compositions(K - first, first))


def orderings(sizes: tuple[int, ...]) -> int:
    """How many ordered set partitions have blocks of these sizes, in any order."""
    of_sizes = factorial(len(sizes)) // prod(factorial(m) for m in Counter(sizes).values())
    left, ways = sum(sizes), 1
    for size in sizes:
        ways, left = ways * comb(left, size), left - size
    return of_sizes * ways


ORDERED_PARTITIONS = Theorem(
    "ordered partitions",
    "points at d = 1 that all have index K - blocks are the ordered set partitions, once each",
    here("13.2"),
    LINE,
    ordered_partitions,
)


def critical_lambda_b(K: int) -> float:
    """lambda_b above which all-distinct minima survive next to the threshold; -inf where they always do, (13.4)."""
    return -math.inf if K == 3 else (6 - K) / (K * (K - 3))


def moments(problem: Problem, evidence: Evidence) -> Finding:
    """Whether there are minima of K different classes, and their m3/m2^(3/2) and m4/m2^2, next to the threshold.

    The deviation is that of the moments from 0 and (3/2)(1 + 1/(1 + K lb)) (1 without the bias: lb = infinity, and
    (3/2) at K = 3, where every w of sum 0 has it), over 1 - rho.
    """
    K, lb = problem.num_classes, problem.lambda_b if problem.bias else math.inf
    least = critical_lambda_b(K)
    if math.isfinite(least) and abs(lb - least) <= MARGIN * max(abs(least), 1 / K):
        raise Undecided(f"lambda_b = {lb:g} is too near to the critical {least:g}")
    minima = [p for p in evidence.atlas.points if p.index == 0 and len(p.partition) == K]
    if open_ends := evidence.atlas.hidden + evidence.atlas.excluded:
        raise Undecided(f"rounding hides where {open_ends} ends of the search lead")
    if bool(minima) != (lb > least):
        return Finding(math.inf, RATE, f"{len(minima)} minima of {K} different classes; critical lambda_b {least:g}")
    said = 1.5 * (1 + 1 / (1 + K * lb)) if K > 3 else 1.5
    away = 1 - collapse_ratio(problem)
    deviations = [0.0]
    for point in minima:
        w = point.point.W[:, 0] - point.point.W.mean()
        m2, m3, m4 = (float(w.pow(power).mean()) for power in (2, 3, 4))
        deviations += [abs(m3) / m2**1.5 / away, abs(m4 / m2**2 - said) / away]
    return Finding(worst_of(deviations), RATE, f"{len(minima)} minima of {K} different classes, as theory has it")


MOMENTS = Theorem(
    "moments near the threshold",
    "at d = 1 next to K sqrt(n lW lH) = 1, minima of K classes apart exist iff lb > (6-K)/(K(K-3))",
    here("13.4"),
    (*LINE, NEAR),
    moments,
)

THEOREMS = (PITCHFORK, ORDERED_PARTITIONS, MOMENTS)
