"""The critical points found so far, each once: no two are equal up to rotation and permutations of the classes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ..problem import Problem
from ..proofs import Followed, follow, is_empty
from ..solvers.bias import without_shift
from ..solvers.sharpen import TOLD, at_rest, doubt
from ..spectra.spectrum import ZERO
from .family import Family
from .rotations import dimension, grassmannian, groups
from .subspaces import Subspace, Symmetry
from .symmetry import MATCH, same_point

FOLLOWED = 150  # ends that are followed in ball arithmetic, at most: each takes a few tenths of a second
NEAR = 0.1  # how far from the end of a search its critical point may be, relative to it
SAME_LEVEL = 1e-8  # levels further apart than this, relative to 1 + |f|, belong to different points


@dataclass(frozen=True, eq=False)
class Entry:
    """A critical point x (size,) in the family of its rank; its level, logits (T, K), and where it is from.

    spaces  the manifold of critical points that it stands for, as `rotations.grassmannian` has it
    proof   what ball arithmetic proved of it, where rounding hides it or the sign of an eigenvalue; else None
    """

    family: Family
    x: torch.Tensor
    level: float
    logits: np.ndarray
    spaces: tuple[tuple[int, int], ...]
    found_by: str
    proof: Followed | None = None

    @property
    def way(self) -> float:
        """How far it is from the end of the search that led to it, relative to |x|; 0 where float64 is enough."""
        return self.proof.way if self.proof else 0.0

    @property
    def orbit(self) -> int:
        """The dimension of the critical points that symmetries make of it: as many eigenvalues are 0."""
        r = self.family.rank
        return r * (r - 1) // 2 + self.family.problem.bias_is_free + dimension(self.spaces)

    @cached_property
    def rank(self) -> int:
        """The rank of W, at most that of the family."""
        return self.family.in_row_space(self.x)[0].rank

    @cached_property
    def flatness(self) -> float:
        """The least |eigenvalue| beside those, relative to the largest; 1 without any (and at the origin)."""
        if self.family.rank == 0:
            return 1.0
        sizes = torch.linalg.eigvalsh(self.family.expand(self.x[None]).hessian[0]).abs().sort().values
        return float(sizes[self.orbit] / sizes[-1]) if len(sizes) > self.orbit else 1.0

    @property
    def signed(self) -> bool:
        """Whether float64 has the sign of every eigenvalue but the orbit's."""
        return self.flatness > ZERO


