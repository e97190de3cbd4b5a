"""Every loss against autograd of its definition; its conjugate against a numerical supremum; targets that are none."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import ufm
from tests.ufm.losses.naive import NAIVE, OFFSETS, SCALES, flat_objective, problem_of
from ufm import InputError, Point, Problem
from ufm.certificates import descent_direction
from ufm.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LabelSmoothing,
    LogitAdjusted,
    MeanSquare,
    SoftCrossEntropy,
    Weighted,
    of_plain,
)
from ufm.solvers.critical import narrow_solution, origin
from ufm.solvers.minimize import random_point

EACH = pytest.mark.parametrize("name", NAIVE)


def rows(name: str, scale: float = 2.0):
    loss, naive = NAIVE[name]
    types = torch.arange(3 if loss.shape is None else loss.shape[0]).repeat(3)
    generator = torch.Generator().manual_seed(5)
    return loss, naive, scale * torch.randn(len(types), 3, generator=generator, dtype=torch.float64), types


@EACH
@pytest.mark.parametrize("scale", [0.0, 2.0, 12.0])
def test_expansion_is_autograds_of_the_definition(name, scale):
    loss, naive, logits, types = rows(name, scale)
    values, slopes, curvature = loss.expand(logits.clone(), types)
    change = torch.linspace(-1, 1, logits.numel(), dtype=torch.float64).view_as(logits)
    images = curvature(change.clone())
    plain = loss.values(logits, types)
    for i, t in enumerate(types.tolist()):
        z = logits[i].clone().requires_grad_()
        value = naive(z, t)
        slope = torch.autograd.grad(value, z, create_graph=True)[0]
        image = torch.autograd.functional.hessian(lambda z, t=t: naive(z, t), z) @ change[i]
        for found in (values[i], plain[i]):
            torch.testing.assert_close(found, value.detach(), rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(slopes[i], slope.detach(), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(images[i], image, rtol=1e-9, atol=1e-11)


@EACH
def test_the_curvature_takes_a_stack_of_changes(name):
    loss, _, logits, types = rows(name)
    curvature = loss.expand(logits.clone(), types)[2]
    changes = torch.randn(4, *logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kept = changes.clone()
    together = curvature(changes).clone()
    torch.testing.assert_close(changes, kept, rtol=0, atol=0)
    for one, change in zip(together, changes, strict=True):
        torch.testing.assert_close(one, curvature(change), rtol=1e-12, atol=1e-14)


@EACH
def test_negative_conjugate_is_the_supremum(name):
    """-l*(u) is the infimum of l(z) - <u, z>, at slopes that are shrunk into the domain; from several starts."""
    loss, naive, logits, types = rows(name)
    slopes = 0.6 * loss.expand(logits.clone(), types)[1]
    found = loss.negative_conjugate(slopes, types)
    for i, t in list(enumerate(types.tolist()))[:5]:
        u = slopes[i].numpy()

        def shifted(z, u=u, t=t):
            return float(naive(torch.from_numpy(z), t)) - u @ z

        starts = np.random.default_rng(i).normal(size=(6, 3)) * 2
        least = min(minimize(shifted, start, method="BFGS", options={"gtol": 1e-9}).fun for start in starts)
        assert float(found[i]) == pytest.approx(least, abs=1e-7)


@EACH
def test_the_conjugate_at_zero_is_the_infimum_and_the_origin_is_above_it(name):
    problem = problem_of(name)
    loss = NAIVE[name][0]
    far = torch.randn(2000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 4
    share = [n / problem.num_samples for n in problem.class_counts]
    least = sum(s * float(loss.values(far, torch.full((2000,), t)).min()) for t, s in enumerate(share))
    assert problem.floor <= least <= problem.floor + 0.2
    at_origin = sum(s * float(NAIVE[name][1](torch.zeros(3, dtype=torch.float64), t)) for t, s in enumerate(share))
    assert problem.drop == pytest.approx(at_origin - problem.floor, rel=1e-13)


@EACH
@pytest.mark.parametrize("settings", [{}, {"lambda_b": 0.0}, {"bias": False, "lambda_b": 0.0}, {"dim": 2}], ids=str)
def test_minimisers_spectra_and_bounds_are_those_of_the_definition(name, settings):
    """Value, gradient and the whole spectrum by autograd over all N features; no random point is below the bound."""
    problem = problem_of(name, **settings)
    f = flat_objective(problem, name)
    solution = ufm.minimize(problem, seed=1, tol=1e-11)
    assert solution.converged
    parts = [solution.point.W.reshape(-1), solution.point.H.reshape(-1), solution.point.b]
    x = torch.cat(parts if problem.bias else parts[:2])
    assert solution.value == pytest.approx(float(f(x)), rel=1e-12)
    assert float(torch.autograd.functional.jacobian(f, x).norm()) <= 1e-9
    certificate = ufm.certify(problem, solution.point)
    if problem.dim >= problem.largest_rank:
        assert certificate.verdict == "global minimizer"
        assert abs(certificate.duality_gap) <= 1e-10
    levels = ufm.spectrum(problem, solution.point)
    assert levels.complete
    assert levels.num_variables == levels.size == problem.num_variables == len(x)
    dense = torch.linalg.eigvalsh(torch.autograd.functional.hessian(f, x))
    torch.testing.assert_close(levels.expanded(), dense, rtol=0, atol=1e-9 * float(dense[-1]))
    for seed in range(5):
        start = random_point(problem, seed)
        bound = ufm.lower_bound(problem, start).value
        assert bound <= solution.value + 1e-12
        assert bound > -math.inf


@EACH
def test_saddles_have_theorys_curvature(name):
    problem = problem_of(name, dim=5)
    for point in (origin(problem), narrow_solution(problem, 1).point):
        certificate = ufm.certify(problem, point)
        assert certificate.verdict == "strict saddle"
        direction, curvature = descent_direction(problem, point)
        assert problem.curvature(ufm.analysis.analysis(problem, point).point, direction) == pytest.approx(
            curvature, rel=1e-8
        )
        assert ufm.spectrum(problem, point).min <= curvature + 1e-12


@EACH
def test_problems_go_to_plain_data_and_back(name):
    problem = problem_of(name)
    assert Problem.of_plain(problem.settings()) == problem
    assert of_plain(problem.loss.to_plain()) == problem.loss


BAD = {
    "negative soft labels": lambda: SoftCrossEntropy([[0.5, 0.5], [1.2, -0.2]]),
    "soft labels without weight": lambda: SoftCrossEntropy([[0.5, 0.5], [0.0, 0.0]]),
    "a row of targets alone": lambda: SoftCrossEntropy([0.5, 0.5]),
    "targets that are no numbers": lambda: MeanSquare([["a", "b"]]),
    "ragged targets": lambda: MeanSquare([[1.0, 2.0], [1.0]]),
    "NaN in targets": lambda: MeanSquare([[1.0, math.nan]]),
    "tags that are no signs": lambda: BinaryCrossEntropy([[1, 0], [0, 1]]),
    "smoothing 1": lambda: LabelSmoothing(1.0),
    "smoothing NaN": lambda: LabelSmoothing(math.nan),
    "a negative focus": lambda: Focal(-1.0),
    "scales of 0": lambda: LogitAdjusted(scales=[1.0, 0.0]),
    "offsets and scales that differ": lambda: LogitAdjusted([0.0, 1.0, 2.0], [1.0, 1.0]),
    "neither offsets nor scales": lambda: LogitAdjusted(),
    "targets and a weight": lambda: MeanSquare([[1.0, 0.0]], weight=2.0),
    "too few counts for the types": lambda: Problem((1, 2), 3, 1e-2, 1e-2, loss=SoftCrossEntropy(np.eye(3))),
    "the class of a loss": lambda: Problem((1, 2), 3, 1e-2, 1e-2, loss=CrossEntropy),
    "a weight of 0": lambda: Weighted(CrossEntropy(), [1.0, 0.0]),
    "a weight too few": lambda: Weighted(LogitAdjusted(OFFSETS), [1.0, 2.0]),
    "weights of a weighted loss": lambda: Weighted(Weighted(CrossEntropy(), [1.0, 2.0]), [1.0, 2.0]),
    "weights of a loss by its name": lambda: Weighted("focal", [1.0, 2.0]),
    "weights of no loss": lambda: of_plain({"name": "weighted", "loss": "hinge", "weights": [1.0, 2.0]}),
    "a set size beyond K": lambda: SoftCrossEntropy.pick_all(3, (4,)),
    "an unknown name": lambda: of_plain("hinge"),
    "settings of another loss": lambda: of_plain({"name": "focal", "smoothing": 0.1}),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_what_is_no_loss_is_refused_in_one_line(make):
    with pytest.raises(InputError) as refused:
        make()
    assert len(str(refused.value)) > 20
    assert "\n" not in str(refused.value)


def test_named_targets_are_what_their_names_say():
    assert SoftCrossEntropy.pick_all(3, (2,)).targets.tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    assert SoftCrossEntropy.mixed(2, 0.75).targets.tolist() == [[1, 0], [0, 1], [0.75, 0.25], [0.25, 0.75]]
    teacher = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = torch.tensor(SoftCrossEntropy.distilled(teacher, 2.0).targets.tolist(), dtype=torch.float64)
    torch.testing.assert_close(found, torch.softmax(teacher / 2, 1))


def test_one_hot_soft_targets_are_cross_entropy_to_the_last_digit():
    """Where the fit is nearly perfect: the small loss and slope keep their relative precision."""
    logits = torch.tensor([[40.0, 0.0, 1.0], [0.0, 60.0, 3.0]], dtype=torch.float64)
    types = torch.tensor([0, 1])
    soft, hard = SoftCrossEntropy(np.eye(3)), CrossEntropy()
    torch.testing.assert_close(soft.values(logits, types), hard.values(logits, types), rtol=1e-14, atol=0)
    for a, b in zip(soft.expand(logits.clone(), types)[:2], hard.expand(logits.clone(), types)[:2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=0)


def test_focal_with_no_focus_is_cross_entropy_and_its_envelope_ends_where_theory_says():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    types = torch.arange(6) % 4
    a, b = Focal(0.0).expand(logits.clone(), types), CrossEntropy().expand(logits.clone(), types)
    torch.testing.assert_close(a[0], b[0], rtol=1e-13, atol=0)
    torch.testing.assert_close(a[1], b[1], rtol=1e-13, atol=1e-16)
    torch.testing.assert_close(
        Focal(0.0).negative_conjugate(b[1], types), CrossEntropy().negative_conjugate(b[1], types), rtol=1e-9, atol=1e-9
    )
    assert [math.floor(math.exp(Focal(g).envelope_end)) for g in (0.5, 1.0, 2.0, 3.0, 5.0)] == [20, 8, 6, 5, 6]


def test_a_false_conjugate_is_seen():
    """A planted error: a conjugate that is too large gives a bound above f, which the certificate's gap shows."""

    class Wrong(MeanSquare):
        def negative_conjugate(self, slopes, types):
            return super().negative_conjugate(slopes, types) + 1e-3

    problem = Problem((3, 1, 2), 4, 5e-3, 2e-3, 1e-2, loss=Wrong())
    solution = ufm.minimize(problem)
    assert ufm.certify(problem, solution.point).verdict != "global minimizer"
    assert "FAILS" in str(ufm.check_loss(Wrong(), verbose=False))


