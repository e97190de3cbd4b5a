"""Mean square: benign for every d, and all critical points in closed form where no two classes have equal counts."""

import math
from itertools import combinations

from ...losses import MeanSquare
from ...problem import Problem
from ...results import PointVerdict
from ..evidence import Evidence, Undecided
from ..hypotheses import WEAK_DECAY
from ..theorem import Finding, Hypothesis, Theorem, here, worst_of

MOST_CLASSES = 6
ONE_HOT = Hypothesis("mean square on one-hot labels", lambda p: isinstance(p.loss, MeanSquare) and p.loss.one_hot)
UNDECAYED = Hypothesis("no bias, or one without decay", lambda p: not p.bias or p.lambda_b == 0)
DISTINCT = Hypothesis(
    f"no bias and K <= {MOST_CLASSES} distinct n_k, all above N^2 lW lH",
    lambda p: (
        not p.bias
        and len(set(p.class_counts)) == p.num_classes <= MOST_CLASSES
        and min(p.class_counts) > (p.num_samples * p.ridge) ** 2 * (1 + 1e-6)
    ),
)


def benign_at_every_d(problem: Problem, evidence: Evidence) -> Finding:
    """Every free descent ends at one level, for d = 1 .. K and at the problem's own d; there are no traps to count.

    The deviation is the spread of the levels, relative to f. Below the largest rank no duality gap closes: a descent is
    compared with the others.
    """
    spreads, notes = [], []
    for dim in sorted({*range(1, min(problem.largest_rank, 4) + 1), problem.dim}):
        levels = [solution.value for solution in evidence.narrowed(dim)]
        spreads.append(evidence.of_f(max(levels) - min(levels), max(levels)))
        notes.append(f"d = {dim}: {len(levels)}")
    return Finding(worst_of(spreads), 1e-9, "descents that converged: " + ", ".join(notes))


BENIGN_AT_EVERY_D = Theorem(
    "mean square, any d",
    "every critical point is global or a strict saddle",
    here("10.7"),
    (ONE_HOT, UNDECAYED, WEAK_DECAY),
    benign_at_every_d,
)


def all_points(problem: Problem, evidence: Evidence) -> Finding:
    """The atlas has one point for each set of at most d classes, with the level, rank and index of the closed form.

    The deviation is that of the levels, relative; infinite where the list, a rank or an index differs.
    """
    found = [(p.level, p.rank, p.index) for p in evidence.atlas.points]
    if any(p.certificate.verdict == PointVerdict.NOT_CRITICAL for p in evidence.atlas.points):
        raise Undecided("a point of the atlas could not be judged")
    expected = subset_points(problem)
    note = f"{len(found)} points found, {len(expected)} sets of classes"
    same = sorted(row[1:] for row in found) == sorted(row[1:] for row in expected) and len(found) == len(expected)
    if not same:
        return Finding(math.inf, 1e-9, note)
    levels = [abs(a[0] / b[0] - 1) for a, b in zip(found, expected, strict=True)]
    return Finding(worst_of(levels), 1e-9, note)


ALL_POINTS = Theorem(
    "mean square, all points",
    "one critical point for each set of at most d classes",
    here("10.7"),
    (ONE_HOT, DISTINCT),
    all_points,
)


def subset_points(problem: Problem) -> list[tuple[float, int, int]]:
    """(level, rank, index) of every critical point, by level: one for each set of at most d classes.

    Distinct n_k above N^2 lW lH and no bias (docs/theory, section 10.7).
    """
    n, N, rho, d, K = problem.class_counts, problem.num_samples, problem.ridge, problem.dim, problem.num_classes
    points = []
    for r in range(min(d, K) + 1):
        for kept in combinations(range(K), r):
            left = [k for k in range(K) if k not in kept]
            level = sum(rho * math.sqrt(n[k]) - N * rho**2 / 2 for k in kept) + sum(n[k] for k in left) / (2 * N)
            points.append((level, r, sum(d - r + sum(n[j] < n[k] for j in kept) for k in left)))
    return sorted(points)
