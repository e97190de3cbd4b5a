"""Every loss in balls: what encloses it, by routes that share no code, and what is proved with it."""

import math
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pytest
import torch
from flint import arb
from scipy.optimize import minimize

import ufm
from tests.ufm.losses.naive import NAIVE, OFFSETS, REGRESSED, SCALES, SOFT, TAGGED, flat_objective, problem_of
from tests.ufm.proofs.test_enclosure import a_point, box, contains
from ufm import Point, Problem
from ufm.closed_forms.simplex import simplex_frame
from ufm.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Focal, MeanSquare, SoftCrossEntropy
from ufm.losses.untied import Untied
from ufm.proofs import balls, conclusions, losses
from ufm.proofs.enclosure import Reduced
from ufm.proofs.losses.binary_cross_entropy import BinaryCrossEntropyRow
from ufm.proofs.losses.focal import FocalRow
from ufm.proofs.losses.mean_square import MeanSquareRow
from ufm.proofs.losses.soft_cross_entropy import Soft
from ufm.proofs.proof import length_unit
from ufm.solvers.critical import narrow_solution, origin

FOCAL = ["focal", "gentle focal"]
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
        assert NAIVE[name][0].name in ("mse", "bce")
        return
    s = torch.tensor([float(v) for v in shift], dtype=torch.float64)
    for t, z in some_logits(name):
        assert float(NAIVE[name][1](z + 0.7 * s, t)) == pytest.approx(float(NAIVE[name][1](z, t)), rel=1e-12)
        assert abs(sum((u * v for u, v in zip(row_at(name, z, t).slope, shift, strict=True)), arb(0))) < arb("1e-14")


