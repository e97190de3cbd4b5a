"""The film of the gradient flow: the flow itself, by another integrator, to rest, evenly spaced."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import ufm
from tests.cases import PROBLEMS
from ufm import InputError
from ufm.solvers.flow import gradient_flow
from ufm.solvers.minimize import random_point

PROBLEM = PROBLEMS["d = K"]


def flat(point) -> torch.Tensor:
    return torch.cat([point.W.flatten(), point.H.flatten(), point.b])


@pytest.fixture(scope="module")
def frames():
    return gradient_flow(PROBLEM, random_point(PROBLEM), 9)


def test_it_starts_where_asked_and_ends_at_rest(frames):
    torch.testing.assert_close(flat(frames[0].point), flat(random_point(PROBLEM)), rtol=0, atol=1e-12)
    assert frames[0].time == 0
    last = ufm.certify(PROBLEM, frames[-1].point)
    assert last.relative_grad_norm == pytest.approx(1e-6, rel=0.05)
    assert frames[-1].value == pytest.approx(float(PROBLEM.objective(ufm.global_minimizer(PROBLEM))), abs=1e-9)


def test_f_falls_and_is_the_objective(frames):
    values = [frame.value for frame in frames]
    assert values == sorted(values, reverse=True)
    assert values == pytest.approx([float(PROBLEM.objective(frame.point)) for frame in frames], rel=1e-12)


def test_the_classical_runge_kutta_method_goes_the_same_way(frames):
    def slope(point):
        W, H, b = (tensor.clone().requires_grad_() for tensor in (point.W, point.H, point.b))
        PROBLEM.objective(ufm.Point(W, H, b)).backward()
        return [-tensor.grad for tensor in (W, H, b)]

    def moved(point, step, direction):
        return ufm.Point(*(t + step * d for t, d in zip((point.W, point.H, point.b), direction, strict=True)))

    point, steps = frames[0].point, 400
    h = frames[3].time / steps
    for _ in range(steps):
        k1 = slope(point)
        k2 = slope(moved(point, h / 2, k1))
        k3 = slope(moved(point, h / 2, k2))
        k4 = slope(moved(point, h, k3))
        point = moved(point, h, [(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True)])
    torch.testing.assert_close(flat(point), flat(frames[3].point), rtol=0, atol=1e-6)


def test_frames_are_evenly_spaced_along_the_path():
    dense = gradient_flow(PROBLEM, random_point(PROBLEM), 801)
    steps = [float((flat(b.point) - flat(a.point)).norm()) for a, b in pairwise(dense)]
    np.testing.assert_allclose(steps, np.mean(steps), rtol=0.02)
    coarse = gradient_flow(PROBLEM, random_point(PROBLEM), 5)
    for one, other in zip(coarse, dense[::200], strict=True):
        assert one.time == pytest.approx(other.time)


@pytest.mark.parametrize("name", ["imbalanced", "no bias", "free bias"])
def test_other_problems_come_to_rest(name):
    problem = PROBLEMS[name]
    last = gradient_flow(problem, random_point(problem), 2)[-1]
    assert ufm.certify(problem, last.point).relative_grad_norm < 2e-6


def test_refusals():
    with pytest.raises(InputError, match="frames >= 2, got 1"):
        gradient_flow(PROBLEM, random_point(PROBLEM), 1)
    large = ufm.Problem.balanced(10, 100, 3, lambda_w=1e-2, lambda_h=1e-2)
    with pytest.raises(InputError, match="up to 2,000 variables, got 3,040"):
        gradient_flow(large, random_point(large), 2)
