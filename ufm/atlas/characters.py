"""How the symmetries of a critical point act, in traces: of these all terms of its Euler sums are made.

An involution p that keeps a point x up to rotation, W[p] = W R, acts on its row space by R, on directions (V, Y, c) at
x by (V[p] R, Y[p] R, c[p]), and on R^K. The eigenspaces of the Hessian at x, and the right singular vectors of G~ with
one singular value, are kept. In such a space a character c of commuting involutions E has the multiplicity

    (1/|E|) sum over e in E of c(e) trace(e)

by the orthogonality of characters, so that no subspace is ever formed (docs/theory, section 7.4).
"""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from math import prod

import numpy as np
import torch

from ..spectra.spectrum import ZERO
from .catalogue import Entry
from .involutions import Action, Orbit, elements
from .symmetry import MATCH, Permutation, group_order, transversals

FLAT = 1e-8  # a singular value of G~ this close to sqrt(lW lH), relatively, is equal to it
RANKS, INDEX, NULLITY, UNSTABLE, LEVEL = range(5)  # the columns of traces: the spaces that they are taken in


class Symmetries:
    """The permutations that keep an entry's critical point up to rotation, and how tuples of involutions act.

    order  how many there are
    """

    def __init__(self, entry: Entry):
        self.entry, problem = entry, entry.family.problem
        self.kinds = problem.kinds
        self.logits = entry.family.logits(entry.x[None])[0].numpy()
        chain = transversals(self.logits, self.kinds)
        self.order, orbits = prod(map(len, chain)), _orbits(chain)
        self.young = orbits if group_order(orbits) == self.order else None
        self._tuples: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def multiplicities(self, action: Action) -> tuple[np.ndarray, np.ndarray]:
        """((N, 2^m, 5) how often each space has each character, (N,) for how many tuples) of those that act as the
        action does; the characters are in the order of `elements`."""
        if action.m == 0:
            return self._spread(np.arange(len(self.kinds))[None, None]), np.ones(1)
        if self.young is not None:
            found = list(_kinds_within(self.young, action))
            groups = np.array([_spanned(generators) for generators, _ in found], dtype=int)
            groups = groups.reshape(-1, 2**action.m, len(self.kinds))
            return self._spread(groups), np.array([times for _, times in found], dtype=float)
        places, orbits = self._commuting(action.m)
        wanted = _orbit_codes(np.array(_spanned(action.generators))[None], np.array(self.kinds))[0]
        spread = _of_characters(self._of_involutions[places[(orbits == wanted).all(1)]])
        rows, times = np.unique(spread, axis=0, return_counts=True)
        return rows, times.astype(float)

    def _spread(self, groups: np.ndarray) -> np.ndarray:
        """Multiplicities for groups (N, 2^m, K) of permutations."""
        return _of_characters(self.traces(groups.reshape(-1, groups.shape[2])).reshape(*groups.shape[:2], 5))

    @cached_property
    def involutions(self) -> np.ndarray:
        """(n, K) the permutations that keep the point and are their own inverses, the identity among them."""
        return _involutions(self.logits, np.array(self.kinds))

    @cached_property
    def _of_involutions(self) -> np.ndarray:
        return self.traces(self.involutions)

    def _commuting(self, m: int) -> tuple[np.ndarray, np.ndarray]:
        """(places (N, 2^m) of the products of m commuting involutions, how their orbits lie (N, K))."""
        if m not in self._tuples:
            p, (n, K) = self.involutions, self.involutions.shape
            codes = p @ K ** np.arange(K)
            order = codes.argsort()
            products = sum(K**k * p[:, p[:, k]] for k in range(K))  # [i, j]: the code of p_i[p_j]
            commute = products == products.T
            place = order[np.searchsorted(codes[order], np.where(commute, products, codes[0]))]
            places = np.full((1, 1), int((p == np.arange(K)).all(1).argmax()))
            for i in range(m):
                free = np.stack([commute[places[:, 2**j]] for j in range(i)]).all(0) if i else np.ones((1, n), bool)
                rows, more = free.nonzero()
                places = np.concatenate([places[rows], place[places[rows], more[:, None]]], 1)
            self._tuples[m] = places[:, _by_digits(m)], _orbit_codes(p[places[:, _by_digits(m)]], np.array(self.kinds))
        return self._tuples[m]

    def traces(self, moves: np.ndarray) -> np.ndarray:
        """(N, 5) traces of permutations (N, K): on the row space, on the directions of negative and of no curvature, on
        the singular vectors of G~ above sqrt(lW lH) and at it."""
        family, x = self.entry.family, self.entry.x
        (W, _, _), K = family.landscape.split(x), len(self.kinds)
        turns = np.linalg.pinv(W.numpy()) @ W.numpy()[moves] if family.rank else np.zeros((len(moves), 0, 0))
        spaces = self._eigenspaces
        on_directions = [self._trace_on_directions(space, moves, turns) for space in spaces[:2]]
        in_classes = [space[moves, np.arange(K)].sum(1) for space in spaces[2:]]
        return np.stack([turns.trace(axis1=1, axis2=2), *on_directions, *in_classes], 1)

    @cached_property
    def _eigenspaces(self) -> list[np.ndarray]:
        """Projectors: of the Hessian's negative eigenvalues and of its zeros; of G~'s large singular values, and those
        at sqrt(lW lH)."""
        family, x = self.entry.family, self.entry.x
        values, vectors = torch.linalg.eigh(family.expand(x[None]).hessian[0])
        small = ZERO * float(values.abs().max()) if len(values) else 0.0
        ridge = family.problem.ridge
        _, sizes, right = np.linalg.svd(family.landscape.jet(x).G.numpy())
        sizes = np.pad(sizes, (0, len(right) - len(sizes)))
        chosen = [vectors[:, values < -small].numpy(), vectors[:, values.abs() <= small].numpy()]
        chosen += [right[sizes > ridge * (1 + FLAT)].T, right[np.abs(sizes / ridge - 1) <= FLAT].T]
        return [basis @ basis.T for basis in chosen]

    def _trace_on_directions(self, space: np.ndarray, moves: np.ndarray, turns: np.ndarray) -> np.ndarray:
        K, T, r = len(self.kinds), len(self.logits), self.entry.family.rank
        total, begin = np.zeros(len(moves)), 0
        for rows in (K, T):
            width = rows * r
            block = space[begin : begin + width, begin : begin + width].reshape(rows, r, rows, r)
            steps = moves if rows == K else np.tile(np.arange(rows), (len(moves), 1))
            seen = sum((block[steps[:, k], :, k] for k in range(rows)), np.zeros_like(turns))
            total, begin = total + np.einsum("nab,nab->n", seen, turns), begin + width
        bias = space[begin:, begin:]
        return total + (bias[moves, np.arange(K)].sum(1) if len(bias) else 0.0)


