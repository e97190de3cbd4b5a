"""An end in a flat valley leads to a critical point that mpmath finds as well, of the index that it finds."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
import torch
from flint import acb, acb_mat, arb, arb_mat

import ufm
from tests.cases import autograd_hessian
from ufm import Problem
from ufm.atlas.family import Family
from ufm.losses import Focal
from ufm.proofs import Followed, follow, is_empty, settle
from ufm.proofs.enclosure import BallJet
from ufm.solvers.critical import narrow_solution
from ufm.solvers.sharpen import at_rest

VALLEY = Problem.balanced(5, 1, 1, lambda_w=0.199, lambda_h=0.199, lambda_b=0.15)  # rho = .995
PLACES = {  # entries of W and H near places of the valley without gradient in float64
    "near a minimum": [-0.0034, 0.0207, 0.1101, -0.0172, -0.1102],
    "near a saddle": [-0.1100, 0.0222, -0.0110, -0.0110, 0.1103],
}


def end(entries) -> torch.Tensor:
    w = torch.tensor(entries, dtype=torch.float64)
    return torch.cat([w, w, torch.zeros(5, dtype=torch.float64)])


def mp_gradient(problem, x):
    """At d = 1, n = 1, from the definition; x a list of 3 K mpf."""
    K = problem.num_classes
    w, h, b = x[:K], x[K : 2 * K], x[2 * K :]
    G = []
    for k in range(K):
        e = [mpmath.exp(h[k] * w[j] + b[j]) for j in range(K)]
        G.append([(e[j] / mpmath.fsum(e) - (j == k)) / K for j in range(K)])
    lW, lH, lb = (mpmath.mpf(v) for v in (problem.lambda_w, problem.lambda_h, problem.lambda_b))
    in_w = [mpmath.fsum(G[k][j] * h[k] for k in range(K)) + lW * w[j] for j in range(K)]
    in_h = [mpmath.fsum(G[k][j] * w[j] for j in range(K)) + lH * h[k] for k in range(K)]
    return in_w + in_h + [mpmath.fsum(G[k][j] for k in range(K)) + lb * b[j] for j in range(K)]


def mp_hessian(problem, x):
    """By central differences of 1e-20 in 60 digits."""
    size, e = len(x), mpmath.mpf(10) ** -20
    H = mpmath.matrix(size)
    for i in range(size):
        up, down = (mp_gradient(problem, [*x[:i], x[i] + side * e, *x[i + 1 :]]) for side in (1, -1))
        for j in range(size):
            H[j, i] = (up[j] - down[j]) / (2 * e)
    return H


def sharpened(problem, x):
    """(Newton's method of mpmath's own linear algebra from doubles, how far it went)."""
    begin = here = [mpmath.mpf(v) for v in x.tolist()]
    for _ in range(4):
        step = mpmath.lu_solve(mp_hessian(problem, here), mpmath.matrix(mp_gradient(problem, here)))
        here = [v - s for v, s in zip(here, step, strict=True)]
    return here, max(abs(a - b) for a, b in zip(here, begin, strict=True))


@pytest.mark.parametrize(("place", "index"), zip(PLACES, (0, 1), strict=True))
def test_an_end_in_a_valley_leads_to_the_point_that_mpmath_finds(place, index):
    found = follow(VALLEY, 1, end(PLACES[place]))
    with mpmath.workdps(60):
        here, moved = sharpened(VALLEY, found.x)
        values = sorted(mpmath.eigsy(mp_hessian(VALLEY, here), eigvals_only=True))
        assert moved < 1e-16
        assert max(map(abs, mp_gradient(VALLEY, here))) < 1e-40
        assert found.index == sum(value < 0 for value in values) == index
        assert found.least == pytest.approx(float(values[0]), rel=1e-9)
    assert 1e-14 < abs(found.least) < 1e-12
    assert 1e-3 < found.way < 0.2


def test_the_direction_has_the_least_curvature():
    found = follow(VALLEY, 1, end(PLACES["near a saddle"]))
    with mpmath.workdps(60):
        v = mpmath.matrix([mpmath.mpf(value) for value in found.lowest.tolist()])
        curvature = (v.T * mp_hessian(VALLEY, sharpened(VALLEY, found.x)[0]) * v)[0]
    assert float(curvature) == pytest.approx(found.least, rel=1e-6)


ORDINARY = {  # problem, rank: critical points whose index float64 has as well
    "rank 2 of 3": (Problem.balanced(4, 2, 3, lambda_w=2e-3, lambda_h=2e-3, lambda_b=1e-2), 2),
    "free bias": (Problem.balanced(3, 1, 2, lambda_w=5e-3, lambda_h=5e-3, lambda_b=0.0), 1),
    "far decays": (Problem.balanced(3, 1, 2, lambda_w=5e-2, lambda_h=5e-4, bias=False), 1),
}


def ordinary(name: str) -> torch.Tensor:
    """A place near it."""
    problem, rank = ORDINARY[name]
    point = narrow_solution(problem, rank).point
    point = ufm.Point(point.W[:, :rank], problem.class_means(point).H[:, :rank], point.b)
    x = Family(problem, rank).landscape.pack(point.W, point.H, point.b)
    return x + 1e-3 * torch.sin(torch.arange(len(x), dtype=torch.float64))


@pytest.mark.parametrize("name", ORDINARY)
def test_the_index_is_that_of_autograds_hessian(name):
    problem, rank = ORDINARY[name]
    found = follow(problem, rank, ordinary(name))
    at = Family(problem, rank).point(found.x)
    for dim in (rank, rank + 1):
        wide = replace(problem, dim=dim)
        values = torch.linalg.eigvalsh(autograd_hessian(wide, wide.expand(at.padded(dim))))
        assert int((values < -1e-9).sum()) == found.index + (dim - rank) * found.further
        if dim == rank:
            assert found.least == pytest.approx(float(values[0]), abs=1e-9)


def test_a_place_of_the_valley_is_excluded_and_a_point_is_not():
    found, family = follow(VALLEY, 1, end(PLACES["near a minimum"])), Family(VALLEY, 1)
    ended = at_rest(family.landscape, end(PLACES["near a minimum"]), 0.1)
    assert float(family.landscape.jet(ended).gradient.norm()) < 1e-14
    assert is_empty(VALLEY, 1, ended)
    for share in (0.0, 0.9, -0.9):  # of the radius that is asked for: the point is still inside
        assert not is_empty(VALLEY, 1, found.x + share * 2.0**-30 * found.x)
        assert not is_empty(VALLEY, 1, found.x + share * 2.0**-30 * found.x.norm() * found.lowest)


@pytest.mark.parametrize("name", ["rank 2 of 3", "free bias"])
def test_a_turned_and_shifted_copy_of_a_point_is_not_excluded(name):
    problem, rank = ORDINARY[name]
    f, found = Family(problem, rank).landscape, follow(problem, rank, ordinary(name))
    W, scaled, b = f.split(found.x)
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, 0.3], [-0.3, 0.0]], dtype=torch.float64))[:rank, :rank]
    turn, shift = (turn, 0.0) if rank == 2 else (torch.eye(1, dtype=torch.float64), 0.3)
    copy = f.join(W @ turn, scaled @ turn, b + shift)
    assert not is_empty(problem, rank, copy)
    assert is_empty(problem, rank, copy + 1e-5 * torch.cos(torch.arange(len(copy), dtype=torch.float64)))


def test_it_is_read_back():
    found = follow(VALLEY, 1, end(PLACES["near a saddle"]))
    assert Followed.from_plain(found.plain()).plain() == found.plain()


G = BallJet.G.func
PLANTED = {
    "too few steps": ("ufm.proofs.settle.STEPS", 3),
    "slopes with the wrong sign": ("ufm.proofs.enclosure.BallJet.G", property(lambda jet: G(jet) * arb(-1))),
    "a box too small for the rounding": ("ufm.proofs.krawczyk._inflated", lambda offset, centre: offset / 16),
    "too many unknowns": ("ufm.proofs.followed.MOST", 14),
    "eigenvalues of one round": ("ufm.proofs.balls.GRADES", 1),
    "no python-flint": ("ufm.proofs.followed.is_available", lambda: False),
}


@pytest.mark.parametrize(("target", "wrong"), PLANTED.values(), ids=PLANTED)
def test_what_is_not_proved_is_left_undecided(target, wrong, monkeypatch):
    monkeypatch.setattr(target, wrong)
    assert follow(VALLEY, 1, end(PLACES["near a minimum"])) is None


def test_a_degenerate_point_is_left_undecided():
    """K = 3 without a bias where the origin loses its curvature: rho = 1, W = H = 0 has rank 0 and only zeros."""
    problem = Problem.balanced(3, 1, 1, lambda_w=0.4, lambda_h=0.4, bias=False)
    x = torch.tensor(np.r_[0.1, -0.1, 0, 0.1, -0.1, 0])
    assert follow(problem, 1, x) is None


def test_a_loss_that_is_not_convex_is_not_followed():
    problem = Problem.balanced(5, 1, 1, lambda_w=0.199, lambda_h=0.199, lambda_b=0.15, loss=Focal(2.0))
    assert follow(problem, 1, end(PLACES["near a minimum"])) is None


def test_an_eigenvalue_that_has_not_converged_is_not_taken(monkeypatch):
    class Unconverged:
        def __init__(self, matrix):
            self.size = matrix.nrows()

        def eig(self, **_):
            rows = acb_mat(arb_mat(self.size, self.size, [1] * self.size**2))
            return [acb(0.5)] * self.size, rows

    H = arb_mat([[2, 1], [1, -3]])
    least, lowest = settle._lowest(H)
    assert least == pytest.approx((-1 - 29**0.5) / 2, rel=1e-14)
    monkeypatch.setattr(settle, "acb_mat", Unconverged)
    again, direction = settle._lowest(H)
    assert again == pytest.approx(least, rel=1e-14)
    assert abs(float(direction @ lowest)) == pytest.approx(1)
