"""What is proved is so, by routes that share no code; what cannot be proved is refused."""

import math
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pytest
import torch
from flint import arb, ctx

import ufm
from tests.cases import PROBLEMS, autograd_hessian, naive_objective, orthogonal
from tests.ufm.proofs.test_enclosure import mpmath_value
from ufm import Point, Problem, partition_points
from ufm.proofs import balls, conclusions
from ufm.proofs.enclosure import Reduced
from ufm.proofs.krawczyk import NotProved
from ufm.proofs.proof import length_unit
from ufm.solvers.critical import narrow_solution, origin

BALANCED = PROBLEMS["balanced"]
TRAP = Problem.balanced(6, 2, 2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3)


def minimum(problem, seed=0):
    return problem.class_means(ufm.minimize(problem, seed=seed, tol=1e-14).point)


def rank_one(problem):
    return problem.class_means(narrow_solution(problem, 1).point)


def one_against_two(problem):
    """A critical point of K = 3, d = 1 in which two classes are one: rank W = d, and not a minimum.

    Found among such points alone: a descent that starts there is led away by its first rounding error.
    """
    return next(point.point for point in partition_points(problem, blocks=2) if point.shape == "2+1")


POINTS = {
    "minimiser": (BALANCED, minimum, "global minimizer", 3),
    "imbalanced minimiser": (PROBLEMS["imbalanced"], minimum, "global minimizer", 2),
    "minimiser without bias": (PROBLEMS["no bias"], minimum, "global minimizer", 2),
    "minimiser with free bias": (PROBLEMS["free bias"], minimum, "global minimizer", 2),
    "minimiser for d = K - 1": (PROBLEMS["d = K - 1"], minimum, "global minimizer", 3),
    "origin": (BALANCED, origin, "strict saddle", 0),
    "origin without bias": (PROBLEMS["no bias"], origin, "strict saddle", 0),
    "origin with free bias": (PROBLEMS["free bias"], origin, "strict saddle", 0),
    "imbalanced origin": (PROBLEMS["imbalanced"], origin, "strict saddle", 0),
    "origin, strong decay": (PROBLEMS["strong decay"], origin, "global minimizer", 0),
    "origin, strong decay, imbalanced": (PROBLEMS["strong decay, imbalanced"], origin, "global minimizer", 0),
    "rank 1": (BALANCED, rank_one, "strict saddle", 1),
    "rank 2": (BALANCED, lambda p: p.class_means(narrow_solution(p, 2).point), "strict saddle", 2),
    "imbalanced rank 1": (PROBLEMS["imbalanced"], rank_one, "strict saddle", 1),
    "rank 1 for d = 1": (PROBLEMS["d = 1"], one_against_two, "strict saddle", 1),
    "trapped for d = 1": (PROBLEMS["d = 1"], minimum, "local minimizer", 1),
    "trapped for d = 2": (TRAP, minimum, "local minimizer", 2),
    "trapped for d = 2, K = 5": (PROBLEMS["d < K - 1"], minimum, "local minimizer", 2),
}


@pytest.fixture(scope="module")
def points():
    return {name: (problem, find(problem)) for name, (problem, find, _, _) in POINTS.items()}


@pytest.mark.parametrize("name", POINTS)
def test_what_a_point_is_near_to(name, points):
    problem, point = points[name]
    _, _, kind, rank = POINTS[name]
    proof = ufm.prove(problem, point)
    assert (proof.verdict, proof.rank, proof.refused, proof.reason) == (kind, rank, False, "")
    assert ufm.certify(problem, point).verdict == kind
    assert proof.statement.startswith(kind.replace("minimizer", "minimiser"))
    assert f"value in [{proof.value[0]!r}, {proof.value[1]!r}]" in proof.statement
    assert 0 < proof.value[1] - proof.value[0] < 1e-15
    assert proof.distance < 1e-9
    assert proof.unique_within > 1e-8
    assert (proof.curvature is None) == (kind != "strict saddle")


@pytest.mark.parametrize("name", POINTS)
def test_the_value_is_that_of_the_definition(name, points):
    """The numerical point is within e of the critical one, so its value at 50 digits is within a constant times e^2."""
    problem, point = points[name]
    proof = ufm.prove(problem, point)
    with mpmath.workdps(50), balls.working_precision(200):
        nearby = mpmath_value(problem, point.W, point.H, point.b)
        deviation = balls.upper(abs(arb(mpmath.nstr(nearby, 50)) - arb(proof.digits)))
    assert deviation <= 10 * proof.distance**2 + 1e-33
    assert proof.value[0] - 1e-15 <= naive_objective(problem, problem.expand(point)) <= proof.value[1] + 1e-15


