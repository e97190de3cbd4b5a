"""Every loss in balls, at one sample: what encloses it, by routes that share no code."""

import math
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pytest
import torch
from flint import arb
from scipy.optimize import minimize

import ufm
from tests.ufm.losses.naive import NAIVE, OFFSETS, REGRESSED, SCALES, SOFT, TAGGED, WEIGHTS, problem_of
from tests.ufm.proofs.test_enclosure import contains
from ufm import Problem
from ufm.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Focal, MeanSquare, SoftCrossEntropy
from ufm.proofs import balls, losses
from ufm.proofs.losses.binary_cross_entropy import BinaryCrossEntropyRow
from ufm.proofs.losses.focal import FocalRow
from ufm.proofs.losses.mean_square import MeanSquareRow
from ufm.proofs.losses.soft_cross_entropy import Soft
from ufm.proofs.losses.weighted import WeightedRow
from ufm.solvers.critical import origin

FOCAL = ["focal", "gentle focal", "weighted focal"]
CONVEX = [name for name in NAIVE if name not in FOCAL]
K = 3


def some_logits(name, seed=0):
    """(type, logits) for every type, at three scales."""
    shape = NAIVE[name][0].shape
    generator = torch.Generator().manual_seed(seed)
    for t in range(K if shape is None else shape[0]):
        for scale in (0.3, 1.0, 3.0):
            yield t, scale * torch.randn(K, generator=generator, dtype=torch.float64)


def row_at(name, z, t, radius=0.0):
    return losses.row(NAIVE[name][0], [arb(v) + arb(0, radius) for v in z.tolist()], t)


def parts(row):
    """The entries of value, slope and curvature."""
    return [row.value, *row.slope, *row.curvature.entries()]


def differentiated(name, z, t):
    """The same by autograd, from the definition."""

    def f(z):
        return NAIVE[name][1](z, t).reshape(())

    z = z.clone().requires_grad_()
    slope = torch.autograd.grad(f(z), z)[0]
    return [
        float(f(z.detach())),
        *slope.tolist(),
        *torch.autograd.functional.hessian(f, z.detach()).reshape(-1).tolist(),
    ]


def encloses(name, slack=1e-12):
    """Whether value, slope and curvature contain what autograd finds, at every point that is tried."""
    return all(
        contains(ball, value, slack)
        for t, z in some_logits(name)
        for ball, value in zip(parts(row_at(name, z, t)), differentiated(name, z, t), strict=True)
    )


@pytest.mark.parametrize("name", NAIVE)
def test_rows_contain_what_autograd_finds(name):
    assert encloses(name)


