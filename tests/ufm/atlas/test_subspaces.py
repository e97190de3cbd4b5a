"""f on the subspaces that symmetries fix: against f on the whole, and against fixed vectors found by linear algebra."""

import numpy as np
import pytest
import torch

from ufm import Problem
from ufm.atlas.family import Family
from ufm.atlas.involutions import actions
from ufm.atlas.search import Round
from ufm.atlas.subspaces import Subspace, Symmetry
from ufm.losses import BinaryCrossEntropy, CrossEntropy, MeanSquare, SoftCrossEntropy

DECAY = {"lambda_w": 2e-3, "lambda_h": 5e-3, "lambda_b": 1e-2}
SOFT = SoftCrossEntropy(torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2]]))
PROBLEMS = {
    "balanced": Problem.balanced(5, 2, 3, **DECAY),
    "imbalanced": Problem((1, 1, 3, 3, 3), 3, **DECAY),
    "no bias": Problem.balanced(5, 2, 3, lambda_w=2e-3, lambda_h=5e-3, bias=False, loss=MeanSquare()),
    "binary": Problem((2, 2, 2, 1, 1), 3, **DECAY, loss=BinaryCrossEntropy()),
}


def symmetries(problem):
    """Every action of one or two involutions, with characters of three coordinates drawn by number."""
    for i, action in enumerate(actions(problem.kinds, 2)):
        yield Symmetry.of(action, [tuple((i >> j + k) % 2 for k in range(action.m)) for j in range(3)])


def turned(problem, permutation, signs) -> np.ndarray:
    """The symmetry as a matrix on (W, H~, b)."""
    P, D = np.eye(problem.num_classes)[list(permutation)], np.diag(signs)
    parts = [np.kron(P, D), np.kron(P, D), *[P] * problem.bias]
    whole = np.zeros((sum(map(len, parts)),) * 2)
    begin = 0
    for part in parts:
        whole[begin : begin + len(part), begin : begin + len(part)] = part
        begin += len(part)
    return whole


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_basis_spans_all_that_is_kept(name):
    problem = PROBLEMS[name]
    cycle = [Symmetry(((1, 2, 0, 3, 4),), ((1, 1, 1),))] if len(set(problem.kinds)) == 1 else []
    for symmetry in [*symmetries(problem), *cycle]:
        basis = Subspace(Family(problem, 3), symmetry).basis.numpy()
        moves = [turned(problem, p, s) for p, s in zip(symmetry.permutations, symmetry.signs, strict=True)]
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
        for move in moves:
            np.testing.assert_allclose(move @ basis, basis, atol=1e-12)
        rest = np.concatenate([move - np.eye(len(basis)) for move in moves] or [np.zeros((1, len(basis)))])
        assert basis.shape[1] == len(basis) - np.linalg.matrix_rank(rest)


@pytest.mark.parametrize("name", PROBLEMS)
def test_f_there_is_f_on_the_whole(name):
    family = Family(PROBLEMS[name], 3)
    for symmetry in symmetries(PROBLEMS[name]):
        space = Subspace(family, symmetry)
        y = torch.randn(3, space.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        value, gradient, hessian = space.expand(y)
        wide = family.expand(space.lift(y))
        torch.testing.assert_close(value, wide.value)
        torch.testing.assert_close(space.values(y), wide.value)
        torch.testing.assert_close(space.lift(gradient), wide.gradient, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(hessian, space.basis.T @ wide.hessian @ space.basis, rtol=1e-9, atol=1e-10)


def test_classes_that_are_no_types_move_alone():
    problem = Problem((2, 2, 2, 3), 2, **DECAY, loss=SOFT)
    family = Family(problem, 2)
    space = Subspace(family, Symmetry.within(((0, 1), (2,)), 2))
    y = torch.randn(2, space.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    W, scaled, b = family.landscape.split(space.lift(y))
    assert torch.equal(W[:, 0], W[:, 1])
    assert torch.equal(b[:, 0], b[:, 1])
    assert space.size == 2 * 2 + 4 * 2 + 2
    assert not torch.equal(scaled[:, 0], scaled[:, 1])
    value, gradient, hessian = space.expand(y)
    wide = family.expand(space.lift(y))
    torch.testing.assert_close(value, wide.value)
    torch.testing.assert_close(gradient, space.restrict(wide.gradient))
    torch.testing.assert_close(hessian, space.basis.T @ wide.hessian @ space.basis)


def test_a_round_ends_at_critical_points_that_keep_its_symmetry():
    problem = Problem.balanced(5, 2, 4, lambda_w=2e-3, lambda_h=2e-3, lambda_b=1e-2, loss=CrossEntropy())
    symmetry = Symmetry(((1, 0, 3, 2, 4),), ((1, -1),))
    ends = Round(problem, 2, 40, (0,), "here", symmetry).run()
    assert len(ends) > 20
    space = Subspace(Family(problem, 2), symmetry)
    torch.testing.assert_close(space.lift(space.restrict(ends)), ends)
    assert float(space.family.expand(ends).gradient.norm(dim=1).max()) <= 1e-12
