"""The Euler sums: their parts against brute force, and lists with planted errors."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.cases import flat_objective
from tests.ufm.atlas.atlases import ATLASES, atlas, catalogue, images
from ufm.atlas.catalogue import Catalogue
from ufm.atlas.characters import Symmetries
from ufm.atlas.euler import (
    EulerSum,
    Ledger,
    choices,
    euler_sum,
    stiefel_characteristic,
    terms,
)
from ufm.atlas.involutions import actions, isotypic

BRUTE_FORCE = ("K = 3", "K = 4", "K = 4, no bias", "in pairs", "all different")


@pytest.mark.parametrize(
    ("r", "d", "expected"),
    # A point; two points; the circle; the sphere; the 3-sphere; SO(2) twice; O(3); three frames of the 5-sphere; none.
    [(0, 4, 1), (1, 1, 2), (1, 2, 0), (1, 3, 2), (1, 4, 0), (2, 2, 0), (3, 3, 0), (2, 3, 0), (2, 1, 0), (1, 0, 0)],
)
def test_characteristics_of_stiefel_manifolds(r, d, expected):
    assert stiefel_characteristic(r, d) == expected


def kept_by_brute_force(entry, action, counts) -> Counter:
    """By ranks of the parts: how many of the class-permuted copies each generator keeps, up to rotation."""
    W, scaled, b = entry.family.landscape.split(entry.x)
    product = (scaled / entry.family.landscape.roots @ W.T).numpy()
    tagged = product + 1e3 * np.diag(b.numpy())  # the biases move along on the diagonal
    found = Counter()
    for image in images(tagged, counts):
        if all(np.allclose(image[np.ix_(p, p)], image, rtol=0, atol=1e-6) for p in action.generators):
            bare = image - np.diag(np.diag(image)) + np.diag(_diagonal(product, image, tagged))
            found[_ranks(bare, action)] += 1
    return found


def _diagonal(product, image, tagged):
    """The diagonal of the product, in the order that the tagged diagonal is in."""
    places = [int(np.abs(np.diag(tagged) - value).argmin()) for value in np.diag(image)]
    return np.diag(product)[places]


def _ranks(matrix, action):
    ranks = {}
    for c, B in isotypic(action.generators, len(matrix)).items():
        ranks[c] = int(np.linalg.matrix_rank(B.T @ matrix @ B, tol=1e-6))
    return tuple(sorted(Counter(ranks).items()))


@pytest.mark.parametrize("name", BRUTE_FORCE)
def test_the_copies_that_an_action_keeps(name):
    found = catalogue(atlas(name))
    counts = ATLASES[name].class_counts
    for entry in found.entries:
        for action in actions(counts, 3):
            counted = Counter()
            for term in terms(Symmetries(entry), action):
                counted[tuple(sorted((c, r) for c, r in term.ranks.items() if r))] += term.weight
            expected = Counter()
            for ranks, times in kept_by_brute_force(entry, action, counts).items():
                expected[tuple((c, r) for c, r in ranks if r)] += times
            assert counted == pytest.approx(expected)


def split_coordinates(family, x, generators):
    """(the character of each coordinate, x rotated to coordinates that have one), at a point that the generators keep.

    W[p] = W R with R a reflection; commuting reflections share their axes.
    """
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


def fixed_basis(family, characters, parts):
    """(size, m) orthonormal: column j of W and H~ in the part of its character, b in the part that nothing changes."""
    K, r = family.problem.num_classes, family.rank
    columns = []
    for j, c in enumerate(characters):
        for vector in torch.from_numpy(parts.get(c, np.zeros((K, 0))).T.copy()):
            column = torch.zeros(2, K, r, dtype=torch.float64)
            column[0, :, j] = vector
            columns += [column, column.flip(0)]
    wide = torch.stack([column.flatten() for column in columns], 1) if columns else torch.zeros(2 * K * r, 0)
    trivial = torch.from_numpy(parts[min(parts)]) if family.problem.bias else torch.zeros(0, 0)
    return torch.block_diag(wide.double(), trivial.double())


def restricted_hessian(problem, W, scaled, b, basis):
    """Eigenvalues of f over all N features on the subspace of `basis`, by autograd."""
    f, n = flat_objective(problem), torch.tensor(problem.class_counts, dtype=torch.float64)
    K, d = problem.num_classes, problem.dim
    centre = torch.cat([W.reshape(-1), scaled.reshape(-1), b] if problem.bias else [W.reshape(-1), scaled.reshape(-1)])

    def value(y):
        x = centre + basis @ y
        H = x[K * d : 2 * K * d].view(K, d) / n.sqrt()[:, None]
        return f(torch.cat([x[: K * d], H[problem.labels].flatten(), x[2 * K * d :]]))

    if not basis.shape[1]:
        return centre.new_zeros(1)
    return torch.linalg.eigvalsh(torch.func.hessian(value)(centre.new_zeros(basis.shape[1])))


@pytest.mark.parametrize("name", ["K = 4", "in pairs", "K = 4, free bias"])
def test_the_index_in_a_subspace_is_what_autograd_finds(name):
    """Also with more coordinates of a character than the point has: each adds `unstable` negative eigenvalues."""
    found, looked = catalogue(atlas(name)), 0
    K = ATLASES[name].num_classes
    for entry in found.entries:
        for action in actions(ATLASES[name].class_counts, 2):
            parts = isotypic(action.generators, K)
            # Up to permutations of the classes; those that keep this very copy can be looked at.
            logits = entry.family.logits(entry.x[None])[0]
            if not all(torch.allclose(logits[list(p)][:, list(p)], logits, atol=1e-8) for p in action.generators):
                continue
            characters, x = split_coordinates(entry.family, entry.x, action.generators)
            kinds = [t for t in terms(Symmetries(entry), action) if t.ranks == Counter(characters)]
            for extra in [[], *([c] for c in parts), *([c, c] for c in parts)][: 1 if entry.family.rank > 1 else None]:
                problem = replace(entry.family.problem, dim=max(1, entry.family.rank + len(extra)))
                pad = problem.dim - entry.family.rank
                W, scaled, b = entry.family.landscape.split(x)
                W, scaled = (torch.nn.functional.pad(part, (0, pad)) for part in (W, scaled))
                wide = replace(entry.family, problem=problem, rank=problem.dim)
                names = [*characters, *extra, *[("none",)] * (pad - len(extra))]
                basis = fixed_basis(wide, names, parts)
                values = restricted_hessian(problem, W, scaled, b, basis)
                index = int((values < -1e-9 * values.abs().max()).sum())
                assert index in {t.index + sum(t.unstable[c] for c in extra) for t in kinds}
                looked += 1
    assert looked > 30


@pytest.mark.parametrize("name", ATLASES)
def test_the_sums_of_a_complete_atlas_are_one(name):
    found = atlas(name)
    assert len(found.sums) >= 2
    assert {s.value for s in found.sums} == {1}


@cache
def computed(name: str) -> tuple[Catalogue, dict]:
    """(the catalogue, by action the terms of each entry)"""
    found = catalogue(atlas(name))
    kinds = Ledger(found).actions
    entries = [Symmetries(entry) for entry in found.entries]
    return found, {action: [terms(one, action) for one in entries] for action in kinds}


def sums(name: str, change=lambda by_entry: by_entry) -> list[EulerSum]:
    """The sums after `change` of the list of the entries' terms."""
    found, by_action = computed(name)
    K, dim = found.problem.num_classes, min(found.problem.dim, found.problem.num_classes - 1)
    return [
        euler_sum(action, coordinates, [term for one in change(by_entry) for term in one])
        for action, by_entry in by_action.items()
        for coordinates in choices(action, K, dim)
    ]


