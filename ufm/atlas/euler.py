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
from math import prod

import numpy as np
import torch

from ..proofs import Followed
from ..results import Result
from ..solvers.bias import without_shift
from ..spectra.spectrum import ZERO
from .catalogue import Catalogue, Entry
from .family import Family
from .involutions import Action, Element, Orbit, action_of, actions, isotypic
from .rotations import characteristic, dimension
from .symmetry import Permutation, group_order, matchings, transversals

FLAT = 1e-8  # a singular value of G~ this close to sqrt(lW lH), relatively, is equal to it

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


def terms(entry: Entry, action: Action) -> list[Term]:
    """Every way, up to the point's own symmetries, in which copies of an entry's critical point keep the action."""
    family, x, counts = entry.family, entry.x, entry.family.problem.kinds
    if entry.spaces:
        return [_term(family, x, (), action, characteristic(entry.spaces), dimension(entry.spaces))]
    logits = family.logits(x[None])[0].numpy()
    chain = transversals(logits, counts)
    size, orbits = prod(map(len, chain)), _orbits(chain)
    if group_order(orbits) == size:
        found = Counter(dict(_kinds_within(orbits, action)))
    else:
        found = Counter(_kinds(list(matchings(logits, logits, counts)), action, counts))
    weight = action.centraliser / size
    made = [_term(family, x, generators, action, weight * times) for generators, times in found.items()]
    return [_proved(term, entry.proof) for term in made] if entry.proof and not action.m else made


def _orbits(chain: list[list[Permutation]]) -> tuple[int, ...]:
    """For each class the least class of its orbit under the group of a chain of transversals."""
    least = list(range(len(chain)))
    for moves in chain:
        for p in moves:
            for k, image in enumerate(p):
                low, high = sorted((least[k], least[image]))
                least = [low if label == high else label for label in least]
    return tuple(least)


def _kinds_within(orbits: tuple[int, ...], action: Action) -> Iterator[tuple[tuple[Permutation, ...], int]]:
    """(one tuple of symmetries of each kind that acts as `action` does, how many there are of that kind).

    For a point of which every permutation within `orbits` is a symmetry: a kind says which orbits of the action lie
    in which of the point's.
    """
    counts, sizes = dict(zip(orbits, action.counts, strict=True)), Counter(orbits)

    def hand_out(left: tuple[Orbit, ...], room: Counter, given: tuple[Orbit, ...]) -> Iterator[tuple[Orbit, ...]]:
        if not left:
            yield given
            return
        (stabiliser, n), *rest = left
        points = 2**action.m // len(stabiliser)
        for label in sizes:
            ordered = not given or given[-1][0] != stabiliser or counts[given[-1][1]] != n or given[-1][1] <= label
            if counts[label] == n and room[label] >= points and ordered:
                yield from hand_out(tuple(rest), room - Counter({label: points}), (*given, (stabiliser, label)))

    for given in hand_out(action.orbits, sizes, ()):
        within = Action(action.m, given, orbits)
        yield within.generators, group_order(orbits) // within.centraliser


def _kinds(symmetries: list[Permutation], action: Action, counts: tuple[int, ...]) -> Iterator[tuple[Permutation, ...]]:
    """The tuples of symmetries that act as `action` does."""
    involutions = [p for p in symmetries if all(p[p[k]] == k for k in range(len(p)))]
    candidates = [[p for p in involutions if _like(p, g, counts)] for g in action.generators]
    for generators in product(*candidates):
        if _commute(generators) and action_of(generators, counts) == action:
            yield generators


def _like(p: Permutation, q: Permutation, counts: tuple[int, ...]) -> bool:
    """Whether two involutions move as many classes of each count."""
    return Counter(n for k, n in enumerate(counts) if p[k] != k) == Counter(
        n for k, n in enumerate(counts) if q[k] != k
    )


def _commute(generators: tuple[Permutation, ...]) -> bool:
    return all(all(p[q[k]] == q[p[k]] for k in range(len(p))) for i, p in enumerate(generators) for q in generators[:i])


