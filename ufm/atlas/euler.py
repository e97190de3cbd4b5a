"""A test of completeness: over all critical points, alternating Euler characteristics add up to 1.

f grows at infinity and (at all parameters looked at) its critical set is a finite union of nondegenerate orbits of
O(d). By Morse-Bott theory the sum over critical manifolds of (-1)^index chi(manifold) is chi(R^N) = 1. That also holds
for f restricted to any subspace that a group of symmetries fixes. The orbit of a rank-r point is the Stiefel manifold
V_r(R^d), whose characteristic vanishes for r >= 2; in the subspace of an action of involutions
(`ufm.atlas.involutions`) with D_c coordinates of character c it is the product over c of V_{r_c}(R^{D_c}), which does
not vanish when every r_c <= 1. A list that misses a point fails a sum, unless misses cancel
(docs/theory, section 7). Where critical points are manifolds (`ufm.atlas.rotations`), their characteristics are
factors, and only sums for the identity are made.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from ..proofs import Followed
from ..results import Result
from .catalogue import Catalogue, Entry
from .characters import INDEX, LEVEL, NULLITY, RANKS, UNSTABLE, Symmetries
from .involutions import Action, Element, actions, elements, isotypic
from .rotations import characteristic, dimension

Coordinates = dict[Element, int]  # how many coordinates of the features carry each character


@dataclass(frozen=True)
class EulerSum(Result):
    """The sum for one action and one choice of coordinates; a complete list has value 1.

    action       the involutions, as cycles of classes        coordinates  how many carry each character
    value        the sum; None where a point in it is degenerate, so that the theorem says nothing
    terms        how many critical points (with copies) lie in the subspace, modulo its rotations
    """

    action: Action
    coordinates: Coordinates
    value: int | None
    terms: int

    derived = ("name",)

    @property
    def failing(self) -> bool:
        """Whether the sum shows that a point is missing."""
        return self.value not in (1, None)

    @property
    def name(self) -> str:
        signs = [f"{n} of {''.join('+-'[s] for s in c) or 'any'} sign" for c, n in self.coordinates.items() if n]
        return f"{self.action.name}: {', '.join(signs)}"


@dataclass(frozen=True)
class Term:
    """One way in which an action keeps one critical point.

    ranks     r_c, how many coordinates of the point's row space carry each character
    index     negative eigenvalues of f restricted to the fixed subspace of its own coordinates
    unstable  by character: how many negative eigenvalues one more coordinate of that character adds
    regular   whether the restricted Hessian has no zero eigenvalue
    flat      the characters of which one more coordinate adds zero eigenvalues other than those of the orbit
    weight    how many copies of the point the action keeps this way, times the characteristic of what it stands for
    """

    ranks: Coordinates
    index: int
    unstable: Coordinates
    regular: bool
    flat: frozenset[Element]
    weight: float


def stiefel_characteristic(r: int, d: int) -> int:
    """chi(V_r(R^d)): the orthonormal r-frames of R^d; 0 when there are none (r > d)."""
    if r == 0:
        return 1
    if r > d:
        return 0
    # V_r fibres over the sphere S^(d-1), of characteristic 2 or 0, with fibre V_(r-1)(R^(d-1)).
    return (2 if d % 2 else 0) * stiefel_characteristic(r - 1, d - 1)


def terms(symmetries: Symmetries, action: Action) -> list[Term]:
    """Every way, up to the point's own symmetries, in which copies of its critical point keep the action."""
    entry = symmetries.entry
    if entry.spaces:
        zeros, weight = dimension(entry.spaces), float(characteristic(entry.spaces))
    else:
        zeros, weight = 0, action.centraliser / symmetries.order
    found = zip(*symmetries.multiplicities(action), strict=True)
    made = [_term(entry, multiplicities, weight * float(times), zeros) for multiplicities, times in found]
    return [_proved(term, entry.proof) for term in made] if entry.proof and not action.m else made