def caught(name: str, change) -> bool:
    return any(s.failing for s in sums(name, change))


@pytest.mark.parametrize("name", ["K = 3", "K = 4", "K = 4, no bias", "in pairs"])
def test_a_missing_point_is_caught(name):
    """Every one of rank <= 1; of higher rank, every one that some involution keeps."""
    assert not caught(name, lambda by_entry: by_entry)
    for i, point in enumerate(atlas(name).points):
        found = caught(name, lambda by_entry, i=i: by_entry[:i] + by_entry[i + 1 :])
        kept = any(term.weight and action.m for action, by in computed(name)[1].items() for term in by[i])
        assert found or (point.rank >= 2 and not kept), f"{point.level}, rank {point.rank}"


@pytest.mark.parametrize("name", ["all different", "long tail"])
def test_without_symmetries_points_of_rank_one_are_caught(name):
    for i, point in enumerate(atlas(name).points):
        found = caught(name, lambda by_entry, i=i: by_entry[:i] + by_entry[i + 1 :])
        assert found == (point.rank <= 1)


@pytest.mark.parametrize("name", ["K = 3", "K = 4"])
def test_a_point_listed_twice_is_caught(name):
    for i, _ in enumerate(atlas(name).points):
        assert caught(name, lambda by_entry, i=i: [*by_entry, by_entry[i]])


@pytest.mark.parametrize("name", ["K = 3", "K = 4"])
def test_a_wrong_index_is_caught(name):
    for i, _ in enumerate(atlas(name).points):

        def flipped(by_entry, i=i):
            wrong = [replace(term, index=term.index + 1) for term in by_entry[i]]
            return [*by_entry[:i], wrong, *by_entry[i + 1 :]]

        assert caught(name, flipped)


@pytest.mark.parametrize("change", [{"regular": False}, {"flat": frozenset([()])}])
def test_nothing_is_said_where_a_point_is_degenerate(change):
    found = sums("K = 3", lambda by_entry: [[replace(term, **change) for term in by_entry[-1]], *by_entry[:-1]])
    assert {s.value for s in found if s.action.m == 0} == {None}
    assert not any(s.failing for s in found if s.value is None)


def test_at_the_collapse_threshold_nothing_is_said():
    """K sqrt(n lW lH) = 1: the origin is the one critical point, and every direction out of it is flat."""
    problem = replace(ATLASES["K = 3"], lambda_w=2**-0.5 / 3, lambda_h=2**-0.5 / 3)
    found = Catalogue(problem)
    origin = computed("K = 3")[0].entries[-1]
    family = replace(origin.family, problem=problem)
    found.entries.append(found.entry(family, origin.x, "origin"))
    assert {s.value for s in Ledger(found).sums(2)} == {None}


def test_a_sum_names_what_it_is_about():
    names = [s.name for s in sums("K = 3")]
    assert names[:2] == ["identity: 1 of any sign", "identity: 3 of any sign"]
    assert names[2].startswith("(1 2): 1 of + sign, 1 of - sign")
