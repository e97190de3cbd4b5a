"""Commuting involutions of the classes, against everything that the symmetric group of K <= 5 classes has."""

import itertools

import numpy as np
import pytest

from ufm.atlas.involutions import action_of, actions, elements, isotypic

BALANCED = [(1,) * K for K in (2, 3, 4, 5)]
COUNTS = [*BALANCED, (1, 1, 2, 2), (1, 2, 1, 2), (1, 1, 1, 5), (1, 2, 3, 4), (3, 3, 1, 1, 1)]


def compose(p, q):
    return tuple(p[k] for k in q)


def inverse(p):
    return tuple(sorted(range(len(p)), key=p.__getitem__))


def symmetric_group(counts):
    K = len(counts)
    return [p for p in itertools.permutations(range(K)) if all(counts[p[k]] == counts[k] for k in range(K))]


def spanned(generators, K):
    """The group that commuting involutions generate."""
    group = {tuple(range(K))}
    for g in generators:
        group |= {compose(g, p) for p in group}
    return frozenset(group)


def elementary_subgroups(counts):
    """Every subgroup all of whose elements are commuting involutions, from all sets of at most three generators."""
    K, group = len(counts), symmetric_group(counts)
    involutions = [p for p in group if compose(p, p) == tuple(range(K)) and p != tuple(range(K))]
    found = set()
    for m in range(4):
        for chosen in itertools.combinations(involutions, m):
            if all(compose(p, q) == compose(q, p) for p, q in itertools.combinations(chosen, 2)):
                found.add(spanned(chosen, K))
    return found


def conjugates(subgroup, counts):
    return {frozenset(compose(compose(g, p), inverse(g)) for p in subgroup) for g in symmetric_group(counts)}


@pytest.mark.parametrize("counts", COUNTS)
def test_the_generators_are_independent_commuting_involutions(counts):
    identity = tuple(range(len(counts)))
    for action in actions(counts, 3):
        generators = action.generators
        assert len(generators) == action.m
        assert all(compose(p, p) == identity for p in generators)
        assert all(compose(p, q) == compose(q, p) for p in generators for q in generators)
        assert all(counts[p[k]] == counts[k] for p in generators for k in identity)
        assert len(spanned(generators, len(counts))) == 2**action.m
        assert action_of(generators, counts) == action


@pytest.mark.parametrize("counts", COUNTS)
def test_the_centraliser_is_what_commutes(counts):
    for action in actions(counts, 3):
        commuting = [
            g for g in symmetric_group(counts) if all(compose(g, p) == compose(p, g) for p in action.generators)
        ]
        assert action.centraliser == len(commuting)


@pytest.mark.parametrize("counts", COUNTS)
def test_the_kinds_are_every_elementary_subgroup_once(counts):
    """Up to permutations that keep the counts."""
    left = elementary_subgroups(counts)
    for action in actions(counts, 3):
        kind = conjugates(spanned(action.generators, len(counts)), counts)
        assert kind <= left
        left -= kind
    assert not left


@pytest.mark.parametrize("counts", [(1,) * 4, (1, 1, 2, 2)])
def test_an_action_determines_the_generators_up_to_permutations(counts):
    """Tuples of commuting involutions have one action exactly when they are conjugate."""
    group = symmetric_group(counts)
    involutions = [p for p in group if compose(p, p) == tuple(range(4))]
    pairs = [(p, q) for p in involutions for q in involutions if compose(p, q) == compose(q, p)]
    orbit = {pair: min(tuple(compose(compose(g, p), inverse(g)) for p in pair) for g in group) for pair in pairs}
    for one, other in itertools.combinations(pairs, 2):
        assert (action_of(one, counts) == action_of(other, counts)) == (orbit[one] == orbit[other])


@pytest.mark.parametrize("counts", COUNTS)
def test_the_parts_are_where_each_involution_has_one_sign(counts):
    K = len(counts)
    for action in actions(counts, 3):
        parts = isotypic(action.generators, K)
        whole = np.concatenate(list(parts.values()), 1)
        np.testing.assert_allclose(whole.T @ whole, np.eye(K), atol=1e-12)
        for character, basis in parts.items():
            for p, sign in zip(action.generators, character, strict=True):
                np.testing.assert_allclose(basis[list(p)], (-1) ** sign * basis, atol=1e-12)


def test_the_kinds_of_four_alike_classes():
    """Nothing; one transposition; two; both of them apart; and Klein's group, which is transitive."""
    found = {action.name: action.centraliser for action in actions((1,) * 4, 3)}
    assert list(found.values()).count(24) == 1
    assert sorted(found.values()) == [4, 4, 4, 8, 24]
    assert {"identity", "(1 2)", "(1 2)(3 4)"} <= set(found)
    assert set(elements(2)) == {(0, 0), (0, 1), (1, 0), (1, 1)}
