"""Commuting involutions of the classes, paired with reflections of the features, and the subspaces that they fix.

m independent commuting involutions make a group E = (Z/2)^m acting on the classes. Its orbits are of the form E/S,
and the list of (S, n_k) over the orbits is its *action*, which determines it up to permutations that keep the counts.
A function on the classes splits into parts by the 2^m characters c of E (how it changes sign under each involution).
A subspace that a group of pairs (permutation, reflection) fixes is given by an action and by how many coordinates of
the features carry each character: in a coordinate of character c, the columns of W and H~ lie in that part of R^K.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from math import factorial, prod

import numpy as np

from ..errors import require
from ..results import Result
from .symmetry import Permutation

Element = tuple[int, ...]  # of (Z/2)^m
Orbit = tuple[frozenset[Element], int]  # (stabiliser, n_k)


def elements(m: int) -> list[Element]:
    return list(product((0, 1), repeat=m))


@dataclass(frozen=True)
class Action(Result):
    """m commuting involutions of the classes, as the sorted list of their orbits (stabiliser, n_k).

    The classes of `counts` are handed out to the orbits in order, those of equal n_k being alike.
    """

    m: int
    orbits: tuple[Orbit, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        K = len(self.counts)
        require(0 <= self.m <= K, f"K = {K} classes have 0 to {K} independent involutions, got {str(self.m)[:20]}")

    @cached_property
    def generators(self) -> tuple[Permutation, ...]:
        """The involutions, as permutations of the classes."""
        free = {n: [k for k, count in enumerate(self.counts) if count == n] for n in set(self.counts)}
        images = [list(range(len(self.counts))) for _ in range(self.m)]
        for stabiliser, n in self.orbits:
            cosets = sorted({min(_plus(e, s) for s in stabiliser) for e in elements(self.m)})
            places = {coset: free[n].pop(0) for coset in cosets}
            for i, image in enumerate(images):
                unit = tuple(int(i == j) for j in range(self.m))
                for coset, k in places.items():
                    image[k] = places[min(_plus(_plus(coset, unit), s) for s in stabiliser)]
        return tuple(map(tuple, images))

    @property
    def centraliser(self) -> int:
        """How many permutations that keep the counts commute with all of E."""
        index = {orbit: 2**self.m // len(orbit[0]) for orbit in self.orbits}
        return prod(factorial(times) * index[orbit] ** times for orbit, times in Counter(self.orbits).items())

    @property
    def name(self) -> str:
        cycles = ["".join(f"({k + 1} {p[k] + 1})" for k in range(len(p)) if p[k] > k) for p in self.generators]
        return ", ".join(cycles) or "identity"


def _plus(a: Element, b: Element) -> Element:
    return tuple((x + y) % 2 for x, y in zip(a, b, strict=True))


def action_of(generators: tuple[Permutation, ...], counts: tuple[int, ...]) -> Action:
    """The action of commuting involutions given as permutations."""
    m, images = len(generators), {}
    for e in elements(m):
        image = np.arange(len(counts))
        for generator, power in zip(generators, e, strict=True):
            image = np.array(generator)[image] if power else image
        images[e] = image
    orbits, seen = [], set()
    for k, n in enumerate(counts):
        if k not in seen:
            seen |= {int(image[k]) for image in images.values()}
            orbits.append((frozenset(e for e in images if images[e][k] == k), n))
    return Action(m, tuple(sorted(orbits, key=_key)), counts)


def _key(orbit: Orbit) -> tuple[list[Element], int]:
    return sorted(orbit[0]), orbit[1]


def actions(counts: tuple[int, ...], most: int) -> list[Action]:
    """One action of each kind with 0 .. most involutions, up to permutations of classes and choices of generators."""
    return [action for m in range(most + 1) for action in _actions(counts, m)]


def _actions(counts: tuple[int, ...], m: int) -> Iterator[Action]:
    group, seen = frozenset(elements(m)), set()
    options = []
    for n, times in sorted(Counter(counts).items()):
        options.append([[(S, n) for S in chosen] for chosen in _fillings(_subgroups(m), times, m)])
    for choice in product(*options):
        orbits = tuple(sorted((orbit for part in choice for orbit in part), key=_key))
        if frozenset.intersection(group, *(S for S, _ in orbits)) != {(0,) * m}:
            continue
        kind = str(min(tuple(map(_key, sorted(_renamed(orbits, change), key=_key))) for change in _automorphisms(m)))
        if kind not in seen:
            seen.add(kind)
            yield Action(m, orbits, counts)


def _fillings(subgroups: list[frozenset[Element]], total: int, m: int) -> Iterator[list[frozenset[Element]]]:
    """Multisets of orbits E/S with `total` points."""
    if total == 0:
        yield []
        return
    if not subgroups:
        return
    first, *rest = subgroups
    points = 2**m // len(first)
    for times in range(total // points + 1):
        for others in _fillings(rest, total - times * points, m):
            yield [first] * times + others


def _subgroups(m: int) -> list[frozenset[Element]]:
    zero = (0,) * m
    found = {frozenset([zero])}
    for size in range(1, m + 1):
        for generators in combinations(elements(m)[1:], size):
            span = {zero}
            for g in generators:
                span |= {_plus(g, e) for e in span}
            found.add(frozenset(span))
    return sorted(found, key=lambda S: (len(S), sorted(S)))


def _automorphisms(m: int) -> list[dict[Element, Element]]:
    """Every linear bijection of (Z/2)^m."""
    found = []
    for images in product(elements(m)[1:], repeat=m):
        change = {}
        for e in elements(m):
            image = (0,) * m
            for power, vector in zip(e, images, strict=True):
                image = _plus(image, vector) if power else image
            change[e] = image
        if len(set(change.values())) == 2**m:
            found.append(change)
    return found


def _renamed(orbits: tuple[Orbit, ...], change: dict[Element, Element]) -> list[Orbit]:
    return [(frozenset(change[e] for e in S), n) for S, n in orbits]


def isotypic(generators: tuple[Permutation, ...], K: int) -> dict[Element, np.ndarray]:
    """An orthonormal basis (K, k_c) of each part of R^K, by character; parts without vectors are left out."""
    parts = {}
    for character in elements(len(generators)):
        projector = np.eye(K)
        for generator, sign in zip(generators, character, strict=True):
            moved = np.eye(K)[list(generator)]
            projector = projector @ (np.eye(K) + (-1) ** sign * moved) / 2
        values, vectors = np.linalg.eigh((projector + projector.T) / 2)
        if (values > 0.5).any():
            parts[character] = vectors[:, values > 0.5]
    return parts
