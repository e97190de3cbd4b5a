"""The existence test finds the zero that is there, and no other; spoiled, it refuses."""

import numpy as np
import pytest
from flint import arb

import ufm
from tests.cases import PROBLEMS
from ufm import Problem
from ufm.proofs import balls
from ufm.proofs.enclosure import BallJet, Reduced, pack
from ufm.proofs.krawczyk import NotProved, find_zero
from ufm.solvers.sharpen import row_space

PROBLEM = PROBLEMS["balanced"]


@pytest.fixture
def anchor():
    """The reduced problem and a point of it next to the minimiser."""
    means = PROBLEM.class_means(ufm.minimize(PROBLEM, seed=1).point)
    basis, rank = row_space(PROBLEM, means)
    roots = means.H.new_tensor(PROBLEM.class_counts).sqrt()[:, None]
    reduced = Reduced(PROBLEM, rank)
    return reduced, pack(reduced, means.W @ basis, roots * means.H @ basis, means.b)


def test_the_gradient_over_the_box_contains_zero(anchor):
    reduced, x0 = anchor
    with balls.working_precision(128):
        zero = find_zero(reduced, x0, near=1e-6, wide=1e-5)
        gradient = reduced.at(zero.x).gradient
        assert gradient.contains(balls.column([arb(0)] * reduced.size))
        assert balls.largest(gradient) < arb("1e-34")
        assert balls.largest(zero.x - zero.x.mid()) < arb("1e-32")


def test_starts_within_the_radius_of_uniqueness_find_the_same_orbit(anchor):
    """The zero for another anchor is a rotated copy: invariants of the orbit agree to all digits."""
    reduced, x0 = anchor
    generator = np.random.default_rng(0)
    with balls.working_precision(128):
        zero = find_zero(reduced, x0, near=1e-6, wide=1e-5)
        assert zero.alone > arb("1e-5")
        gram = invariant(reduced, zero.x)
        for _ in range(3):
            shift = generator.uniform(-1, 1, reduced.size)
            shift *= 0.9 * balls.lower(zero.alone) / np.linalg.norm(shift)
            moved = (x0 + balls.exact(shift[:, None])).mid()
            other = find_zero(reduced, moved, near=1.0, wide=1e-5)
            assert balls.largest(gram - invariant(reduced, other.x)) < arb("1e-28")


def invariant(reduced, x):
    X, Y, _ = reduced.split(x)
    return X * Y.transpose()


def test_a_box_at_few_bits_contains_the_zero_at_many(anchor):
    reduced, x0 = anchor
    zeros = []
    for bits in (53, 256):
        with balls.working_precision(bits):
            zeros.append(find_zero(reduced, x0, near=1e-6, wide=1e-5))
    assert zeros[0].x.contains(zeros[1].x)
    assert not zeros[0].x.contains(zeros[1].x + balls.column([arb("1e-9")] * reduced.size))


def test_it_is_not_alone_where_there_are_others():
    """K = 2 just below the threshold: X = 0 and -X are zeros as well, as near as X is small."""
    problem = Problem.balanced(2, 1, 1, lambda_w=0.45, lambda_h=0.45, bias=False)
    point = ufm.global_minimizer(problem)
    reduced = Reduced(problem, 1)
    x0 = pack(reduced, point.W, point.H, point.b)
    for wide in (3.0, 1.0, 1e-3):
        with balls.working_precision(128):
            zero = find_zero(reduced, x0, near=1e-6, wide=wide)
        assert zero.alone < balls.largest(x0)
    assert zero.alone > arb("1e-4")


def test_the_radius_is_about_the_anchor(anchor, monkeypatch):
    """Of a radius about the centre only what is left beyond the way from the anchor counts."""
    reduced, x0 = anchor
    monkeypatch.setattr("ufm.proofs.krawczyk._alone", lambda *_: arb(1))
    moved = (x0 + balls.column([arb(i % 3) / 1000 for i in range(reduced.size)])).mid()
    with balls.working_precision(128):
        zero = find_zero(reduced, moved, near=1.0, wide=1e-5)
        way = balls.largest((zero.x - moved).mid())
        assert way > arb("1e-4")
        assert abs(zero.alone + way - 1) < arb("1e-30")


def test_far_points_are_refused(anchor):
    reduced, x0 = anchor
    moved = balls.exact(balls.floats(x0) + 1e-3)
    with pytest.raises(NotProved, match="Newton's method moves the point"):
        find_zero(reduced, moved, near=1e-6, wide=1e-5)


G, HESSIAN = BallJet.G.func, BallJet.hessian.func

SPOILED = {
    "a box too small for the rounding": ("ufm.proofs.krawczyk._inflated", lambda offset, centre: offset / 16),
    "no slice across the orbit": ("ufm.proofs.enclosure.Reduced.planes", []),
    "a residual with the wrong sign": ("ufm.proofs.enclosure.BallJet.G", property(lambda jet: G(jet) * arb(-1))),
}


@pytest.mark.parametrize(("target", "wrong"), SPOILED.values(), ids=SPOILED)
def test_planted_errors_are_refused(target, wrong, anchor, monkeypatch):
    reduced, x0 = anchor
    monkeypatch.setattr(target, wrong)
    with balls.working_precision(128), pytest.raises(NotProved):
        find_zero(reduced, x0, near=1e-6, wide=1e-5)


def test_a_hessian_spoiled_within_the_box_is_refused(anchor, monkeypatch):
    """Newton's matrix is right and the sharpened point too: only the derivative over the box is ten times too large."""
    reduced, x0 = anchor
    calls = []

    def spoiled(jet):
        calls.append(jet)
        return HESSIAN(jet) * (arb(1) if len(calls) == 1 else arb(10))

    monkeypatch.setattr(BallJet, "hessian", property(spoiled))
    with balls.working_precision(128), pytest.raises(NotProved, match="existence test fails"):
        find_zero(reduced, x0, near=1e-6, wide=1e-5)
