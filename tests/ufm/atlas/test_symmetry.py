"""Permutations of the classes, against all K! of them."""

import itertools
import math

import numpy as np
import pytest

from ufm.atlas.symmetry import (
    automorphism_count,
    equal_classes,
    group_order,
    matchings,
    partitions,
    same_point,
    transversals,
)


def allowed(counts):
    """Every permutation that keeps the counts."""
    for p in itertools.permutations(range(len(counts))):
        if all(counts[p[k]] == counts[k] for k in range(len(p))):
            yield p


def by_brute_force(A, B, counts):
    return [p for p in allowed(counts) if np.allclose(A[np.ix_(p, p)], B, rtol=0, atol=1e-9)]


def matrices(K: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(K)
    random, few = generator.standard_normal((K, K)), generator.integers(0, 2, (K, K)).astype(float)
    circle = np.array([[float((j - i) % K) for j in range(K)] for i in range(K)])
    halves = np.kron(np.eye(2), np.ones((K, K)))[:K, :K]
    blocks = np.where(np.arange(K) < K // 2, 1.0, 2.0)
    return {
        "random": random,
        "few values": few,
        "symmetric group": 3 * np.eye(K) - 1,
        "cyclic": circle,
        "dihedral": np.minimum(circle, K - circle),
        "blocks": np.add.outer(blocks, 2 * blocks) + np.eye(K) + halves,
    }


CASES = [(K, name) for K in (2, 3, 4, 5) for name in matrices(2)]


@pytest.mark.parametrize(("K", "name"), CASES)
@pytest.mark.parametrize("balanced", [True, False])
def test_matchings_are_all_there_are(K, name, balanced):
    counts = (1,) * K if balanced else (1, 2) * (K // 2) + (1,) * (K % 2)
    A = matrices(K)[name]
    for q in list(itertools.permutations(range(K)))[:: max(1, math.factorial(K) // 7)]:
        B = A[np.ix_(q, q)]
        expected = by_brute_force(A, B, counts)
        assert sorted(matchings(A, B, counts)) == sorted(expected)
        assert same_point(A, B, counts) == bool(expected)
    assert automorphism_count(A, counts) == len(by_brute_force(A, A, counts))


@pytest.mark.parametrize(("K", "name"), CASES)
def test_transversals_make_the_group_each_element_once(K, name):
    A = matrices(K)[name]
    products = []
    for choice in itertools.product(*transversals(A, (1,) * K)):
        p = tuple(range(K))
        for q in choice:
            p = tuple(p[k] for k in q)
        products.append(p)
    assert sorted(products) == sorted(by_brute_force(A, A, (1,) * K))


def test_several_matrices_are_matched_together():
    A = np.stack([matrices(4)["cyclic"], matrices(4)["blocks"]], 2)
    both = set(by_brute_force(A[:, :, 0], A[:, :, 0], (1,) * 4)) & set(by_brute_force(A[:, :, 1], A[:, :, 1], (1,) * 4))
    assert set(matchings(A, A, (1,) * 4)) == both
    assert automorphism_count(A, (1,) * 4) == len(both)


def test_a_prefix_is_kept():
    A = matrices(4)["symmetric group"]
    found = list(matchings(A, A, (1, 1, 1, 2), (2, 0)))
    assert found == [(2, 0, 1, 3)]
    assert not list(matchings(A, A, (1, 1, 1, 2), (3,)))


def test_what_is_nearly_symmetric_is_not():
    """A change ten times the tolerance is seen, whatever K; one a tenth of it is rounding."""
    for K in (3, 8, 12):
        A = 3 * np.eye(K) - 1
        A[0, 0] += 10 * 1e-5 * 3
        assert automorphism_count(A, (1,) * K) == math.factorial(K - 1)
        A[0, 0] -= 9.9 * 1e-5 * 3
        assert automorphism_count(A, (1,) * K) == math.factorial(K)


@pytest.mark.parametrize("counts", [(3, 3, 3), (1, 2, 1, 2), (1, 2, 3), (1, 1, 1, 5)])
def test_group_order_counts_the_permutations_that_keep_the_counts(counts):
    assert group_order(counts) == len(list(allowed(counts)))


@pytest.mark.parametrize(("K", "count"), [(2, 2), (3, 3), (4, 5), (5, 7), (6, 11), (7, 15), (8, 22)])
def test_partitions_of_alike_classes_are_those_of_the_number(K, count):
    found = list(partitions((2,) * K))
    shapes = {tuple(sorted(map(len, blocks))) for blocks in found}
    assert len(found) == len(shapes) == count
    assert all(sorted(k for block in blocks for k in block) == list(range(K)) for blocks in found)


@pytest.mark.parametrize(
    ("counts", "count"), [((1, 2, 3), 1), ((1, 1, 2, 2), 4), ((1, 1, 1, 5), 3), ((7, 3, 7, 3, 3), 6)]
)
def test_partitions_put_only_alike_classes_together(counts, count):
    found = list(partitions(counts))
    assert len(found) == count
    assert all(len({counts[k] for k in block}) == 1 for blocks in found for block in blocks)


def test_equal_classes_are_told_from_nearly_equal_ones():
    rows = np.array([[1.0, 0.0], [2.0, 0.0], [1.0, 1e-7], [2.0, 1e-3], [1.0, 0.0]])
    assert equal_classes(rows, 1.0) == ((0, 2, 4), (1,), (3,))