def _term(
    family: Family,
    x: torch.Tensor,
    generators: tuple[Permutation, ...],
    action: Action,
    weight: float,
    zeros: int = 0,
) -> Term:
    """The term of one point; zeros are the zero eigenvalues of its Hessian that a manifold of points explains."""
    parts = isotypic(generators, family.problem.num_classes)
    characters, x = split_coordinates(family, x, generators)
    basis = fixed_basis(family, characters, parts)
    _, _, H = family.expand(x[None])
    values = torch.linalg.eigvalsh(basis.T @ H[0] @ basis)
    small = ZERO * float(values.abs().max()) if len(values) else 0.0
    G = family.landscape.jet(x).G.numpy()
    ridge = family.problem.ridge
    sizes = {c: np.linalg.svd(_of_types(B, len(G)).T @ G @ B, compute_uv=False) for c, B in parts.items()}
    return Term(
        ranks=Counter(characters),
        index=int((values < -small).sum()),
        unstable={c: int((s > ridge * (1 + FLAT)).sum()) for c, s in sizes.items()},
        regular=int((values.abs() <= small).sum()) == zeros,
        flat=frozenset(c for c, s in sizes.items() if (abs(s / ridge - 1) <= FLAT).sum() != characters.count(c)),
        weight=weight,
    )


def _proved(term: Term, proof: Followed) -> Term:
    """The term for the identity of a point whose index is proved: float64 does not have its signs."""
    unstable = dict.fromkeys(term.unstable, proof.further)
    return replace(term, index=proof.index, unstable=unstable, regular=True, flat=frozenset())


def _of_types(part: np.ndarray, T: int) -> np.ndarray:
    """The part of R^T that goes with one of R^K: itself, or everything where types are not classes."""
    return part if len(part) == T else np.eye(T)


def split_coordinates(
    family: Family, x: torch.Tensor, generators: tuple[Permutation, ...]
) -> tuple[list[Element], torch.Tensor]:
    """(the character of each coordinate, x rotated to coordinates that have one), at a point that the generators keep.

    W[p] = W R with R a reflection; commuting reflections share their axes.
    """
    if family.rank == 0:
        return [], x
    W, scaled, b = family.landscape.split(x)
    mixed, reflections = x.new_zeros(family.rank, family.rank), []
    for i, p in enumerate(generators):
        R = torch.linalg.lstsq(W, W[list(p)]).solution
        reflections.append(R)
        mixed = mixed + 3.0**-i * (R + R.T) / 2
    axes = torch.linalg.eigh(mixed)[1]
    signs = [(axes.T @ R @ axes).diagonal() for R in reflections]
    characters = [tuple(int(float(s[j]) < 0) for s in signs) for j in range(family.rank)]
    return characters, family.landscape.join(W @ axes, scaled @ axes, b)


def fixed_basis(family: Family, characters: list[Element], parts: dict[Element, np.ndarray]) -> torch.Tensor:
    """(size, m) orthonormal: column j of W and H~ in the part of its character, b in the part that nothing changes.

    Without weight decay on the bias, b is kept orthogonal to the shift along which f is constant, if there is one.
    """
    f = family.landscape
    K, T, r = f.num_classes, len(f.labels), family.rank
    columns = []
    for begin, rows in ((0, K), (K * r, T)):
        for j, c in enumerate(characters):
            part = parts.get(c, np.zeros((K, 0)))
            for vector in (part if rows == K else _of_types(part, T)).T:
                column = f.counts.new_zeros(f.size)
                column[begin : begin + rows * r].view(rows, r)[:, j] = torch.from_numpy(vector.copy())
                columns.append(column)
    if f.bias:
        trivial = parts[min(parts)]
        if family.problem.bias_is_free:
            moved = without_shift(family.problem, torch.from_numpy(trivial.T.copy())).numpy().T
            trivial = np.linalg.svd(moved)[0][:, : trivial.shape[1] - 1]
        for vector in trivial.T:
            column = f.counts.new_zeros(f.size)
            column[(K + T) * r :] = torch.from_numpy(vector.copy())
            columns.append(column)
    return torch.stack(columns, 1) if columns else f.counts.new_zeros(f.size, 0)


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
        most = 0 if catalogue.turning else 3 if problem.num_classes <= 6 else 2
        self.actions = actions(problem.kinds, most)
        self.terms: dict[Action, list[Term]] = {action: [] for action in self.actions}
        self.read = 0

    def sums(self, largest_rank: int) -> Iterator[EulerSum]:
        """Every sum over today's entries, as far as points of rank <= largest_rank can fill its coordinates."""
        fresh, self.read = self.catalogue.entries[self.read :], len(self.catalogue.entries)
        for action in self.actions:
            for entry in fresh:
                self.terms[action] += terms(entry, action)
            for coordinates in choices(action, self.catalogue.problem.num_classes, largest_rank):
                yield euler_sum(action, coordinates, self.terms[action])
