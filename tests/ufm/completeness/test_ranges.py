"""Searches over ranges: the system against mpmath, autograd and the atlas."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from flint import arb
from scipy.optimize import minimize

import ufm
from tests.ufm.completeness.ranged import SYSTEMS
from ufm import Problem
from ufm.completeness import trees
from ufm.completeness.boxes import Boxes
from ufm.completeness.intervals import Interval
from ufm.completeness.ranges import enclosed, work
from ufm.completeness.ranges.enclosed import Enclosed, positive
from ufm.completeness.ranges.equations import Equations, Frame
from ufm.completeness.ranges.inner import first_guess, inner_solution
from ufm.completeness.ranges.listed import place
from ufm.completeness.ranges.system import Jet, System
from ufm.completeness.ranges.unknowns import Unknowns


def residual(system: System, place: list, flat: bool = False) -> list:
    """(R, C, B, D) in mpmath, from their definitions."""
    K, r, mp, N = system.K, system.rank, mpmath, sum(system.counts)
    alpha, biased = mp.mpf(system.smoothing), system.lambda_b is not None
    u = [mp.mpf(1), *place[: K - 2], mp.mpf(0)]
    plane = mp.matrix(
        [[u[j] * (i == 0) - (i == j) + (1 - u[j]) * (i == K - 1) for j in range(1, K - 1)] for i in range(K)]
    )
    line = mp.matrix(u)
    inside, outside = (line, plane) if r == 1 else (plane, line)
    zeta = [mp.matrix(place[K - 2 + k * r : K - 2 + k * r + r]) for k in range(K)]
    entries = iter(place[K - 2 + K * r :])
    a = mp.matrix(r, r)
    for i in range(r):
        for j in range(i, r):
            a[i, j] = a[j, i] = next(entries)
    beta = mp.matrix([*entries, 0] if biased else [0] * K)
    kappa = N * mp.mpf(system.lambda_w) * mp.mpf(system.lambda_h)
    centred = inside.copy()
    for j in range(r):
        mean = mp.fsum(inside[:, j]) / K
        for i in range(K):
            centred[i, j] -= mean
    square = centred.T * centred
    R, C, D = [], -kappa * (square if flat else a * square * a), mp.matrix(r, K - 1 - r)
    B = [system.lambda_b * (x - mp.fsum(beta) / K) for x in beta] if biased else []
    for k in range(K):
        e, share = [mp.exp(z) for z in inside * zeta[k] + beta], mp.mpf(system.counts[k]) / N
        q = mp.matrix([(1 - alpha) * (j == k) + alpha / K - e[j] / mp.fsum(e) for j in range(K)])
        seen = inside.T * q if flat else zeta[k]
        R += list(zeta[k] - a * (inside.T * q))
        C += share * seen * seen.T
        D += share * seen * (outside.T * q).T
        B = [x - share * y for x, y in zip(B, q, strict=True)] if biased else []
    return [*R, *(C[i, j] for i in range(r) for j in range(i, r)), *B[:-1], *D]


def some_boxes(system: System, width: float, size: int = 4) -> Boxes:
    rng = np.random.default_rng(0)
    u = np.sort(rng.uniform(0.05, 0.95, (system.outer, size)), 0)[::-1]
    return Boxes(u - width, u + width, np.repeat(first_guess(system), size, 1))


@pytest.mark.parametrize("name", SYSTEMS)
def test_enclosures(name):
    system, rng = SYSTEMS[name], np.random.default_rng(1)
    some = some_boxes(system, 0.05)
    y = rng.normal(size=(system.inner, len(some)))
    lo, hi = np.concatenate([some.lo, y - 0.1]), np.concatenate([some.hi, y + 0.1])
    flat = np.arange(len(some)) % 2 > 0
    jet = Jet(system, Interval(some.lo, some.hi), Interval(y - 0.1, y + 0.1), flat=flat)
    value, slopes = jet.value, jet.jacobian
    with mpmath.workdps(30):
        for i in range(len(some)):
            place = [mpmath.mpf(x) for x in rng.uniform(lo[:, i], hi[:, i]).tolist()]
            there = residual(system, place, flat[i])
            assert all(value.lo[k, i] <= x <= value.hi[k, i] for k, x in enumerate(there))
            for j in range(0, len(place), 2):
                step = [x + (a == j) * mpmath.mpf(10) ** -14 for a, x in enumerate(place)]
                for k, x in enumerate(residual(system, step, flat[i])):
                    slope = (x - there[k]) * mpmath.mpf(10) ** 14
                    assert slopes.lo[k, j, i] - 1e-9 <= slope <= slopes.hi[k, j, i] + 1e-9


@pytest.mark.parametrize("name", ["a line", "a plane"])
def test_the_inner_unknowns_lie_within(name):
    system, rng = SYSTEMS[name], np.random.default_rng(2)
    some = some_boxes(system, 0.001)
    found, m = Enclosed(system, some), system.outer
    assert found.known.sum() >= 3
    for i in np.flatnonzero(found.known):
        u = rng.uniform(some.lo[:, i], some.hi[:, i])
        start = found.y[:, i].tolist()
        f = lambda *y, u=u: residual(system, [mpmath.mpf(x) for x in u.tolist()] + list(y))[: system.inner]  # noqa: E731
        y = np.array([float(x) for x in mpmath.findroot(f, start, tol=1e-20)])
        V = found.frame[m:, :, i]
        e = np.linalg.solve(V[:, m:], y - found.y[:, i] - V[:, :m] @ (u - some.middle[:, i]))
        assert (np.abs(e) <= found.reach[:, i] + 1e-9).all()
        assert (found.reach[:, i] < 0.1).all()


def test_what_is_positive():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(3, 3, 200))
    a = a + np.moveaxis(a, 0, 1) + 2 * np.eye(3)[..., None]
    least = np.linalg.eigvalsh(np.moveaxis(a, 2, 0))[:, 0]
    found = positive(Interval(a - 1e-3, a + 1e-3))
    assert found[least > 0.1].all()
    assert found.any()
    assert not found[least < 3e-3].any()


def test_inner_solutions_that_are_not_positive(monkeypatch):
    """Above the threshold there are such solutions, known in the flat form alone: they belong to no critical point."""
    system, u = System((1,) * 4, 0.3, 0.3, None), np.array([[0.6], [0.3]])
    some = Boxes(u - 1e-4, u + 1e-4, -8 * first_guess(system))
    found = Enclosed(system, some)
    assert found.y[-1, 0] < -0.1
    assert found.known[0]
    assert found.empty()[0]
    monkeypatch.setattr(enclosed, "flat_where", lambda jet: np.zeros(1, bool))
    assert not Enclosed(system, some).known[0]


ORACLES = {
    "equal counts": Problem.balanced(4, 1, 2, lambda_w=0.1, lambda_h=0.1, bias=False),
    "unequal counts": Problem((2, 1, 1, 3), 2, 0.07, 0.1, bias=False),
    "smoothed": Problem((1, 1, 2, 2), 1, 0.1, 0.05, bias=False, loss=ufm.losses.LabelSmoothing(0.2)),
    "with a bias": Problem((1, 2, 1, 3), 2, 0.1, 0.07, lambda_b=0.1),
    "smoothed, with a free bias": Problem((1, 1, 2, 3), 1, 0.1, 0.1, lambda_b=0.0, loss=ufm.losses.LabelSmoothing(0.1)),
}


def gradients(problem: Problem, *point: np.ndarray) -> list[np.ndarray]:
    """f and its gradients by W (K, d), H (K, d) and b (K,): torch's own loss and autograd."""
    W, H, b = variables = [torch.tensor(x, requires_grad=True) for x in point]
    counts = torch.tensor(problem.class_counts)
    labels, smoothing = torch.arange(len(counts)).repeat_interleave(counts), getattr(problem.loss, "smoothing", 0.0)
    f = torch.nn.functional.cross_entropy((H @ W.T + b)[labels], labels, label_smoothing=smoothing)
    f = f + problem.lambda_w / 2 * (W**2).sum() + problem.lambda_h / 2 * (counts * (H**2).sum(1)).sum()
    f = f + problem.lambda_b / 2 * ((b - b.mean()) ** 2).sum()
    return [x.numpy() for x in (f.detach(), *torch.autograd.grad(f, variables))]


