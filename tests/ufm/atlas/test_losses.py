"""Atlases of other losses: against closed forms, independent searches, and planted errors; manifolds are said."""

from itertools import combinations

import pytest
import torch

import ufm
from tests.ufm.losses.naive import NAIVE, flat_objective, problem_of
from ufm import Problem
from ufm.atlas import explore
from ufm.atlas.catalogue import Catalogue
from ufm.atlas.euler import Ledger
from ufm.atlas.family import Family
from ufm.atlas.rotations import characteristic, groups
from ufm.losses import BinaryCrossEntropy, MeanSquare, Weighted

DECAY = {"lambda_w": 2e-2, "lambda_h": 3e-2}
COUNTS = (1, 2, 4, 6)


def subset_points(problem: Problem):
    """(level, rank, index) of the critical point of each subset of classes: theory for MSE, imbalanced, no bias.

    Reconstructing class k alone gains (sqrt n_k - N s)^2/(2N) where sqrt n_k > N s, s = sqrt(lW lH). The index counts,
    for each class k left out, the d - r free dimensions and the classes kept that are smaller.
    """
    n, N, s, d = problem.class_counts, problem.num_samples, problem.ridge, problem.dim
    assert all(count > (N * s) ** 2 for count in n)
    found = []
    for r in range(min(d, len(n)) + 1):
        for kept in combinations(range(len(n)), r):
            left = [k for k in range(len(n)) if k not in kept]
            level = sum(s * n[k] ** 0.5 - N * s**2 / 2 for k in kept) + sum(n[k] for k in left) / (2 * N)
            index = sum(d - r + sum(n[j] < n[k] for j in kept) for k in left)
            found.append((level, r, index))
    return sorted(found)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_the_imbalanced_atlas_of_mse_is_the_closed_form_point_by_point(dim):
    problem = Problem(COUNTS, dim, **DECAY, bias=False, loss=MeanSquare())
    atlas = explore(problem, until_quiet=200)
    expected = subset_points(problem)
    assert len(atlas.points) == len(expected)
    for point, (level, rank, index) in zip(atlas.points, expected, strict=True):
        assert point.level == pytest.approx(level, abs=1e-12)
        assert (point.rank, point.index, point.manifold) == (rank, index, "")
    assert not atlas.failing
    assert atlas.complaints(False) == []


@pytest.mark.parametrize(
    ("settings", "manifolds"),
    [
        ({"bias": False}, ["", "Gr(3, 4)", "Gr(2, 4)", "Gr(1, 4)", ""]),
        ({"lambda_b": 2e-2}, ["", "Gr(2, 3)", "Gr(1, 3)", ""]),
        ({"lambda_b": 0.0}, ["", "Gr(2, 3)", "Gr(1, 3)", ""]),
    ],
    ids=["no bias", "bias", "free bias"],
)
def test_equal_counts_under_mse_make_grassmannians_and_the_atlas_says_so(settings, manifolds):
    """One entry a manifold, whose dimension is the nullity beyond the orbit of O(d); the Euler sums are 1."""
    problem = Problem((2, 2, 2, 2), 4, **DECAY, **settings, loss=MeanSquare())
    atlas = explore(problem, until_quiet=200)
    assert [point.manifold for point in atlas.points] == manifolds
    for point in atlas.points:
        r, m = map(int, point.manifold[3:-1].split(", ")) if point.manifold else (0, 0)
        assert point.nullity == point.certificate.orbit_dimension + r * (m - r)
    assert atlas.sums
    assert all(s.value == 1 for s in atlas.sums)


def test_a_manifold_that_is_missing_fails_a_sum():
    """K = 5 without a bias: at d = 1 the zero point and RP^4, of characteristic 1, are seen; either is missed."""
    problem = Problem((2,) * 5, 5, **DECAY, bias=False, loss=MeanSquare())
    points = explore(problem, until_quiet=200).points
    for planted in (0, 1):
        catalogue = Catalogue(problem)
        for point in points:
            if point.rank != planted:
                family = Family(problem, 5)
                x = family.landscape.pack(point.point.W, point.point.H, point.point.b)
                assert catalogue.add(family, x, "planted")
        assert any(s.failing for s in Ledger(catalogue).sums(5))


def test_characteristics_of_grassmannians_are_the_counts_of_schubert_cells():
    for m in range(1, 7):
        for r in range(m + 1):
            cells = sum(
                (-1) ** sum(place - i for i, place in enumerate(places)) for places in combinations(range(m), r)
            )
            assert characteristic(((r, m),)) == cells


@pytest.mark.parametrize("name", NAIVE)
def test_every_loss_has_an_atlas_of_true_critical_points_whose_sums_are_one(name):
    """Gradient and index of each point by autograd of the definition; a convex loss is benign from its d on."""
    problem = problem_of(name, dim=3, lambda_w=3e-2, lambda_h=3e-2, lambda_b=5e-2)
    f = flat_objective(problem, name)
    atlas = explore(problem, until_quiet=200)
    assert len(atlas.points) >= 3
    assert not atlas.failing
    assert atlas.complaints(False) == []
    for point in atlas.points:
        whole = problem.expand(point.point)
        x = torch.cat([whole.W.reshape(-1), whole.H.reshape(-1), whole.b])
        assert float(torch.autograd.functional.jacobian(f, x).norm()) <= 1e-11
        values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, x))
        assert int((values < -1e-9).sum()) == point.index
        assert point.level == pytest.approx(float(f(x)), rel=1e-12)
    assert any(point.certificate.verdict == "global minimizer" for point in atlas.points)


def test_descents_of_other_losses_lead_down():
    for name in ("soft", "bce", "label smoothing"):
        problem = problem_of(name, dim=3, lambda_w=3e-2, lambda_h=3e-2, lambda_b=5e-2)
        atlas = explore(problem, until_quiet=100, connect=True)
        assert atlas.complaints(True) == []
        assert len(atlas.leads_down) == len(atlas.points)


def test_below_k_binary_cross_entropy_has_minima_that_are_not_global():
    """K = 5, d = 4 = K - 1: enough for a shift-invariant loss, and not for this one."""
    problem = Problem((1,) * 5, 4, 2e-3, 2e-3, bias=False, loss=BinaryCrossEntropy())
    assert problem.largest_rank == 5
    values = set()
    for seed in range(60):
        solution = ufm.minimize(problem, seed=seed, tol=1e-11)
        certificate = ufm.certify(problem, solution.point)
        if certificate.index == 0 and certificate.nullity == certificate.orbit_dimension == 6:
            values.add(round(solution.value, 10))
    assert min(values) == pytest.approx(0.1694720697, abs=3e-10)
    assert len(values) >= 2


def test_classes_of_one_weight_turn_and_others_do_not():
    loss = Weighted(MeanSquare(), [1.0, 1.0, 2.0, 2.0, 3.0])
    problem = Problem.balanced(5, 2, 6, **DECAY, bias=False, loss=loss)
    assert [group.classes for group in groups(problem)] == [(0, 1), (2, 3)]
    plain = Problem.balanced(5, 2, 6, **DECAY, bias=False, loss=MeanSquare())
    assert [group.classes for group in groups(plain)] == [(0, 1, 2, 3, 4)]