@pytest.mark.parametrize("name", NAIVE)
def test_rows_over_a_box_contain_those_of_its_points(name):
    generator = torch.Generator().manual_seed(1)
    for t, z in some_logits(name):
        found = parts(row_at(name, z, t, 1e-3))
        for _ in range(3):
            inside = z + 1e-3 * (2 * torch.rand(K, generator=generator, dtype=torch.float64) - 1)
            expected = differentiated(name, inside, t)
            assert all(contains(ball, value, 1e-12) for ball, value in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", NAIVE)
def test_rows_are_tight(name):
    with balls.working_precision(128):
        for t, z in some_logits(name):
            row = row_at(name, z, t)
            for ball in [*parts(row), row.negative_conjugate(arb(1)), row.negative_conjugate(min_share(row))]:
                assert ball.rad() < arb("1e-33") * (1 + abs(ball))


def min_share(row):
    """A share in the domain that is not 1."""
    return min(arb(0.75), row.most)


def mp_cross(z, t):
    return mpmath.log(mpmath.fsum(mpmath.exp(v) for v in z)) - z[t]


def mp_soft(r, z):
    return mpmath.fsum(mpmath.mpf(w) * mp_cross(z, k) for k, w in enumerate(r))


def mp_square(y, z, w=(1, 1, 1)):
    return mpmath.fsum(c * (v - mpmath.mpf(a)) ** 2 for c, v, a in zip(w, z, y, strict=True)) / 2


def mp_focal(g, z, t):
    own = mp_cross(z, t)
    return (1 - mpmath.exp(-own)) ** g * own


def unit(t, one=1.0, other=0.0):
    return [one if k == t else other for k in range(K)]


def smoothed(t):
    a = mpmath.mpf(0.1)
    return [(1 - a) * (k == t) + a / K for k in range(K)]


def adjusted(z, scales):
    return [mpmath.mpf(s) * v + mpmath.mpf(o) for s, v, o in zip(scales, z, OFFSETS, strict=True)]


MP = {  # the definitions once more, at any precision
    "cross-entropy": mp_cross,
    "label smoothing": lambda z, t: mp_soft(smoothed(t), z),
    "soft": lambda z, t: mp_soft(SOFT[t], z),
    "offsets": lambda z, t: mp_cross(adjusted(z, (1, 1, 1)), t),
    "scales": lambda z, t: mp_cross(adjusted(z, SCALES), t),
    "mse": lambda z, t: mp_square(unit(t), z),
    "far targets": lambda z, t: mp_square(unit(t, 1.5), z),
    "rescaled mse": lambda z, t: mp_square(unit(t, 3), z, unit(t, mpmath.mpf(2.5), 1)),
    "regression": lambda z, t: mp_square(REGRESSED[t], z),
    "bce": lambda z, t: mpmath.fsum(mpmath.log1p(mpmath.exp(-y * v)) for y, v in zip(unit(t, 1, -1), z, strict=True)),
    "tags": lambda z, t: mpmath.fsum(mpmath.log1p(mpmath.exp(-y * v)) for y, v in zip(TAGGED[t], z, strict=True)),
    "focal": lambda z, t: mp_focal(2, z, t),
    "gentle focal": lambda z, t: mp_focal(mpmath.mpf(0.5), z, t),
    "weighted mse": lambda z, t: mpmath.mpf(WEIGHTS[t]) * mp_square(unit(t, 3), z, unit(t, mpmath.mpf(2.5), 1)),
    "weighted focal": lambda z, t: mpmath.mpf(WEIGHTS[t]) * mp_focal(2, z, t),
}


@pytest.mark.parametrize("name", NAIVE)
def test_values_slopes_and_curvature_agree_with_mpmath(name):
    """Values to 45 digits; derivatives by mpmath's finite differences, to 25 and 15."""
    with mpmath.workdps(60), balls.working_precision(220):
        for t, z in some_logits(name, seed=2):
            row, at = row_at(name, z, t), [mpmath.mpf(v) for v in z.tolist()]

            def moved(*z, t=t):
                return MP[name](list(z), t)

            def near(ball, number, digits):
                return abs(ball - arb(mpmath.nstr(number, 50))) < arb(f"1e-{digits}")

            assert near(row.value, moved(*at), 45)
            for i in range(K):
                order = [int(i == k) for k in range(K)]
                assert near(row.slope[i], mpmath.diff(moved, tuple(at), tuple(order)), 25)
                for j in range(K):
                    second = [a + int(j == k) for k, a in enumerate(order)]
                    assert near(row.curvature[i, j], mpmath.diff(moved, tuple(at), tuple(second)), 15)


def least(name, slope, t):
    """min over z of l(z) - <slope, z> from the definition, which is -l*(slope), by BFGS from two starts."""
    u = torch.tensor(slope, dtype=torch.float64)

    def f(z):
        z = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        value = NAIVE[name][1](z, t).reshape(()) - u @ z
        return float(value.detach()), torch.autograd.grad(value, z)[0].numpy()

    starts = (np.zeros(K), np.eye(K)[t % K])
    return min(minimize(f, start, jac=True, method="BFGS", options={"gtol": 1e-10}).fun for start in starts)


@pytest.mark.parametrize("name", NAIVE)
def test_the_conjugate_is_the_least_value_over_all_logits(name):
    for t, z in some_logits(name, seed=3):
        row = row_at(name, z, t)
        for share in (arb(0.25), min_share(row)):
            slope = [float(share * u) for u in row.slope]
            ball = row.negative_conjugate(share)
            assert contains(ball, least(name, slope, t), 1e-9)
            rows, types = torch.tensor([slope], dtype=torch.float64), torch.tensor([t])
            assert contains(ball, NAIVE[name][0].negative_conjugate(rows, types), 1e-10)


@pytest.mark.parametrize("name", NAIVE)
def test_fenchel_and_young_are_equal_where_the_envelope_is_touched(name):
    for t, z in some_logits(name, seed=4):
        row = row_at(name, z, t)
        assert name in FOCAL or row.touches_envelope
        if row.touches_envelope:
            value, *slope = differentiated(name, z, t)[: 1 + K]
            assert contains(row.negative_conjugate(arb(1)), value - float(np.dot(slope, z.numpy())), 1e-12)


@pytest.mark.parametrize("g", [0.5, 1, 2, 3, 5])
def test_focal_touches_its_envelope_up_to_where_theory_says(g):
    """Logits of given cross-entropy v, on both sides of the end; beyond it the loss is above its conjugate's bound."""
    loss = Focal(g)
    for factor, touches in ((0.5, True), (0.999, True), (1.001, False), (2.0, False)):
        v = factor * loss.envelope_end
        z = [0.0, math.log(math.expm1(v) * 0.7), math.log(math.expm1(v) * 0.3)]
        row = losses.row(loss, [arb(value) for value in z], 0)
        assert contains(row.inner.value, v, 1e-12)
        assert row.touches_envelope == touches
        assert bool(row.most < 1) == (not touches)
    assert losses.row(Focal(0.0), [arb(0), arb(9), arb(9)], 0).touches_envelope


def test_a_nearly_perfect_fit_keeps_its_relative_accuracy():
    with balls.working_precision(128):
        z = [arb(v) for v in (80, 0, -1)]
        for loss, size in ((CrossEntropy(), 2.47e-35), (Focal(2.0), 1.5e-104), (BinaryCrossEntropy(), 1.0064)):
            row = losses.row(loss, z, 0)
            for ball in (row.value, row.slope[0], row.slope[1]):
                assert ball.rad() < arb("1e-36") * abs(ball)
            assert float(row.value) == pytest.approx(size, rel=0.01)
        soft = losses.row(SoftCrossEntropy([[2.0, 0.0, 0.0]]), z, 0)
        assert soft.slope[0].rad() < arb("1e-36") * abs(soft.slope[0])


@pytest.mark.parametrize("name", NAIVE)
def test_the_shift_leaves_the_loss_alone(name):
    shift = losses.shift(NAIVE[name][0], K)
    if shift is None:
        assert name in ("mse", "far targets", "rescaled mse", "regression", "bce", "tags", "weighted mse")
        return
    s = torch.tensor([float(v) for v in shift], dtype=torch.float64)
    for t, z in some_logits(name):
        assert float(NAIVE[name][1](z + 0.7 * s, t)) == pytest.approx(float(NAIVE[name][1](z, t)), rel=1e-12)
        assert abs(sum((u * v for u, v in zip(row_at(name, z, t).slope, shift, strict=True)), arb(0))) < arb("1e-13")


SPOILED = {  # (a loss, the class and the part that are spoiled, the error)
    "a weight that is left out": ("weighted focal", WeightedRow, "weight", lambda row: arb(1)),
    "a slope without its weight": ("rescaled mse", MeanSquareRow, "slope", lambda row: row.errors),
    "a slope of the other sign": ("bce", BinaryCrossEntropyRow, "slope", lambda row: [-u for u in row.q]),
    "a curvature without its mass": ("soft", Soft, "mass", lambda row: arb(1)),
    "a curvature without F''": (
        "focal",
        FocalRow,
        "curvature",
        lambda row: row.inner.curvature * row.outer.first,
    ),
    "a value a millionth too large": (
        "tags",
        BinaryCrossEntropyRow,
        "rest",
        lambda row: [q * arb(1.000001) for q in row.q],
    ),
}


@pytest.mark.parametrize("error", SPOILED)
def test_planted_errors_in_a_row_are_not_contained(error, monkeypatch):
    name, where, part, wrong = SPOILED[error]
    assert encloses(name)
    monkeypatch.setattr(where, part, property(wrong))
    assert not encloses(name)


def test_every_loss_is_enclosed_and_no_other_one():
    assert set(losses.ENCLOSED) == set(LOSSES.values())
    problem = problem_of("mse")

    @dataclass(frozen=True, init=False)
    class Doubled(MeanSquare):
        """Inherits what says that it is `mse`, and is not."""

        def values(self, logits, types):
            return 2 * super().values(logits, types)

    proof = ufm.prove(replace(problem, loss=Doubled()), origin(problem))
    assert proof.refused
    assert "no enclosure is known" in proof.reason


def test_many_types_are_too_large():
    problem = Problem((1,) * 5001, 2, 1e-3, 1e-3, loss=MeanSquare(np.ones((5001, 2))))
    assert "K T = 10,002 is too large" in ufm.prove(problem, origin(problem)).reason
