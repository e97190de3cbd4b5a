"""The reduced problem with T types of any loss, in balls, against autograd on all N features."""

import math

import numpy as np
import pytest
import torch
from flint import arb

from tests.ufm.losses.naive import NAIVE, flat_objective, problem_of
from tests.ufm.proofs.test_enclosure import a_point, box, contains
from ufm.proofs import balls, conclusions, losses
from ufm.proofs.enclosure import Reduced

K = 3


def reduced_objective(problem, name, rank):
    """f of the flat reduced vector (X, Y, b) from the definition, over all N features."""
    full = flat_objective(problem, name)
    K, T, d = problem.num_classes, problem.num_types, problem.dim
    roots = torch.tensor(problem.class_counts, dtype=torch.float64).sqrt()[:, None]

    def f(x):
        X, Y = x[: K * rank].view(K, rank), x[K * rank : (K + T) * rank].view(T, rank)
        pad = (0, d - rank)
        W, H = torch.nn.functional.pad(X, pad), torch.nn.functional.pad(Y / roots, pad)
        return full(torch.cat([W.reshape(-1), H[problem.labels].reshape(-1), x[(K + T) * rank :]]))

    return f


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", NAIVE)
def test_boxes_contain_value_gradient_and_hessian_of_their_points(name, bias):
    problem = problem_of(name, bias=bias)
    reduced, f = Reduced(problem, 2), reduced_objective(problem, name, 2)
    centre = a_point(reduced)
    jet = reduced.at(box(centre, 1e-6))
    for shift in (0.0, 1.0, np.random.default_rng(1).uniform(-1, 1, reduced.size)):
        x = torch.from_numpy(centre + 1e-6 * shift).requires_grad_()
        gradient, hessian = torch.autograd.grad(f(x), x)[0], torch.autograd.functional.hessian(f, x)
        assert contains(jet.value, f(x.detach()))
        assert all(map(contains, jet.gradient.entries(), gradient))
        assert all(map(contains, jet.hessian.entries(), hessian.reshape(-1)))


@pytest.mark.parametrize("name", NAIVE)
def test_tangents_leave_the_value_alone(name):
    """Rotations, and with a free bias the shift that the loss has, if it has one."""
    problem = problem_of(name, lambda_b=0.0)
    reduced = Reduced(problem, 2)
    x = box(a_point(reduced), 0)
    tangents = reduced.tangents(x)
    assert tangents.ncols() == 1 + (losses.shift(problem.loss, K) is not None)
    assert balls.largest(tangents.transpose() * reduced.at(x).gradient) < arb("1e-13")


@pytest.mark.parametrize("decays", [{}, {"lambda_w": 1e-1, "lambda_h": 1e-5}], ids=["alike", "far apart"])
@pytest.mark.parametrize("name", ["focal", "tags"])
def test_the_block_of_features_within_a_type_is_their_second_form(name, decays):
    """Two samples of a type moved apart by +-v/sqrt 2, by autograd on all N features in the problem's coordinates."""
    problem, rank = problem_of(name, dim=2, **decays), 2
    reduced, f = Reduced.of(problem, rank), flat_objective(problem, name)
    assert bool(decays) == (reduced.power >= 2)
    x = a_point(reduced, seed=5)
    jet, unit = reduced.at(box(x, 0)), 2.0**reduced.power
    T = problem.num_types
    X, Y = x[: K * rank].reshape(K, rank), x[K * rank : (K + T) * rank].reshape(T, rank)
    H = unit * (Y / np.sqrt(problem.class_counts)[:, None])[problem.labels.numpy()]
    flat = torch.from_numpy(np.concatenate([X.ravel() / unit, H.ravel(), x[(K + T) * rank :]]))
    hessian = torch.autograd.functional.hessian(f, flat)
    for t in (t for t, n in enumerate(problem.class_counts) if n >= 2):
        first = K * rank + rank * problem.labels.tolist().index(t)
        apart = torch.zeros(len(flat), rank, dtype=torch.float64)
        apart[first : first + rank] = torch.eye(rank, dtype=torch.float64) / math.sqrt(2)
        apart[first + rank : first + 2 * rank] = -apart[first : first + rank]
        expected = apart.T @ hessian @ apart
        found = conclusions.within_block(jet, t).entries()
        assert all(map(contains, found, unit**2 * expected.reshape(-1)))
        assert contains(conclusions.within_curvature(jet, t), torch.linalg.eigvalsh(expected)[0], 1e-12)
