"""Enclosures of the system on boxes hold what mpmath finds at points of the boxes, from the definitions."""

import mpmath
import numpy as np
import pytest
from scipy.optimize import root

from ufm.completeness.boxes import Boxes, Enclosed
from ufm.completeness.intervals import Interval
from ufm.completeness.system import Jet, System

SYSTEMS = {
    "K = 3": System((2, 2, 2), 1e-2, 3e-2, None),
    "K = 3, bias": System((1, 4, 2), 2e-2, 2e-2, 1e-2),
    "K = 3, smoothed": System((1, 1, 2), 2e-2, 2e-2, 1e-2, smoothing=0.2),
    "K = 4, free bias": System((1, 1, 1, 1), 2e-2, 2e-2, 0.0),
}


def residual(system: System, z: list) -> list:
    """(R, B, E) in mpmath, from their definitions."""
    K, t, lb = system.K, z[0], system.lambda_b
    u, zeta = [mpmath.mpf(1), *z[1 : K - 1], mpmath.mpf(0)], z[K - 1 : 2 * K - 1]
    beta = [*z[2 * K - 1 :], mpmath.mpf(0)] if lb is not None else [mpmath.mpf(0)] * K
    N, a = sum(system.counts), mpmath.mpf(system.smoothing)
    kappa, s = N * mpmath.mpf(system.lambda_w) * mpmath.mpf(system.lambda_h), [mpmath.mpf(n) / N for n in system.counts]
    p = []
    for k in range(K):
        e = [mpmath.exp(zeta[k] * u[j] + beta[j]) for j in range(K)]
        p.append([x / sum(e) for x in e])
    q = [[(1 - a) * (k == j) + a / K - p[k][j] for j in range(K)] for k in range(K)]
    eta = [mpmath.fdot(q[k], u) for k in range(K)]
    R = [zeta[k] - t * eta[k] for k in range(K)]
    B = (
        [lb * (beta[j] - sum(beta) / K) - sum(s[k] * q[k][j] for k in range(K)) for j in range(K - 1)]
        if (lb is not None)
        else []
    )
    E = [kappa * (u[j] - sum(u) / K) - sum(s[k] * eta[k] * q[k][j] for k in range(K)) for j in range(K - 1)]
    return [*R, *B, *E]


def boxes(system: System, seed: int, width: float, size: int = 6) -> Boxes:
    rng = np.random.default_rng(seed)
    t = 10.0 ** rng.uniform(0, 3, (1, size))
    u = np.sort(rng.uniform(0.05, 0.95, (system.K - 2, size)), 0)[::-1]
    lo, half = np.concatenate([t, u]), np.concatenate([width * t, np.full_like(u, width)])
    return Boxes(lo - half, lo + half, np.zeros((system.inner, size)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_enclosures(name):
    system = SYSTEMS[name]
    some, rng = boxes(system, 0, 0.05), np.random.default_rng(1)
    y = rng.normal(size=(system.inner, len(some)))
    wide = Interval(y - 0.1, y + 0.1)
    jet = Jet(system, Interval(some.lo, some.hi), wide)
    value, slopes = jet.value, jet.jacobian
    with mpmath.workdps(30):
        for i in range(len(some)):
            lo, hi = np.concatenate([some.lo[:, i], wide.lo[:, i]]), np.concatenate([some.hi[:, i], wide.hi[:, i]])
            z = [mpmath.mpf(x) for x in rng.uniform(lo, hi).tolist()]
            there = residual(system, z)
            for k, x in enumerate(there):
                assert value.lo[k, i] <= x <= value.hi[k, i]
            for j in range(len(z)):
                step = [x + (a == j) * mpmath.mpf(10) ** -14 for a, x in enumerate(z)]
                for k, x in enumerate(residual(system, step)):
                    slope = (x - there[k]) * mpmath.mpf(10) ** 14
                    assert slopes.lo[k, j, i] - 1e-9 <= slope <= slopes.hi[k, j, i] + 1e-9


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_inner_unknowns_lie_within(name):
    system, rng = SYSTEMS[name], np.random.default_rng(2)
    some = boxes(system, 3, 0.003)
    found, m = Enclosed(system, some), system.outer
    assert found.known.sum() >= 3
    for i in np.flatnonzero(found.known):
        p = rng.uniform(some.lo[:, i], some.hi[:, i])

        def inner(y, p=p):
            return [float(x) for x in residual(system, [mpmath.mpf(x) for x in (*p, *y)])[: system.inner]]

        y = root(inner, found.y[:, i], tol=1e-14).x
        V = found.frame[m:, :, i]
        e = np.linalg.solve(V[:, m:], y - found.y[:, i] - V[:, :m] @ (p - some.middle[:, i]))
        assert (np.abs(e) <= found.reach[:, i] + 1e-9).all()
        assert (found.reach[:, i] < 1).all()


def test_a_box_with_a_zero_is_not_empty():
    """At K = 3 without a bias (a, 0, -a) is critical: u = (1, 1/2, 0), zeta_2 = 0, whatever the decay."""
    system = SYSTEMS["K = 3"]
    kappa = float(system.kappa.lo)

    def off(t):
        zeta = root(lambda z: z - t * (1 - _mean(float(z[0]))), [5.0], tol=1e-14).x[0]
        return kappa / 2 - _slope(float(zeta), t)

    def _mean(z):
        e = np.exp(z * np.array([1, 0.5, 0]))
        return e @ [1, 0.5, 0] / e.sum()

    def _slope(z, t):
        e = np.exp(z * np.array([1, 0.5, 0]))
        p, eta = e / e.sum(), z / t
        return (eta * (1 - p[0]) + eta * p[2]) / 3

    t = np.linspace(20, 2 / kappa, 300)
    values = np.array([off(x) for x in t])
    (crossing,) = np.flatnonzero(np.diff(np.sign(values)))
    lo, hi = np.array([[t[crossing]], [0.49]]), np.array([[t[crossing + 1]], [0.51]])
    assert not Enclosed(system, Boxes(lo, hi, np.zeros((3, 1)))).empty()[0]
    away = np.array([[0.0], [0.2]])
    assert Enclosed(system, Boxes(lo + away, hi + away, np.zeros((3, 1)))).empty()[0]