@pytest.mark.parametrize("name", [name for name, entry in POINTS.items() if entry[2] == "strict saddle"])
def test_the_curvature_is_above_the_lowest_eigenvalue_and_negative(name, points):
    problem, point = points[name]
    lowest = float(torch.linalg.eigvalsh(autograd_hessian(problem, point))[0])
    curvature = ufm.prove(problem, point).curvature
    assert lowest - 1e-12 <= curvature < 0
    # It is an eigenvalue of the block it comes from: no direction there is better.
    assert curvature == pytest.approx(ufm.certify(problem, point).curvature, rel=1e-9)


@pytest.mark.parametrize("name", [name for name, entry in POINTS.items() if entry[2] == "global minimizer"])
def test_the_duality_gap_of_a_global_minimiser_vanishes(name, points):
    assert 0 <= ufm.prove(*points[name]).duality_gap < 1e-33


@pytest.mark.parametrize("name", [name for name, entry in POINTS.items() if entry[2] != "global minimizer"])
def test_the_duality_gap_elsewhere_is_that_of_the_certificate(name, points):
    """The bound on |G~| is one part in 1e9 above the norm itself, so the proved gap is that much wider."""
    gap, computed = ufm.prove(*points[name]).duality_gap, ufm.certify(*points[name]).duality_gap
    assert computed - 1e-12 <= gap <= computed + 1e-7


@pytest.mark.parametrize("num_classes", [2, 3, 4, 5])
def test_the_closed_form_is_a_global_minimiser_of_its_value_at_50_digits(num_classes):
    K = num_classes
    problem = Problem.balanced(K, 3, K + 1, lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-2)
    proof = ufm.prove(problem, ufm.global_minimizer(problem), precision=256)
    assert (proof.verdict, proof.rank) == ("global minimizer", K - 1)
    with mpmath.workdps(60), balls.working_precision(256):
        s = mpmath.sqrt(3 * mpmath.mpf(problem.lambda_w) * mpmath.mpf(problem.lambda_h))
        c = mpmath.log((1 - (K - 1) * s) / s)
        value = mpmath.log(1 + (K - 1) * mpmath.exp(-c)) + s * (K - 1) * c
        assert abs(arb(mpmath.nstr(value, 60)) - arb(proof.digits)) < arb("1e-50")
        assert mpmath.mpf(proof.value[0]) <= value <= mpmath.mpf(proof.value[1])


def test_ten_classes():
    problem = Problem.balanced(10, 5, 12, lambda_w=5e-4, lambda_h=1e-4, lambda_b=1e-2)
    proof = ufm.prove(problem, ufm.global_minimizer(problem))
    assert (proof.verdict, proof.rank) == ("global minimizer", 9)


def test_a_trap_is_proved_strictly_above_a_better_point():
    """Below d = K - 1 the landscape is not benign: two proved local minima, of different value."""
    proofs = [ufm.prove(TRAP, ufm.minimize(TRAP, seed=seed).point) for seed in (0, 2)]
    assert [proof.verdict for proof in proofs] == ["local minimizer"] * 2
    assert proofs[0].value[0] > proofs[1].value[1] + 1e-3
    # The gap bounds how much lower any point at all can be.
    assert proofs[0].value[1] - proofs[0].duality_gap <= proofs[1].value[0]


MOVES = {
    "W": lambda p: replace(p, W=bumped(p.W)),
    "H": lambda p: replace(p, H=bumped(p.H)),
    "b": lambda p: replace(p, b=bumped(p.b)),
    "everything": lambda p: replace(p, W=p.W + 1e-3, H=p.H - 1e-3, b=p.b + 1e-3),
}


def bumped(tensor):
    moved = tensor.clone()
    moved.view(-1)[0] += 1e-3
    return moved


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", POINTS)
def test_a_point_moved_by_a_thousandth_is_refused(name, move, points):
    problem, point = points[name]
    if move == "b" and not problem.bias:
        assert not ufm.prove(problem, MOVES[move](point)).refused  # b is no variable there
        return
    proof = ufm.prove(problem, MOVES[move](point))
    assert proof.refused
    assert proof.statement == f"not proved: {proof.reason}"
    assert proof.reason
    assert (proof.value, proof.distance, proof.rank, proof.curvature) == (None,) * 4


def test_a_single_sample_moved_by_a_thousandth_is_refused(points):
    problem, point = points["minimiser"]
    full = problem.expand(point)
    assert not ufm.prove(problem, full).refused
    proof = ufm.prove(problem, replace(full, H=bumped(full.H)))
    assert "from the given one" in proof.reason or "moves the point" in proof.reason


def within_a_class(full, size=1e-3):
    """Two samples of a class moved apart: the class mean stays."""
    H = full.H.clone()
    H[0, 0] += size
    H[1, 0] -= size
    return replace(full, H=H)