@pytest.mark.parametrize("name", ORACLES)
def test_minimisers_are_zeros(name):
    """Of f over W of d columns, found by descent: critical points of rank d."""
    problem, rng = ORACLES[name], np.random.default_rng(4)
    K, d = problem.num_classes, problem.dim

    def f(x):
        W, H, b = np.split(x, [K * d, 2 * K * d])
        value, *slopes = gradients(problem, W.reshape(K, d), H.reshape(K, d), b if problem.bias else 0 * b)
        return value, np.concatenate([x.ravel() for x in slopes[: 2 + problem.bias]] + [0 * b] * (not problem.bias))

    x = minimize(f, rng.normal(size=2 * K * d + K), jac=True, method="BFGS", options={"gtol": 1e-11}).x
    W, H, b = (torch.tensor(part) for part in np.split(x, [K * d, 2 * K * d]))
    regions = [sought.region for sought in work.Work(problem, Listed([]), None, True).sought]
    at = place(problem, Listed([], d, Listed([], d, None, W.view(K, d), H.view(K, d), b)), regions)
    value = Jet(at.region.system, at.u[:, None], at.y[:, None]).value
    assert np.abs(at.y).max() > 0.5
    assert np.abs(value).max() < 1e-7 * np.abs(at.y).max() ** 2