def _of_characters(traces: np.ndarray) -> np.ndarray:
    """(N, 2^m, 5) multiplicities by character of traces (N, 2^m, 5) by element."""
    E = np.array(elements(traces.shape[1].bit_length() - 1))
    signs = (-1.0) ** (E @ E.T) if E.size else np.ones((1, 1))
    exact = signs @ traces / len(E)
    return np.where(np.abs(exact - exact.round()) <= 1e-3, exact.round(), np.nan)


def _by_digits(m: int) -> list[int]:
    """Where the products g_1^(e_1) ... g_m^(e_m) are in the order of binary numbers, first generator lowest."""
    return [sum(digit << i for i, digit in enumerate(e)) for e in elements(m)]


def _spanned(generators: tuple[Permutation, ...]) -> list[Permutation]:
    """The products of commuting involutions, in the order of `elements`."""
    found = []
    for e in elements(len(generators)):
        image = tuple(range(len(generators[0])))
        for generator, power in zip(generators, e, strict=True):
            image = tuple(generator[k] for k in image) if power else image
        found.append(image)
    return found


def _orbit_codes(groups: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(N, K): for each class of groups (N, 2^m, K) which elements leave it where it is, and its kind; in order."""
    fixed = groups == np.arange(groups.shape[2])
    bits = (fixed * (1 << np.arange(groups.shape[1]))[:, None]).sum(1)
    kind = np.unique(kinds, return_inverse=True)[1]
    return np.sort(bits + (kind << groups.shape[1]), 1)


def _involutions(A: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(n, K) every p with p[p[k]] = k that keeps the kinds and A[p][:, p] = A; where A is not square, the identity."""
    K = len(kinds)
    if A.shape[0] != K:
        return np.arange(K)[None]
    tol = MATCH * (1 + np.abs(A).max())
    partial = np.full((1, K), -1)
    for k in range(K):
        kept = [partial[partial[:, k] >= 0]]
        for j in range(k, K):
            free = partial[(partial[:, k] < 0) & (partial[:, j] < 0) & (kinds[j] == kinds[k])]
            free[:, k], free[:, j] = j, k
            kept.append(free)
        partial = np.concatenate(kept)
        known, there = np.maximum(partial, 0), partial >= 0
        off = np.abs(A[known[:, :, None], known[:, None]] - A) > tol
        partial = partial[~(off & there[:, :, None] & there[:, None]).any((1, 2))]
    return partial


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