def _term(entry: Entry, multiplicities: np.ndarray, weight: float, zeros: int) -> Term:
    """The term of one way, from `Symmetries.multiplicities`; zeros are those that a manifold of points explains.

    Characters of the E that the action stands for come first in `elements`: the trivial one is the fixed subspace.
    """
    known = bool(np.isfinite(multiplicities).all())
    counts = np.nan_to_num(multiplicities).astype(int)
    characters = elements(len(counts).bit_length() - 1)
    return Term(
        ranks=Counter({c: int(n) for c, n in zip(characters, counts[:, RANKS], strict=True) if n}),
        index=int(counts[0, INDEX]),
        unstable={c: int(n) for c, n in zip(characters, counts[:, UNSTABLE], strict=True)},
        regular=known and counts[0, NULLITY] - entry.family.problem.bias_is_free == zeros,
        flat=frozenset(c for c, row in zip(characters, counts, strict=True) if row[LEVEL] != row[RANKS]),
        weight=weight,
    )


def _proved(term: Term, proof: Followed) -> Term:
    """The term for the identity of a point whose index is proved: float64 does not have its signs."""
    unstable = dict.fromkeys(term.unstable, proof.further)
    return replace(term, index=proof.index, unstable=unstable, regular=True, flat=frozenset())


def euler_sum(action: Action, coordinates: Coordinates, found: list[Term]) -> EulerSum:
    """The sum over the terms of all critical points, for that many coordinates of each character."""
    value, count, regular = 0.0, 0.0, True
    for term in found:
        if any(term.ranks[c] > coordinates.get(c, 0) for c in term.ranks):
            continue
        chi, index = 1, term.index
        for c, D in coordinates.items():
            chi *= stiefel_characteristic(term.ranks[c], D)
            index += (D - term.ranks[c]) * term.unstable.get(c, 0)
        count += term.weight
        flat = any(coordinates.get(c, 0) > term.ranks[c] for c in term.flat)
        regular &= chi == 0 or (term.regular and not flat)
        value += (-1) ** index * chi * term.weight
    return EulerSum(
        action, coordinates, round(value) if regular and abs(value - round(value)) < 1e-6 else None, round(count)
    )


def choices(action: Action, K: int, dim: int) -> list[Coordinates]:
    """The coordinates to sum over: 1 and 3 for the identity; else up to one of each character, up to `dim` in all."""
    parts = isotypic(action.generators, K)
    if action.m == 0:
        return [{(): 1}, {(): 3}]
    picks = product((0, 1), repeat=len(parts))
    return [dict(zip(parts, pick, strict=True)) for pick in picks if 2 <= sum(pick) <= dim]


class Ledger:
    """The terms of every entry of a catalogue for every action, each computed once, and the sums over them."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue = catalogue
        problem = catalogue.problem
        most = 0 if catalogue.turning else 3 if problem.num_classes <= 8 else 2
        self.actions = actions(problem.kinds, most)
        self.terms: dict[Action, list[Term]] = {action: [] for action in self.actions}
        self.read = 0

    def sums(self, largest_rank: int) -> Iterator[EulerSum]:
        """Every sum over today's entries, as far as points of rank <= largest_rank can fill its coordinates."""
        fresh, self.read = self.catalogue.entries[self.read :], len(self.catalogue.entries)
        for entry in fresh:
            symmetries = Symmetries(entry)
            for action in self.actions:
                self.terms[action] += terms(symmetries, action)
        for action in self.actions:
            self.terms[action] = _together(self.terms[action])
            for coordinates in choices(action, self.catalogue.problem.num_classes, largest_rank):
                yield euler_sum(action, coordinates, self.terms[action])


def _together(found: list[Term]) -> list[Term]:
    """The terms, those that differ in their weights alone as one."""
    weights: dict[tuple[Any, ...], float] = {}
    kinds: dict[tuple[Any, ...], Term] = {}
    for term in found:
        ranks, unstable = (tuple(sorted(part.items())) for part in (term.ranks, term.unstable))
        key = ranks, term.index, unstable, term.regular, term.flat
        weights[key] = weights.get(key, 0.0) + term.weight
        kinds.setdefault(key, term)
    return [replace(term, weight=weights[key]) for key, term in kinds.items()]
