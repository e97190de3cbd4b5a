"""The block spectrum against the eigenvalues of the dense Hessian by autograd, everywhere it may be asked for."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, autograd_hessian, random_point
from ufm import InputError, Problem
from ufm.critical import narrow_solution, origin
from ufm.spectra import orbit_dimension, row_space


def critical_points(problem: Problem):
    """The minimiser, the origin, and the solutions of narrower problems."""
    yield ufm.minimize(problem, tol=1e-13).point
    yield origin(problem)
    for rank in range(1, min(problem.num_classes - 1, problem.dim + 1)):
        yield problem.class_means(narrow_solution(problem, rank).point)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_equals_dense_eigenvalues(problem):
    for point in critical_points(problem):
        levels = ufm.spectrum(problem, point)
        dense = torch.linalg.eigvalsh(autograd_hessian(problem, point))
        assert levels.size == problem.num_variables == len(dense)
        assert float((levels.expanded() - dense).abs().max()) <= 1e-11 * float(dense.abs().max())
        assert levels.index == int((dense < -levels.tolerance).sum())
        assert levels.nullity == int((dense.abs() <= levels.tolerance).sum())
        assert levels.nullity >= orbit_dimension(problem, row_space(problem, point.W)[1])


@pytest.mark.parametrize("change", [{"lambda_w": 5.05e-3}, {"lambda_h": 2.02e-3}, {"lambda_b": 1.01e-2}])
def test_a_hessian_wrong_by_one_per_cent_of_a_decay_is_seen(change):
    problem = PROBLEMS["balanced"]
    point = ufm.global_minimizer(problem)
    dense = torch.linalg.eigvalsh(autograd_hessian(replace(problem, **change), point))
    assert float((ufm.spectrum(problem, point).expanded() - dense).abs().max()) > 1e-6


def test_refuses_a_point_that_is_not_critical():
    problem = PROBLEMS["balanced"]
    with pytest.raises(InputError, match=r"exact at critical points only.*start ufm\.minimize"):
        ufm.spectrum(problem, random_point(problem))
    minimizer = ufm.global_minimizer(problem)
    with pytest.raises(InputError, match="exact at critical points only"):
        ufm.spectrum(problem, replace(minimizer, W=minimizer.W * 1.001))


def test_facts_of_a_known_spectrum():
    problem = PROBLEMS["balanced"]
    levels = ufm.spectrum(problem, ufm.global_minimizer(problem))
    # The orbit of O(6) on rank 3: 3*6 - 3*4/2 = 12 zeros, and nothing negative.
    assert (levels.index, levels.nullity) == (0, 12)
    positive = levels.expanded()[12:]
    assert levels.condition == pytest.approx(float(positive.max() / positive.min()))
    assert levels.max == float(positive.max())
    assert abs(levels.min) <= levels.tolerance


def test_merged_spectrum_has_the_same_eigenvalues():
    problem = PROBLEMS["balanced"]
    levels = ufm.spectrum(problem, ufm.global_minimizer(problem))
    merged = levels.merged()
    assert len(merged.values) < len(levels.values)
    assert (merged.values.diff() > 1e-9 * levels.max).all()
    torch.testing.assert_close(merged.expanded(), levels.expanded(), rtol=0, atol=1e-9 * levels.max)
    assert (merged.index, merged.nullity, merged.size) == (levels.index, levels.nullity, levels.size)


def test_cost_depends_on_neither_n_nor_d():
    """2.6 million variables: the dense Hessian would have 7e12 entries."""
    problem = Problem.balanced(6, 10_000, 43, lambda_w=5e-3, lambda_h=1e-7, lambda_b=1e-2)
    levels = ufm.spectrum(problem, ufm.global_minimizer(problem))
    assert levels.size == problem.num_variables > 2_500_000
    assert levels.nullity == orbit_dimension(problem, 5)


@pytest.mark.parametrize(("rank", "dim", "expected"), [(0, 5, 0), (1, 5, 4), (3, 3, 3), (3, 6, 12)])
def test_orbit_dimension_is_the_stiefel_manifolds(rank, dim, expected):
    problem = Problem.balanced(4, 2, dim, lambda_w=1e-2, lambda_h=1e-2, lambda_b=1e-2)
    assert orbit_dimension(problem, rank) == expected
    assert orbit_dimension(replace(problem, lambda_b=0.0), rank) == expected + 1
    assert orbit_dimension(replace(problem, lambda_b=0.0, bias=False), rank) == expected
