"""The central path: gradient and projection by autograd, the closed form by sympy and by integration."""

import math
from itertools import pairwise

import numpy as np
import pytest
import sympy
import torch

from ufm import InputError
from ufm.flows import central_path, random_features, singular_value
from ufm.flows.central import constants, gradient, loss, renormalised, tangent

K, N_EACH, D = 4, 5, 6


def features(seed=0):
    return random_features(K, N_EACH, D, seed, 0.7)


def within(H):
    X = H.view(K, -1, H.shape[1])
    X = X - X.mean(1, keepdim=True)
    return torch.einsum("kni,knj->ij", X, X) / len(H)


def test_random_features_are_renormalised():
    torch.testing.assert_close(within(features()), torch.eye(D, dtype=torch.float64))
    assert float(features().mean(0).abs().max()) < 1e-12


def test_the_loss_is_that_of_least_squares_and_the_gradient_autograds():
    H = features()
    design, targets = np.hstack([H.numpy(), np.ones((len(H), 1))]), np.repeat(np.eye(K), N_EACH, 0)
    fitted = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    assert float(loss(H, K)) == pytest.approx(((fitted - targets) ** 2).sum() / 2 / len(H), rel=1e-12)
    slope = torch.autograd.functional.jacobian(lambda X: loss(X, K), H)
    torch.testing.assert_close(gradient(H, K), slope, rtol=1e-10, atol=1e-14)
    A = torch.randn(D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert float(loss(H @ A, K)) == pytest.approx(float(loss(H, K)), rel=1e-9)


def test_the_tangent_part_is_the_orthogonal_projection():
    """Against least squares on the constraints' Jacobian by autograd, also off Sw = I."""
    V = torch.randn(len(features()), D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for H in (features(), 1.3 * features()):
        J = torch.autograd.functional.jacobian(within, H).reshape(D * D, -1).numpy()
        v = V.reshape(-1).numpy()
        expected = v - J.T @ np.linalg.lstsq(J @ J.T, J @ v, rcond=1e-10)[0]
        np.testing.assert_allclose(tangent(H, V, K).reshape(-1), expected, atol=1e-9)


def test_the_constants_follow_from_the_loss_by_sympy():
    """On Sw = I the loss is sum 1/(1 + w^2/K)/(2 K); only the means move, n of each: dw/dt = -(dL/dw)/n."""
    w, k, n = sympy.symbols("w k n", positive=True)
    speed = -sympy.diff(1 / (1 + w**2 / k) / (2 * k), w) / n
    c1, c2, c3 = n * k * k, n * k, n / 4
    clock = c1 * sympy.log(w) + c2 * w**2 + c3 * w**4
    assert sympy.simplify(sympy.diff(clock, w) * speed - 1) == 0
    assert constants(K, K * N_EACH) == tuple(float(c.subs({k: K, n: N_EACH})) for c in (c1, c2, c3))


def test_the_reduced_loss_is_the_loss():
    H = features()
    means = H.view(K, -1, D).mean(1)
    w = np.linalg.svd(means.numpy())[1][: K - 1]
    assert float(loss(H, K)) == pytest.approx((1 / (1 + w**2 / K)).sum() / (2 * K), rel=1e-12)


@pytest.mark.parametrize(("classes", "per_class", "dim"), [(4, 5, 6), (3, 8, 2), (2, 4, 3)])
def test_the_singular_values_follow_the_closed_form(classes, per_class, dim):
    N = classes * per_class
    H = random_features(classes, per_class, dim, 1, 0.5)
    path = central_path(H, classes, [0.0, *np.geomspace(1, 1e6, 9)])
    begin = path[0].values
    for station in path:
        expected = [singular_value(classes, N, float(w), station.time) for w in begin]
        np.testing.assert_allclose(station.values, expected, rtol=1e-8)
        assert station.turn < 1e-9
    assert all(after.loss < before.loss for before, after in pairwise(path))
    assert float(path[-1].values.max() / path[-1].values.min()) == pytest.approx(1, abs=1e-3)


def test_other_constants_are_told_from_these():
    """Dropping the last term, as the flow does that renormalises after plain steps, or halving it."""
    N = K * N_EACH
    first, last = central_path(features(), K, [0.0, 2000.0])
    a, b = (np.asarray(station.values) for station in (first, last))

    def passed(c1, c2, c3):
        return c1 * np.log(b / a) + c2 * (b**2 - a**2) + c3 * (b**4 - a**4)

    np.testing.assert_allclose(passed(*constants(K, N)), 2000.0, rtol=1e-8)
    assert np.abs(passed(N * K, N, 0.0) / 2000 - 1).min() > 0.1
    assert np.abs(passed(N * K, N, N / (8 * K)) / 2000 - 1).min() > 0.1


def test_singular_values_are_the_roots():
    for begin, time in ((1e-3, 1.0), (0.5, 1e9), (3.0, 0.0), (2.0, 1e-9)):
        w = singular_value(3, 12, begin, time)
        c1, c2, c3 = constants(3, 12)
        passed = c1 * math.log(w / begin) + c2 * (w**2 - begin**2) + c3 * (w**4 - begin**4)
        assert passed == pytest.approx(time, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: random_features(4, 2, 5), r"K - 1 <= d <= K \(n - 1\)"),
        (lambda: random_features(4, 3, 2), "K - 1 <= d"),
        (lambda: central_path(features()[:-1], K, [0.0, 1.0]), "classes of n >= 2"),
        (lambda: central_path(features(), K, [1.0, 0.0]), "times must ascend"),
        (lambda: singular_value(3, 9, 0.0, 1.0), "begin > 0"),
        (lambda: renormalised(features()[:, :1].expand(-1, 3), K), "singular"),
    ],
)
def test_what_cannot_be_is_refused(ask, words):
    with pytest.raises(InputError, match=words):
        ask()


def test_renormalising_after_plain_steps_is_another_flow():
    """dw/dt = w/(N K (1 + w^2/K)), by differences of singular values after a short plain step."""
    H, N, step = features(), K * N_EACH, 1e-3

    def values(X):
        return np.linalg.svd(renormalised(X, K).view(K, -1, D).mean(1).numpy())[1][: K - 1]

    w = values(H)
    speed = (values(H - step * gradient(H, K)) - values(H + step * gradient(H, K))) / (2 * step)
    np.testing.assert_allclose(speed, w / (N * K * (1 + w**2 / K)), rtol=1e-6)