def test_the_table_of_losses_has_every_name_once():
    assert set(LOSSES) == {loss.name for loss, _ in NAIVE.values()}


@pytest.mark.parametrize("rho", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("name", ["mse", "label smoothing", "scales", "bce", "cross-entropy"])
def test_minimisers_of_small_decays_are_certified_without_a_decay_of_the_bias(name, rho):
    """Slopes that are differences are as exact as their terms, not as they are themselves."""
    problem = Problem((1, 2, 3), 4, rho / 6, rho / 6, 0.0, loss=NAIVE[name][0])
    certificate = ufm.certify(problem, ufm.minimize(problem, tol=1e-12).point)
    assert certificate.verdict == "global minimizer"
    assert certificate.nullity == certificate.orbit_dimension


def test_scaled_logits_have_a_shift_of_their_own():
    """Without decay b moves along 1/scales: one more zero of the Hessian, and one rank less."""
    problem = problem_of("scales", lambda_b=0.0)
    assert problem.largest_rank == 2
    point = ufm.minimize(problem, tol=1e-12).point
    shifted = Point(point.W, point.H, point.b + 3 / torch.tensor(SCALES, dtype=torch.float64))
    assert float(problem.objective(shifted)) == pytest.approx(float(problem.objective(point)), rel=1e-14)
    dense = torch.linalg.eigvalsh(problem.jet(point).hessian())
    assert int((dense.abs() < 1e-12).sum()) == ufm.certify(problem, point).orbit_dimension
    assert float((point.W.T @ (1 / torch.tensor(SCALES, dtype=torch.float64))).norm()) < 1e-10


ESCAPING = {
    "a class that no type has": SoftCrossEntropy([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]),
    "a tag that every type has": BinaryCrossEntropy([[1, -1, 1], [-1, 1, 1]]),
}


@pytest.mark.parametrize("loss", ESCAPING.values(), ids=ESCAPING)
def test_a_bias_that_would_run_to_infinity_is_refused(loss):
    settings = {"class_counts": (1, 2), "dim": 3, "lambda_w": 1e-2, "lambda_h": 1e-2, "loss": loss}
    with pytest.raises(InputError, match="nothing decays the bias of class 2"):
        Problem(**settings)
    for mended in ({"lambda_b": 1e-3}, {"bias": False}):
        assert ufm.minimize(Problem(**settings, **mended)).converged