@dataclass
class Listed:
    """What is looked at of an atlas, of a critical point, and of a point."""

    points: list
    rank: int = 0
    point: Any = None
    W: Any = None
    H: Any = None
    b: Any = None


@pytest.mark.parametrize("name", ORACLES)
def test_what_the_equations_say_of_a_range(name):
    """At the inner solution H's and b's gradients vanish, and W's within its range; D is the rest of it."""
    problem, rng = ORACLES[name], np.random.default_rng(5)
    system = work.Work(problem, Listed([]), None, True).sought[-1].region.system
    problem = replace(problem, class_counts=system.counts)
    u = np.sort(rng.uniform(0.2, 0.8, (system.outer, 1)), 0)[::-1]
    jet = Jet(system, u, inner_solution(system, u, first_guess(system)))
    inside, outside = (x[..., 0] for x in system.frames(u))
    inside = inside - inside.mean(0)
    scale = sum(system.counts) * system.lambda_h
    W = np.sqrt(scale) * inside @ np.linalg.cholesky(jet.a[..., 0])
    H = jet.zeta[..., 0] @ inside.T @ np.linalg.pinv(W.T)
    b = jet.beta[:, 0] - jet.beta[:, 0].mean() if problem.bias else np.zeros(system.K)
    _, by_W, by_H, by_b = gradients(problem, W, H, b)
    assert np.abs(by_H).max() < 1e-9
    assert np.abs(inside.T @ by_W).max() < 1e-9
    assert np.abs(by_b).max() * problem.bias < 1e-9
    D = -outside.T @ by_W @ W.T @ inside @ np.linalg.inv(inside.T @ inside)
    assert np.abs(D).max() > 1e-3
    assert np.allclose(jet.value[system.inner :, 0], D.T.ravel(), atol=1e-9)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_checkers_own_equations(name, flat):
    system, rng = SYSTEMS[name], np.random.default_rng(6)
    u, y = np.sort(rng.uniform(0.1, 0.9, system.outer))[::-1], rng.normal(size=system.inner)
    bias = {"bias": False} if system.lambda_b is None else {"lambda_b": system.lambda_b}
    problem = Problem(system.counts, 2, system.lambda_w, system.lambda_h, **bias)
    c = Unknowns(problem, list(system.counts), system.smoothing, system.rank)
    place = [mpmath.mpf(x) for x in (*u, *y)]
    h, (_, rough) = mpmath.mpf(10) ** -14, c.linear_at(np.array([*u, *y]), flat)
    with trees.precision(), mpmath.workdps(30):
        exact = [arb(x) for x in (*u.tolist(), *y.tolist())]
        zeta, beta = y[: c.logits].reshape(c.K, -1), np.append(y[c.linear :], np.zeros(1 if c.biased else c.K))
        z = zeta @ np.array(c.frames(u.tolist(), 1.0)[0]).T + beta
        gaps = [[arb(row[j] - row[i], 1e-14) for j, i in c.pairs] for row in z]
        there = Equations(c, exact[: c.m], exact[c.m :], gaps, flat)
        value, slopes = there.value(), there.slopes(Frame(c, np.eye(c.size)))
        at = residual(system, place, flat)
        assert len(value) == len(at)
        for k, x in enumerate(at):
            assert abs(float(value[k].mid()) - x) < 1e-12
            assert value[k].rad() < 1e-12
        for j in range(len(place)):
            moved = residual(system, [x + (a == j) * h for a, x in enumerate(place)], flat)
            for k, x in enumerate(moved):
                assert abs(float(slopes[k, j].mid()) - (x - at[k]) / h) < 1e-9
                assert abs(rough[k, j] - (x - at[k]) / h) < 1e-6


def test_differences_of_biases_are_enclosed():
    """They are not exact in doubles: rounded to the nearest, 1 - 2^-60 would be 1."""
    system = SYSTEMS["a plane, with a bias"]
    one, V = np.zeros((system.outer, 1)), np.zeros((system.outer + system.inner, 1, 1))
    V[-3:, 0, 0] = 1.0, 2.0**-60, 0.0
    jet = Jet(system, Interval(one, one), Interval(np.zeros((system.inner, 1)), np.zeros((system.inner, 1))))
    found = jet.turned(V)[-1][0, 0, 0]
    assert Fraction(found.lo[0]) <= 1 - Fraction(1, 2**60) <= Fraction(found.hi[0])
    assert found.lo[0] < 1 <= found.hi[0]
