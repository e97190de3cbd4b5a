"""The block spectrum against the eigenvalues of the dense Hessian by autograd, everywhere it may be asked for."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, autograd_hessian, orthogonal, random_point
from ufm import InputError, Problem
from ufm.solvers.critical import narrow_solution, origin
from ufm.solvers.sharpen import row_space
from ufm.spectra import orbit_dimension
from ufm.spectra.ends import Operator, ends
from ufm.spectra.spectrum import Inertia


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
        small = 1e-9 * float(dense.abs().max())
        assert levels.index == int((dense < -small).sum())
        assert levels.nullity == int((dense.abs() <= small).sum())
        assert levels.nullity >= orbit_dimension(problem, row_space(problem, point)[1])


@pytest.mark.parametrize("change", [{"lambda_w": 5.05e-3}, {"lambda_h": 2.02e-3}, {"lambda_b": 1.01e-2}])
def test_a_hessian_wrong_by_one_per_cent_of_a_decay_is_seen(change):
    problem = PROBLEMS["balanced"]
    point = ufm.global_minimizer(problem)
    dense = torch.linalg.eigvalsh(autograd_hessian(replace(problem, **change), point))
    assert float((ufm.spectrum(problem, point).expanded() - dense).abs().max()) > 1e-6


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "free bias", "d = 1"])
@pytest.mark.parametrize("collapsed", [True, False])
def test_ends_at_points_that_are_not_critical(name, collapsed):
    problem = PROBLEMS[name]
    point = random_point(problem)
    point = problem.class_means(point) if collapsed else point
    levels = ufm.spectrum(problem, point, k=3)
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, point))
    assert levels.method == "matrix-free ends"
    assert not levels.complete
    assert levels.num_variables == problem.num_variables
    assert (levels.index, levels.nullity, levels.condition) == (None, None, None)
    count = len(levels.values) // 2
    torch.testing.assert_close(levels.values[:count], dense[:count], rtol=0, atol=1e-9)
    torch.testing.assert_close(levels.values[count:], dense[-(len(levels.values) - count) :], rtol=0, atol=1e-9)


def test_a_decay_is_an_eigenvalue_however_small_it_is():
    """lH = 1e-10 beside lW = 1: features that nothing else holds have eigenvalue lH, not 0."""
    problem = Problem((3, 1, 2), 2, lambda_w=1.0, lambda_h=1e-10, lambda_b=1e-2)
    point = ufm.minimize(problem, tol=1e-13).point
    levels = ufm.spectrum(problem, point)
    assert levels.nullity == orbit_dimension(problem, row_space(problem, point)[1])


def test_features_that_differ_within_a_class_are_no_critical_point():
    """Their weight decay hardly shows in the gradient, and the blocks say nothing about them."""
    problem = Problem.balanced(4, 3, 6, lambda_w=5e-3, lambda_h=1e-9, lambda_b=1e-2)
    noise = random_point(problem, scale=1.0)
    H = problem.expand(noise).H
    H = H - problem.expand(problem.class_means(noise)).H
    point = ufm.Point(torch.zeros_like(noise.W), H, torch.zeros_like(noise.b))
    levels = ufm.spectrum(problem, point, k=2)
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, point))
    assert not levels.complete
    assert levels.max == pytest.approx(float(dense[-1]), rel=1e-9)


def test_a_point_moved_off_the_minimiser_is_not_given_its_spectrum():
    problem = PROBLEMS["balanced"]
    minimizer = ufm.global_minimizer(problem)
    assert not ufm.spectrum(problem, replace(minimizer, W=minimizer.W * 1.001)).complete


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_ends_at_critical_points_too_large_for_blocks(problem, monkeypatch):
    """With every size called too large, the ends are those of the complete spectrum, each value listed."""
    for point in critical_points(problem):
        complete = ufm.spectrum(problem, point)
        monkeypatch.setattr("ufm.analysis.Analysis.levels", None)
        listed = ufm.spectrum(problem, replace(point), k=2)
        monkeypatch.undo()
        assert listed.method == "matrix-free ends"
        scale = complete.max
        assert listed.min == pytest.approx(complete.min, abs=1e-9 * scale)
        assert listed.max == pytest.approx(complete.max, rel=1e-9)
        for value in listed.values:
            assert float((complete.values - value).abs().min()) <= 1e-9 * scale


def diagonal(decades: int) -> tuple[torch.Tensor, Operator]:
    """(5,000 eigenvalues: -1e-3, zero repeated, and so many orders of magnitude up to 1; the operator)."""
    values = torch.cat([torch.zeros(50), torch.logspace(-decades, 0, 4950)]).double()
    values[7] = -1e-3
    return values, Operator(lambda v: values * v, 5000, torch.device("cpu"))


def test_lanczos_finds_the_ends_of_a_large_operator():
    values, operator = diagonal(decades=2)
    low, high, residual = ends(operator, k=4)
    assert float(low[0]) == pytest.approx(-1e-3, abs=1e-9)
    assert float(low[1].abs()) < 1e-9
    torch.testing.assert_close(high, values.sort().values[-4:], rtol=0, atol=1e-9)
    assert residual < 1e-9


def test_lanczos_gives_up_on_eigenvalues_too_close_together(monkeypatch):
    """Above the repeated zero there are hundreds within 2e-6 of it: what is listed is right all the same."""
    monkeypatch.setattr("ufm.spectra.ends.RESTARTS", 10)
    values, operator = diagonal(decades=6)
    low, high, residual = ends(operator, k=4)
    assert len(low) < 4
    assert float(low[0]) == pytest.approx(-1e-3, abs=1e-9)
    for value in torch.cat([low, high]):
        assert float((values - value).abs().min()) < 1e-9
    assert residual < 1e-9
    monkeypatch.setattr("ufm.spectra.ends.RESTARTS", 1)
    with pytest.raises(InputError, match="none of 4 eigenvalues converged"):
        ends(operator, k=4)


def test_ends_refuse_k():
    with pytest.raises(InputError, match="k must be >= 1"):
        ufm.spectrum(PROBLEMS["balanced"], random_point(PROBLEMS["balanced"]), k=0)


@pytest.mark.parametrize(("K", "n", "d"), [(2, 3, 1), (2, 2, 4), (3, 2, 2), (3, 1, 5), (4, 3, 6), (5, 2, 4), (6, 2, 7)])
@pytest.mark.parametrize("bias", [1e-2, 0.0, None])
@pytest.mark.parametrize("decay", [(5e-3, 2e-3), (1e-4, 3e-2), (0.3, 0.3)])
def test_symmetric_blocks_equal_dense_eigenvalues(K, n, d, bias, decay):
    problem = Problem.balanced(
        K, n, d, lambda_w=decay[0], lambda_h=decay[1], lambda_b=bias or 0.0, bias=bias is not None
    )
    levels = ufm.spectrum(problem)
    assert levels.method == "symmetric blocks"
    assert levels.size == problem.num_variables
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, ufm.global_minimizer(problem)))
    assert float((levels.expanded() - dense).abs().max()) <= 1e-13 * float(dense.abs().max())


def test_symmetric_blocks_at_the_origin():
    problem = PROBLEMS["balanced"]
    levels = ufm.spectrum(problem, origin(problem))
    assert levels.method == "symmetric blocks"
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, origin(problem)))
    assert float((levels.expanded() - dense).abs().max()) <= 1e-13 * float(dense.abs().max())


def test_symmetric_blocks_are_used_for_rotated_minimisers_only():
    problem = PROBLEMS["balanced"]
    minimizer = ufm.global_minimizer(problem)
    assert ufm.spectrum(problem, minimizer.rotated(orthogonal(6))).method == "symmetric blocks"
    assert ufm.spectrum(problem, ufm.minimize(problem, reduce=False).point).method == "symmetric blocks"
    saddle = narrow_solution(problem, 2).point
    assert ufm.spectrum(problem, saddle).method == "blocks"


@pytest.mark.parametrize(("K", "n", "d"), [(1000, 1300, 2048), (100_000, 100, 100_000)])
def test_any_size(K, n, d):
    problem = Problem.balanced(K, n, d, lambda_w=5e-4, lambda_h=1e-13, lambda_b=1e-3)
    levels = ufm.spectrum(problem)
    assert levels.size == problem.num_variables > 2.6e9
    assert levels.index == 0
    assert levels.nullity == orbit_dimension(problem, K - 1)


def test_facts_of_a_known_spectrum():
    problem = PROBLEMS["balanced"]
    levels = ufm.spectrum(problem, ufm.global_minimizer(problem))
    # The orbit of O(6) on rank 3: 3*6 - 3*4/2 = 12 zeros, and nothing negative.
    assert (levels.index, levels.nullity) == (0, 12)
    positive = levels.expanded()[12:]
    assert levels.condition == pytest.approx(float(positive.max() / positive.min()))
    assert levels.max == float(positive.max())
    assert abs(levels.min) <= levels.tolerance
    assert levels.inertia == Inertia(levels.index, levels.nullity, levels.condition)


def test_two_ends_have_no_inertia():
    problem = PROBLEMS["balanced"]
    levels = ufm.spectrum(problem, random_point(problem))
    assert (levels.index, levels.nullity, levels.condition) == (None, None, None)
    with pytest.raises(ufm.InputError, match="the inertia needs the complete spectrum"):
        _ = levels.inertia


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