SPOILED = {  # (a loss, the class and the part that are spoiled, the error)
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


@pytest.mark.parametrize("name", ["cross-entropy", "mse", "bce", "focal"])
def test_a_wrong_conjugate_shows_as_a_gap(name, monkeypatch):
    problem = problem_of(name)
    point = minimiser(problem)
    assert abs(ufm.prove(problem, point).duality_gap) < 1e-30
    where = losses.ENCLOSED[type(problem.loss)]
    sound = where.negative_conjugate
    monkeypatch.setattr(where, "negative_conjugate", lambda row, share: sound(row, share) * arb(1 - 1e-9))
    assert abs(ufm.prove(problem, point).duality_gap) > 1e-12


@pytest.mark.parametrize("name", ["label smoothing", "regression", "tags", "gentle focal"])
def test_a_wrong_slope_is_refused(name, monkeypatch):
    """The zero of another gradient is not at the given point."""
    problem = problem_of(name)
    point = minimiser(problem)
    where = losses.ENCLOSED[type(problem.loss)]
    sound = where.slope.func
    monkeypatch.setattr(where, "slope", property(lambda row: [u * arb(1.001) for u in sound(row)]))
    assert ufm.prove(problem, point).refused


# The reduced problem, with T types.


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


# What is proved.


def minimiser(problem, start=None):
    return ufm.minimize(problem, start=start, tol=1e-14).point


SETTINGS = {"decayed bias": {}, "no bias": {"bias": False}, "free bias": {"lambda_b": 0.0}}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("name", NAIVE)
def test_a_minimiser_is_proved_global(name, settings):
    problem = problem_of(name, **settings)
    solution = ufm.minimize(problem, tol=1e-14)
    proof = ufm.prove(problem, solution.point)
    assert proof.verdict == "global minimizer", proof.statement
    low, high = proof.value
    assert low - 1e-13 <= solution.value <= high + 1e-13
    with balls.working_precision(200):
        assert arb(proof.digits).rad() < arb("1e-25")
    assert 0 <= proof.duality_gap < 1e-30
    assert proof.distance < 1e-9
    assert proof.rank <= problem.largest_rank
    assert proof.unique_within > 1e-6


@pytest.mark.parametrize("name", NAIVE)
def test_the_value_is_that_of_the_definition(name):
    problem = problem_of(name)
    point = problem.expand(problem.class_means(minimiser(problem)))
    low, high = ufm.prove(problem, point).value
    f = flat_objective(problem, name)(torch.cat([point.W.reshape(-1), point.H.reshape(-1), point.b]))
    assert low - 1e-14 <= float(f) <= high + 1e-14


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("name", NAIVE)
def test_saddles_are_proved_strict(name, rank):
    problem = problem_of(name)
    point = narrow_solution(problem, 1, tol=1e-14).point if rank else origin(problem)
    proof = ufm.prove(problem, point)
    assert (proof.verdict, proof.rank) == ("strict saddle", rank)
    full = problem.expand(problem.class_means(point))
    flat = torch.cat([full.W.reshape(-1), full.H.reshape(-1), full.b])
    hessian = torch.autograd.functional.hessian(flat_objective(problem, name), flat)
    assert float(torch.linalg.eigvalsh(hessian)[0]) - 1e-10 <= proof.curvature < 0


@pytest.mark.parametrize("name", NAIVE)
def test_a_point_moved_by_a_thousandth_is_refused(name):
    problem = problem_of(name)
    point = minimiser(problem)
    assert ufm.prove(problem, replace(point, W=point.W + 1e-3)).refused
    assert ufm.prove(problem, replace(point, b=point.b + torch.tensor([1e-3, 0.0, 0.0]))).refused


NARROW = Problem.balanced(5, 1, 4, lambda_w=2e-3, lambda_h=2e-3, bias=False, loss=BinaryCrossEntropy())
ONE_AND_FOUR = [
    [-1.8, 0, 0, -2.9],
    [-2.3, 1.2, 2.8, 0.6],
    [-2.3, -2.8, 1.2, 0.6],
    [-2.3, 2.8, -1.2, 0.6],
    [-2.3, -1.2, -2.8, 0.6],
]
TWO_AND_THREE = [[-2.0, 0, -1.4, -2.6], [-2.0, 0, -1.5, 2.5], [-2.0, 0, 2.9, 0], [-2.4, 3.2, 0, 0], [-2.4, -3.2, 0, 0]]


def narrow_minimiser(W, common):
    """The minimiser near classifiers W (5, 4) and the same features but for the sign of the common part."""
    W = torch.tensor(W, dtype=torch.float64)
    H = W * torch.tensor([common, 1, 1, 1])
    return minimiser(NARROW, start=Point(W, H, torch.zeros(5, dtype=torch.float64)))


def test_one_logistic_loss_a_class_has_local_minimisers_at_d_equal_to_k_minus_1():
    """Three of rank d = 4: one class and four, two and three, and the simplex. At d = K = 5 the least is lower yet."""
    points = [narrow_minimiser(W, -1) for W in (ONE_AND_FOUR, TWO_AND_THREE)]
    points.append(narrow_minimiser((3 * simplex_frame(5, 4)).tolist(), 1))
    proofs = [ufm.prove(NARROW, point) for point in points]
    assert [(proof.verdict, proof.rank) for proof in proofs] == [("local minimizer", 4)] * 3
    assert [round(proof.value[0], 10) for proof in proofs] == [0.1694720697, 0.1700457375, 0.2240061478]
    assert proofs[0].value[1] < proofs[1].value[0]
    assert proofs[1].value[1] < proofs[2].value[0]
    roomy = replace(NARROW, dim=5)
    best = ufm.prove(roomy, minimiser(roomy))
    assert (best.verdict, best.rank) == ("global minimizer", 5)
    assert max(proof.value[1] - proof.duality_gap for proof in proofs) <= best.value[1]
    assert best.value[1] < proofs[0].value[0]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_squares_of_equal_classes(settings):
    """Symmetric under rotations of R^K: the minimiser is one orbit of O(d) at the full rank, and a manifold below."""
    problem = Problem.balanced(4, 2, 6, **({"lambda_w": 5e-3, "lambda_h": 2e-3, "lambda_b": 1e-2} | settings))
    problem = replace(problem, loss=MeanSquare())
    full = 4 if not problem.bias else 3
    proof = ufm.prove(problem, minimiser(problem))
    assert (proof.verdict, proof.rank) == ("global minimizer", full)
    narrow = replace(problem, dim=2)
    for where, point in ((narrow, minimiser(narrow)), (problem, minimiser(narrow).padded(6))):
        refusal = ufm.prove(where, point)
        assert refusal.refused
        assert "degenerate beyond the symmetries" in refusal.reason


def test_squares_at_the_closed_form():
    """No bias, n samples each of K classes: W^T H~ has K singular values sqrt(n) - N rho, by soft thresholding."""
    problem = Problem.balanced(4, 2, 4, lambda_w=5e-3, lambda_h=2e-3, bias=False, loss=MeanSquare())
    with mpmath.workdps(50), balls.working_precision(200):
        rho = mpmath.sqrt(mpmath.mpf(problem.lambda_w) * mpmath.mpf(problem.lambda_h))
        # min over s of (sqrt n - s)^2/(2 N) + rho s, K times.
        s = mpmath.sqrt(2) - 8 * rho
        value = 4 * ((8 * rho) ** 2 / 16 + rho * s)
        proof = ufm.prove(problem, minimiser(problem), precision=200)
        assert abs(arb(mpmath.nstr(value, 50)) - arb(proof.digits)) < arb("1e-45")


# A loss that is not convex.

FAR = Problem.balanced(10, 2, 10, lambda_w=0.5, lambda_h=0.5, lambda_b=1e-2, loss=Focal(3.0))


def test_without_the_envelope_no_point_is_proved_global():
    """K = 10 is beyond exp(u2) = 6.0: at the origin |G~|_2 <= sqrt(lW lH), and it is proved a local minimiser only."""
    point = origin(FAR)
    assert math.exp(FAR.loss.envelope_end) < 7
    certificate = ufm.certify(FAR, point)
    assert certificate.sigma_max < certificate.ridge
    proof = ufm.prove(FAR, point)
    assert (proof.verdict, proof.rank) == ("local minimizer", 0)
    assert 0.01 < proof.duality_gap == pytest.approx(certificate.duality_gap, abs=1e-7)
    few = replace(FAR, class_counts=(2,) * 5)
    assert ufm.prove(few, origin(few)).verdict == "global minimizer"


@pytest.mark.parametrize("dim", [2, 4])
def test_a_minimiser_whose_envelope_is_not_reached_is_a_local_one(dim, monkeypatch):
    problem = problem_of("focal", dim=dim)
    point = minimiser(problem)
    monkeypatch.setattr(FocalRow, "touches_envelope", property(lambda row: False))
    assert ufm.prove(problem, point).verdict == "local minimizer"
    # Each condition of a minimum is needed: without it nothing is proved.
    with monkeypatch.context() as patch:
        patch.setattr(conclusions, "is_minimal", lambda jet: False)
        assert ufm.prove(problem, point).refused
    with monkeypatch.context() as patch:
        patch.setattr(conclusions, "positive_definite", without_blocks(conclusions.positive_definite))
        assert ufm.prove(problem, point).refused
    with monkeypatch.context() as patch:
        patch.setattr(conclusions, "is_bounded", lambda jet: False)
        assert ufm.prove(problem, point).refused == (dim == 4)


def without_blocks(sound):
    """positive_definite that is not proved of the r x r blocks within a type: those with a diagonal near lH."""
    return lambda matrix: sound(matrix) and not (matrix.nrows() == 2 and matrix[0, 0] < arb(0.1))


def test_features_that_fly_apart_make_a_saddle(monkeypatch):
    problem = problem_of("focal", dim=2)
    point = minimiser(problem)
    monkeypatch.setattr(FocalRow, "touches_envelope", property(lambda row: False))
    monkeypatch.setattr(conclusions, "within_block", lambda jet, t: balls.identity(jet.reduced.rank) * arb(-0.25))
    proof = ufm.prove(problem, point)
    assert (proof.verdict, proof.curvature) == ("strict saddle", pytest.approx(-0.25 / 4 ** reduced_power(problem)))


def reduced_power(problem):
    return Reduced.of(problem, 2).power


@pytest.mark.parametrize("name", ["focal", "cross-entropy"])
def test_every_sample_for_a_type_is_the_same_proof(name):
    problem = problem_of(name)
    point = problem.expand(problem.class_means(minimiser(problem)))
    loss = Untied(problem.loss, K, tuple(problem.labels.tolist()))
    alone = replace(problem, class_counts=(1,) * problem.num_samples, loss=loss)
    tied, untied = ufm.prove(problem, point), ufm.prove(alone, point)
    assert (untied.verdict, untied.rank) == (tied.verdict, tied.rank) == ("global minimizer", 2)
    assert untied.value == pytest.approx(tied.value, rel=1e-15)


def test_features_of_one_type_that_differ_are_taken_one_by_one():
    """Near no critical point, here: the refusal is that of the problem in which each sample is a type."""
    problem = problem_of("focal")
    full = problem.expand(problem.class_means(minimiser(problem)))
    H = full.H.clone()
    H[0, 0], H[1, 0] = H[0, 0] + 0.1, H[1, 0] - 0.1
    proof = ufm.prove(problem, replace(full, H=H))
    assert proof.refused
    assert "moves the point" in proof.reason


# Which losses, and the units.


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


@pytest.mark.parametrize("name", NAIVE)
def test_the_unit_bounds_the_minimiser(name):
    """f(min) <= f(0), so lW |W|^2/2 + lH |H|^2/2 <= f(0) - inf."""
    problem = problem_of(name)
    point = problem.expand(minimiser(problem))
    size = math.hypot(float(point.W.norm()), float(point.H.norm()))
    assert 0.01 < size / length_unit(problem) < 1


def test_the_unit_where_there_is_nothing_to_gain():
    """The infimum is at 0, and so is the minimiser."""
    for loss in (MeanSquare(np.zeros((3, 3))), SoftCrossEntropy(np.full((3, 3), 0.1))):
        problem = Problem((2, 1, 1), 3, 5e-3, 2e-3, 1e-2, loss=loss)
        assert length_unit(problem) > 0
        assert ufm.prove(problem, origin(problem)).verdict == "global minimizer"


@pytest.mark.parametrize("name", NAIVE)
def test_decays_far_apart_are_no_obstacle(name):
    problem = problem_of(name, lambda_w=1e-1, lambda_h=1e-5)
    assert Reduced.of(problem, 2).power >= 2
    assert ufm.prove(problem, minimiser(problem)).verdict == "global minimizer"