def test_a_class_spread_about_its_mean_is_refused(points):
    problem, point = points["minimiser"]
    proof = ufm.prove(problem, within_a_class(problem.expand(point)))
    assert proof.reason.startswith("the critical point is 1.4e-03 from the given one")


def test_uniqueness_is_about_the_given_point(points):
    """What the point is off by is taken from the radius in which the critical point is alone."""
    problem, point = points["minimiser"]
    radius = ufm.prove(problem, point).unique_within
    off = ufm.prove(problem, within_a_class(problem.expand(point), 1e-5), within=1e-4).unique_within
    assert off == pytest.approx(radius - math.sqrt(2) * 1e-5, rel=1e-6)


def test_a_zero_of_lower_rank_is_refused():
    """The origin as a reduced point of rank 1: critical, but not of the rank that the argument needs."""
    reduced = Reduced(BALANCED, 1)
    jet = reduced.at(balls.column([arb(0)] * reduced.size))
    with pytest.raises(NotProved, match="rank of W is not proved to be 1"):
        conclusions.conclude(jet)


def procrustes(problem, point, other):
    """The distance modulo O(d), over all samples."""
    a, b = (torch.cat([p.W, problem.expand(p).H]) for p in (point, other))
    u, _, v = torch.linalg.svd(b.T @ a)
    return math.hypot(float((a - b @ (u @ v)).norm()), float((point.b - other.b).norm()))


@pytest.mark.parametrize("name", ["minimiser", "rank 1", "imbalanced minimiser"])
def test_the_distance_is_an_upper_bound_and_no_more(name, points):
    problem, point = points[name]
    generator = torch.Generator().manual_seed(0)

    def noise(tensor):
        return 1e-6 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)

    full = problem.expand(point)
    moved = Point(full.W + noise(full.W), full.H + noise(full.H), full.b + noise(full.b))
    moved = moved.rotated(orthogonal(problem.dim))
    proof = ufm.prove(problem, moved, within=1e-4)
    least = procrustes(problem, moved, full)
    assert least * (1 - 1e-6) <= proof.distance <= 2 * least


@pytest.mark.parametrize("name", ["minimiser", "rank 2", "origin with free bias"])
def test_the_proof_does_not_depend_on_how_the_point_is_written(name, points):
    problem, point = points[name]
    plain = ufm.prove(problem, point)
    order = torch.randperm(problem.num_samples, generator=torch.Generator().manual_seed(0))
    full = problem.expand(point).rotated(orthogonal(problem.dim))
    shuffled = Point(full.W, full.H[order], full.b, problem.labels[order])
    wide = replace(problem, dim=problem.dim + 30)
    for other, where in ((shuffled, problem), (point.padded(wide.dim), wide)):
        proof = ufm.prove(where, other)
        assert (proof.verdict, proof.rank) == (plain.verdict, plain.rank)
        assert proof.value == pytest.approx(plain.value, rel=1e-15)
        assert proof.distance < 1e-9


def test_another_problems_point_is_refused(points):
    _, point = points["minimiser"]
    for change in ({"lambda_w": 5.01e-3}, {"class_counts": (3, 3, 3, 4)}, {"lambda_h": 1.99e-3}):
        assert ufm.prove(replace(BALANCED, **change), point).refused


def test_too_few_bits_are_refused_and_more_bits_prove_more():
    point = ufm.global_minimizer(BALANCED)
    for bits in (2, 8, 16, 24, 32):
        assert ufm.prove(BALANCED, point, precision=bits).refused
    widths = []
    for bits in (53, 128, 400):
        proof = ufm.prove(BALANCED, point, precision=bits)
        assert proof.verdict == "global minimizer"
        with balls.working_precision(400):
            widths.append(balls.upper(arb(proof.digits).rad()))
    assert widths[0] > 1e10 * widths[1] > 1e60 * widths[2]


def test_the_collapse_threshold_itself_is_refused():
    """|G~| = sqrt(lW lH) at the origin, off the range of W = 0: the Hessian decides neither way."""
    problem = Problem.balanced(2, 1, 2, lambda_w=0.5, lambda_h=0.5, lambda_b=0.1)
    assert ufm.prove(problem, origin(problem)).reason.startswith("a critical point is there, but")


def test_sizes_and_losses_beyond_reach_are_refused():
    @dataclass(frozen=True)
    class Other:
        name: str = "hinge"

        def values(self, logits, types):
            return logits.square().sum(1)

    assert "'hinge'" in ufm.prove(replace(BALANCED, loss=Other()), origin(BALANCED)).reason
    large = Problem.balanced(30, 1, 30, lambda_w=5e-4, lambda_h=5e-4)
    assert "too large" in ufm.prove(large, ufm.global_minimizer(large)).reason
    many = Problem.balanced(101, 1, 30, lambda_w=5e-4, lambda_h=5e-4)
    assert "too large" in ufm.prove(many, origin(many)).reason


