"""Permutations of the classes: which of them keep a point, and how many different copies they make of it.

The logits (K, K) of a critical point, row k those of class k's samples, determine it up to O(d): W and H~ are the
balanced factors of its part without bias. So a permutation p (a tuple: class k becomes p[k]) keeps the point up to
rotation exactly when logits[p][:, p] = logits. Only permutations of classes of one kind (`Problem.kinds`: equal n_k,
and alike to the loss) are symmetries of f; they are the `counts` here. Where types are not classes, logits (T, K), the
only permutation that is looked at is the identity.
"""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

Permutation = tuple[int, ...]
MATCH = 1e-5  # how far logits of one point may be apart, relative to 1 + the largest


def group_order(counts: tuple[int, ...]) -> int:
    """How many permutations keep the class counts."""
    return math.prod(math.factorial(m) for m in Counter(counts).values())


def matchings(
    A: np.ndarray, B: np.ndarray, counts: tuple[int, ...], prefix: tuple[int, ...] = (), match: float = MATCH
) -> Iterator[Permutation]:
    """Every permutation p that keeps the counts with A[p][:, p] = B, by backtracking.

    A, B (K, K) or (K, K, m), several matrices at once    prefix  what p must begin with
    match   two logits are the same when they differ by less than this, relative to 1 + the largest
    """
    K = len(counts)
    if A.shape[0] != A.shape[1]:
        if np.abs(A - B).max() <= match * (1 + np.abs(B).max()) and prefix == tuple(range(len(prefix))):
            yield tuple(range(K))
        return
    tol = match * (1 + np.abs(B.reshape(K, K, -1)).max((0, 1)))
    a, b = (np.moveaxis(M.reshape(K, K, -1) / tol, 2, 0).tolist() for M in (A, B))
    pairs = list(zip(a, b, strict=True))  # lists: numpy would take longer for so few numbers at a time

    def fits(p: list[int], k: int) -> bool:
        """Whether p, so far, can go on with k."""
        i = len(p)
        return all(
            abs(one[q][k] - other[j][i]) <= 1 and abs(one[k][q] - other[i][j]) <= 1
            for j, q in ((i, k), *enumerate(p))
            for one, other in pairs
        )

    def extend(p: list[int]) -> Iterator[Permutation]:
        i = len(p)
        if i == K:
            yield tuple(p)
            return
        for k in range(K) if i >= len(prefix) else prefix[i : i + 1]:
            if k not in p and counts[k] == counts[i] and fits(p, k):
                yield from extend([*p, k])

    yield from extend([])


def same_point(A: np.ndarray, B: np.ndarray, counts: tuple[int, ...], match: float = MATCH) -> bool:
    """Whether two points with these logits are one up to permutations of the classes (and rotation)."""
    return next(matchings(A, B, counts, match=match), None) is not None


def transversals(A: np.ndarray, counts: tuple[int, ...]) -> list[list[Permutation]]:
    """The group of the permutations p that keep A (K, K) or (K, K, m) and the counts, as a chain of stabilisers.

    List k has, for every class to which those that fix the first k classes can move class k, one that does so: each
    permutation of the group is a product of one from every list, in just one way (Sims 1970).
    """
    K = len(counts)
    chain = []
    for k in range(K):
        moves = (next(matchings(A, A, counts, (*range(k), j)), None) for j in range(k, K))
        chain.append([p for p in moves if p is not None])
    return chain


def automorphism_count(logits: np.ndarray, counts: tuple[int, ...]) -> int:
    """How many permutations keep the point."""
    return math.prod(map(len, transversals(logits, counts)))


def equal_classes(point_rows: np.ndarray, unit: float) -> tuple[tuple[int, ...], ...]:
    """The partition of the classes into those with equal rows (K, m), up to MATCH times `unit`; largest first."""
    blocks: list[list[int]] = []
    for k, row in enumerate(point_rows):
        home = next((block for block in blocks if np.abs(row - point_rows[block[0]]).max() <= MATCH * unit), None)
        if home is None:
            blocks.append([k])
        else:
            home.append(k)
    return tuple(sorted(map(tuple, blocks), key=lambda block: (-len(block), block)))


def partitions(counts: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Set partitions into classes of equal n_k, one of each kind, up to permutations that keep the counts."""
    seen = set()
    for blocks in _set_partitions(list(range(len(counts)))):
        kind = tuple(sorted((counts[block[0]], len(block)) for block in blocks))
        if kind not in seen and all(counts[k] == counts[block[0]] for block in blocks for k in block):
            seen.add(kind)
            yield tuple(map(tuple, blocks))


def _set_partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    *rest, last = items
    for blocks in _set_partitions(rest):
        yield [*blocks, [last]]
        for i in range(len(blocks)):
            yield [*blocks[:i], [*blocks[i], last], *blocks[i + 1 :]]
