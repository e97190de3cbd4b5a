"""The reduced problem in balls encloses what automatic differentiation and mpmath find."""

import mpmath
import numpy as np
import pytest
import torch
from flint import arb

from tests.cases import PROBLEMS, flat_objective
from ufm.proofs import balls
from ufm.proofs.enclosure import Reduced

RADIUS = 1e-6
NAMES = ["balanced", "imbalanced", "no bias", "free bias", "one sample each"]


def reduced_objective(problem, rank):
    """f of the flat reduced vector by plain torch operations over all N features: no shared code."""
    full = flat_objective(problem)
    K, d = problem.num_classes, problem.dim
    roots = torch.tensor(problem.class_counts, dtype=torch.float64).sqrt()[:, None]

    def f(x):
        X, Y = x[: K * rank].view(K, rank), x[K * rank : 2 * K * rank].view(K, rank)
        pad = (0, d - rank)
        W, H = torch.nn.functional.pad(X, pad), torch.nn.functional.pad(Y / roots, pad)
        return full(torch.cat([W.reshape(-1), H[problem.labels].reshape(-1), x[2 * K * rank :]]))

    return f


def a_point(reduced, seed=0):
    return 0.7 * np.random.default_rng(seed).standard_normal(reduced.size)


def box(x, radius):
    return balls.column(arb(value) + arb(0, radius) for value in x)


def contains(ball, value, slack=1e-13):
    """Whether a float with rounding errors below `slack` is in the ball."""
    return balls.lower(ball) - slack <= float(value) <= balls.upper(ball) + slack


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_boxes_contain_value_gradient_and_hessian_of_their_points(name, rank):
    problem = PROBLEMS[name]
    reduced, f = Reduced(problem, rank), reduced_objective(problem, rank)
    centre = a_point(reduced)
    jet = reduced.at(box(centre, RADIUS))
    generator = np.random.default_rng(1)
    for shift in (0.0, 1.0, generator.uniform(-1, 1, reduced.size)):
        x = torch.from_numpy(centre + RADIUS * shift).requires_grad_()
        gradient = torch.autograd.grad(f(x), x)[0] if reduced.size else x
        hessian = torch.autograd.functional.hessian(f, x) if reduced.size else torch.zeros(0, 0)
        assert contains(jet.value, f(x.detach()))
        assert all(map(contains, jet.gradient.entries(), gradient))
        assert all(map(contains, jet.hessian.entries(), hessian.reshape(-1)))


@pytest.mark.parametrize("name", NAMES)
def test_boxes_are_tight(name):
    """Wide enough balls contain anything: these are not wider than a hundred times the box."""
    problem = PROBLEMS[name]
    reduced = Reduced(problem, 2)
    with balls.working_precision(256):
        jet = reduced.at(box(a_point(reduced), 1e-30))
        assert balls.largest(jet.hessian - jet.hessian.mid()) < arb("1e-28")
        assert balls.largest(jet.gradient - jet.gradient.mid()) < arb("1e-28")


def elsewhere(f, x):
    """The Hessian at a point outside the box."""
    return torch.autograd.functional.hessian(f, x + 10 * RADIUS)


def weak_coupling(f, x):
    """The Hessian with one block, that of X with Y, a thousandth too small."""
    hessian = torch.autograd.functional.hessian(f, x)
    hessian[:8, 8:16] *= 1 - 1e-3
    return hessian


@pytest.mark.parametrize("wrong", [elsewhere, weak_coupling])
def test_another_hessian_is_not_contained(wrong):
    problem = PROBLEMS["balanced"]
    reduced, f = Reduced(problem, 2), reduced_objective(problem, 2)
    x = a_point(reduced)
    jet = reduced.at(box(x, RADIUS))
    assert not all(map(contains, jet.hessian.entries(), wrong(f, torch.from_numpy(x)).reshape(-1)))


def mpmath_value(problem, W, H, b):
    """f from its definition by loops over samples, at the working precision of mpmath; H has one row a class."""
    exact = [[[mpmath.mpf(float(v)) for v in row] for row in part] for part in (W, H, b[None])]
    W, H, (b,) = exact
    total, norm = mpmath.mpf(0), mpmath.mpf(0)
    for k, n in enumerate(problem.class_counts):
        z = [mpmath.fdot(w, H[k]) + b[i] for i, w in enumerate(W)]
        for _ in range(n):
            total += mpmath.log(mpmath.fsum(mpmath.exp(v) for v in z)) - z[k]
            norm += mpmath.mpf(problem.lambda_h) * mpmath.fsum(v * v for v in H[k])
    norm += mpmath.mpf(problem.lambda_w) * mpmath.fsum(v * v for w in W for v in w)
    norm += mpmath.mpf(problem.lambda_b) * mpmath.fsum(v * v for v in b)
    return total / problem.num_samples + norm / 2


@pytest.mark.parametrize("name", NAMES)
def test_the_value_agrees_with_mpmath_at_50_digits(name):
    problem = PROBLEMS[name]
    generator = np.random.default_rng(3)
    K, r = problem.num_classes, 2
    W, H, b = generator.standard_normal((K, r)), generator.standard_normal((K, r)), generator.standard_normal(K)
    b = b * problem.bias
    with balls.working_precision(200), mpmath.workdps(50):
        reduced = Reduced(problem, r)
        rows = zip(H.tolist(), reduced.roots, strict=True)
        Y = [arb(h) * root for row, root in rows for h in row]
        x = [arb(v) for v in W.ravel().tolist()] + Y + [arb(v) for v in b.tolist()] * problem.bias
        value = reduced.at(balls.column(x)).value
        expected = arb(mpmath.nstr(mpmath_value(problem, W, H, b), 50))
        assert abs(value - expected) < arb("1e-48")


@pytest.mark.parametrize("name", ["balanced", "free bias", "no bias"])
def test_tangents_leave_the_value_alone(name):
    """The gradient at any point is orthogonal to every tangent, and the tangents are the derivative of the motion."""
    problem = PROBLEMS[name]
    for rank in (1, 2, 3):
        reduced = Reduced(problem, rank)
        x = box(a_point(reduced), 0)
        tangents = reduced.tangents(x)
        assert tangents.ncols() == reduced.num_symmetries == rank * (rank - 1) // 2 + (name == "free bias")
        along = tangents.transpose() * reduced.at(x).gradient
        assert balls.largest(along) < arb("1e-13")
        # Linear in x, but for the shift of b, which is constant.
        mu = [arb(i + 1) for i in range(reduced.num_symmetries)]
        still = reduced.tangents(balls.column([arb(0)] * reduced.size)) * balls.column(mu)
        moved = tangents * balls.column(mu) - still - reduced.tangent_derivative(mu) * x
        assert moved.contains(balls.column([arb(0)] * reduced.size))