class Catalogue:
    """Entries, and `enter`, which knows what is there already.

    Points at different levels differ; points at one level are compared by their logits, up to permutations of the
    classes that keep the counts: up to 1e-5, and in flat valleys up to as far as rounding may have moved either point,
    where there is no other one. With lambda_b = 0 logits are compared up to the shift that nothing penalises. Where
    classes turn into each other (`ufm.atlas.rotations`) points are compared by their ranks and manifolds.

    hidden    how many times there was something to enter of which rounding hides whether it is a critical point
    followed  how many times ball arithmetic led from such a place to a critical point that is proved
    excluded  how many times it led nowhere, and proved that the place is the rounding of none
    tried     how many times that was tried, or an eigenvalue's sign
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.entries: list[Entry] = []
        self.turning = groups(problem)
        self._levels = np.zeros(0)
        self.hidden = self.followed = self.excluded = self.tried = 0

    def enter(self, family: Family, x: torch.Tensor, found_by: str) -> int | None:
        """The place of a critical point x (size,) of the family: where it was, or at the end when it is new.

        None where Newton's method finds no critical point near x, or where f is so flat that rounding hides which place
        is one (`ufm.solvers.sharpen.doubt`, among the points of the same equal classes): a small gradient is none.
        There the end is followed in ball arithmetic (`ufm.proofs.followed`), and what is proved there is entered.
        """
        return self._enter(self.entry(family, x, found_by))

    def _enter(self, given: Entry) -> int | None:
        place = self._place(given)
        if place is not None:
            return place
        family, x = given.family.in_row_space(given.x)
        end = at_rest(family.landscape, x, NEAR)
        if end is None:
            return None
        entry = self.entry(*family.in_row_space(end), given.found_by)
        moved = self._doubt(entry)
        place = self._place(entry, moved or 0.0)
        if place is not None:
            return place
        told = moved is not None
        if not told or not entry.signed:
            proved = self._followed(entry)
            if proved is not None and (not told or proved.way <= TOLD):
                self.followed += not told
                entry, place = proved, self._place(proved)
                if place is not None:
                    return place
            elif not told:
                self._drop(entry)
                return None
        self.entries.append(entry)
        return len(self.entries) - 1

    def _followed(self, entry: Entry) -> Entry | None:
        """The critical point to which ball arithmetic leads from the entry, with its proof; None where undecided."""
        if self.turning or self.tried >= FOLLOWED:
            return None
        self.tried += 1
        proof = follow(self.problem, entry.family.rank, entry.x)
        return None if proof is None else replace(self.entry(entry.family, proof.x, entry.found_by), proof=proof)

    def _drop(self, entry: Entry) -> None:
        """Count the end of a search that is not entered."""
        tried = not self.turning and self.tried < FOLLOWED
        empty = tried and is_empty(self.problem, entry.family.rank, entry.x)
        self.excluded, self.hidden = self.excluded + empty, self.hidden + (not empty)

    def _doubt(self, entry: Entry) -> float | None:
        """How far rounding may have moved it; None where it is not told from the places around it, among the points
        with the same equal classes."""
        problem, family = self.problem, entry.family
        basis = None
        if not self.turning and problem.num_types == problem.num_classes:
            alike = [
                tuple(k for k in block if problem.kinds[k] == kind)
                for block in family.partition(entry.x)
                for kind in sorted({problem.kinds[k] for k in block})
            ]
            basis = Subspace(family, Symmetry.within(tuple(alike), family.rank)).basis
        return doubt(family.landscape, entry.x, basis, entry.orbit)

    def add(self, family: Family, x: torch.Tensor, found_by: str) -> bool:
        """Enter a point; returns whether it was new."""
        return bool(self.add_all(family, x[None], found_by))

    def find(self, family: Family, x: torch.Tensor) -> int | None:
        """The place of the entry that a critical point x (size,), up to rounding, is; None when there is none."""
        return self._place(self.entry(family, x, ""))

    def entry(self, family: Family, x: torch.Tensor, found_by: str) -> Entry:
        """What would be entered of a critical point x (size,) of full rank."""
        return next(self._entries(family, x[None], found_by))

    def _entries(self, family: Family, xs: torch.Tensor, found_by: str) -> Iterator[Entry]:
        levels = family.values(xs).tolist()
        for x, level, logits in zip(xs, levels, family.logits(xs), strict=True):
            if self.problem.bias_is_free:
                logits = without_shift(self.problem, logits)
            yield Entry(family, x, level, logits.numpy(), grassmannian(self.turning, family, x), found_by)

    def add_all(self, family: Family, xs: torch.Tensor, found_by: str) -> list[int]:
        """Which of the points, by their place, were new."""
        new = []
        for i, entry in enumerate(self._entries(family, xs, found_by)):
            before = len(self.entries)
            self._enter(entry)
            new += [i] * (len(self.entries) - before)
        return new

    def _place(self, new: Entry, moved: float = 0.0) -> int | None:
        """The place of the entry that the new one is, which rounding may have moved so far."""
        if len(self._levels) != len(self.entries):
            self._levels = np.array([entry.level for entry in self.entries])
        gap = SAME_LEVEL * (1 + abs(new.level))
        near = np.flatnonzero(np.abs(self._levels - new.level) <= gap).tolist()
        return next((place for place in near if self._same(self.entries[place], new, moved)), None)

    def _same(self, entry: Entry, new: Entry, moved: float) -> bool:
        if self.turning:
            return entry.rank == new.rank and entry.spaces == new.spaces
        match = MATCH + 2 * max(moved, self._doubt(entry) or 0.0) if moved else MATCH
        return same_point(new.logits, entry.logits, self.problem.kinds, match)