def negated(function):
    return lambda jet: -function(jet)


PLANTED = {
    "explicit curvature of the wrong sign": ("rank 1", "explicit_curvature", negated(conclusions.explicit_curvature)),
    "reduced curvature of the wrong sign": (
        "rank 1 for d = 1",
        "reduced_curvature",
        negated(conclusions.reduced_curvature),
    ),
    "a bound on |G~| that fails": ("origin, strong decay", "square", lambda G: G.transpose() * G * arb(9)),
    "a minimum that is not": ("trapped for d = 2", "is_minimal", lambda jet: False),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_are_refused(name, points, monkeypatch):
    """A spoiled piece never turns one kind into another: the next test of the kind fails, and nothing is claimed."""
    where, piece, wrong = PLANTED[name]
    assert not ufm.prove(*points[where]).refused
    monkeypatch.setattr(conclusions, piece, wrong)
    proof = ufm.prove(*points[where])
    assert proof.verdict != POINTS[where][2]
    assert proof.refused or proof.verdict == "strict saddle"


BAD = {
    "precision 1": ({"precision": 1}, "precision must be a whole number of bits between 2 and 10,000, got 1"),
    "half a bit": ({"precision": 64.5}, "got 64.5"),
    "within 0": ({"within": 0}, "within must be a finite distance > 0, got 0"),
    "within NaN": ({"within": math.nan}, "got nan"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_arguments(arguments, message):
    with pytest.raises(ufm.InputError, match=message):
        ufm.prove(BALANCED, origin(BALANCED), **arguments)


def test_a_point_that_does_not_fit_is_an_error():
    with pytest.raises(ufm.InputError, match="K = 4, d = 6"):
        ufm.prove(BALANCED, origin(PROBLEMS["imbalanced"]))


def test_without_python_flint_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("ufm.proofs.proof.is_available", lambda: False)
    with pytest.raises(ufm.InputError, match="pip install python-flint"):
        ufm.prove(BALANCED, origin(BALANCED))


def test_the_callers_precision_is_left_alone(points):
    before = ctx.prec
    problem, point = points["minimiser"]
    ufm.prove(problem, point, precision=200)
    ufm.prove(problem, MOVES["W"](point), precision=200)
    assert ctx.prec == before


def test_numbers_are_plain_and_the_unit_is_that_of_a_point(points):
    numbers = ufm.prove(*points["minimiser"]).plain()
    assert set(map(type, numbers.values())) <= {str, int, float, list, type(None)}
    point = ufm.minimize(BALANCED).point
    size = np.hypot(float(point.W.norm()), float(point.H.norm()))
    assert 0.1 < size / length_unit(BALANCED) < 1


FAR_APART = [
    (7, 1657, 6, 1.86e-6, 4.34e-11, 0.00557, 19),
    (3, 79, 4, 2.16e-6, 7.43e-11, 2.37e-5, 0),
    (3, 8, 3, 1e-10, 1e-3, 0.0, 1),
]


@pytest.mark.parametrize(("K", "n", "d", "lW", "lH", "lb", "seed"), FAR_APART)
def test_decays_far_apart_are_no_obstacle(K, n, d, lW, lH, lb, seed):
    """Boxes are cubes in coordinates in which the decays are nearly equal; distances are the problem's own."""
    problem = Problem.balanced(K, n, d, lambda_w=lW, lambda_h=lH, lambda_b=lb)
    solution = ufm.minimize(problem, seed=seed)
    proof = ufm.prove(problem, solution.point)
    assert proof.verdict == "global minimizer"
    low, high = proof.value
    assert low <= float(problem.objective(ufm.global_minimizer(problem))) * (1 + 1e-12)
    assert high >= float(problem.objective(ufm.global_minimizer(problem))) * (1 - 1e-12)
    means = problem.class_means(solution.point)
    off = replace(means, W=means.W + 1e-3 * means.W.norm() * bumped(torch.zeros_like(means.W)))
    assert ufm.prove(problem, off, within=1e-9 * float(means.W.norm())).refused


def test_the_distance_is_in_the_problems_own_coordinates():
    problem = Problem.balanced(3, 1, 3, lambda_w=1e-2, lambda_h=1e-6, lambda_b=1e-2)
    point = ufm.global_minimizer(problem)
    exact = ufm.prove(problem, point)
    stretched = replace(point, H=point.H * (1 + 1e-9))
    moved = 1e-9 * float(point.H.norm())
    assert exact.distance < 1e-3 * moved
    assert ufm.prove(problem, stretched).distance == pytest.approx(moved, rel=1e-3)
