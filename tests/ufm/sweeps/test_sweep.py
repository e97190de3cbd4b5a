"""ufm.sweep against ufm.minimize, ufm.certify and ufm.spectrum, problem by problem; its stack against autograd."""

import itertools
import random
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch

import ufm
from tests.cases import PROBLEMS, autograd_gradient, random_point
from ufm import InputError
from ufm.models import Nonnegative, Spheres
from ufm.sweeps import judged as judging
from ufm.sweeps.stack import Stack, StackJet

LOSSES = (
    *(ufm.losses.CrossEntropy(), ufm.losses.MeanSquare(), ufm.losses.BinaryCrossEntropy()),
    *(ufm.losses.LabelSmoothing(0.1), ufm.losses.Focal(1.0)),
)


def drawn(count: int, seed: int = 0) -> list[ufm.Problem]:
    """Random problems of few shapes: balanced and not, d below and above K - 1, with and without a (free) bias."""
    r, found = random.Random(seed), []
    for _ in range(count):
        K = r.choice((3, 4, 5))
        counts = (r.randint(1, 6),) * K if r.random() < 0.5 else tuple(r.randint(1, 6) for _ in range(K))
        decays = (10 ** r.uniform(-3.5, -0.5) for _ in range(2))
        found.append(ufm.Problem(counts, r.choice((2, K - 1, K, 6)), *decays, r.choice((0.0, 1e-3)), r.random() < 0.8))
    return found


def test_a_sweep_ends_where_the_loop_does():
    problems = [*PROBLEMS.values(), *drawn(80)]
    problems += [ufm.Problem((2, 1, 3), 2, 1e-2, 1e-2, 1e-2, loss=loss) for loss in LOSSES]
    found = ufm.sweep(problems, seed=3)
    for problem, one in zip(problems, found, strict=True):
        alone = ufm.minimize(problem, seed=3)
        assert one.converged == alone.converged
        assert one.value == pytest.approx(alone.value, rel=1e-10)
        assert one.point.H.shape == (problem.num_samples, problem.dim)
        assert all(part.is_contiguous() and part._base is None for part in (one.point.W, one.point.H, one.point.b))
        assert float(problem.objective(one.point)) == pytest.approx(one.value, rel=1e-12)
        assert problem.relative_gradient(one.point) == pytest.approx(one.relative_grad_norm, rel=1e-3, abs=1e-13)
        assert ufm.certify(problem, one.point).verdict == ufm.certify(problem, alone.point).verdict


SHAPES = {
    "three classes": ((40, 2, 9), (30, 30, 30)),
    "with columns of zeros": ((4, 2, 9, 3, 5, 2, 6), (3,) * 7),
    "with a class too many": ((40, 2, 9), (3, 20, 1, 5), (7, 7, 7)),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_a_sweep_takes_the_steps_that_the_loop_takes(shapes, bias):
    """A column of sqrt(n_k) stands beside the bias: it is no part of the point that the trust region is about."""
    problems = [ufm.Problem(counts, len(counts), 1e-3, 1e-2, 1e-2 * bias, bias) for counts in shapes]
    compare_paths(problems)


def compare_paths(problems: list[ufm.Problem]) -> None:
    for problem, one in zip(problems, ufm.sweep(problems, 1), strict=True):
        alone = ufm.minimize(problem, 1).history
        for ours, theirs in zip(one.history[:4], alone[:4], strict=True):
            assert ours.value == pytest.approx(theirs.value, rel=1e-9)
            assert ours.products == theirs.products


@pytest.mark.parametrize("bias", [True, False])
def test_a_class_is_absent_at_minus_infinity_alone(bias, monkeypatch):
    problems = [ufm.Problem(counts, 3, 1e-3, 1e-2, 1e-2, bias) for counts in SHAPES["with a class too many"]]
    compare_paths(problems)
    monkeypatch.setattr(ufm.losses.CrossEntropy, "absent", -5.0)
    with pytest.raises(AssertionError):
        compare_paths(problems)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if hasattr(loss, "absent")], ids=lambda loss: loss.name)
def test_a_loss_is_the_same_with_a_class_that_is_absent(loss):
    logits, types = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    more = torch.nn.functional.pad(logits, (0, 1), value=loss.absent)
    change = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(loss.values(more, types), loss.values(logits, types))
    (_, slopes, curvature), (_, padded, wider) = (loss.expand(z.clone(), types) for z in (logits, more))
    torch.testing.assert_close(padded, torch.nn.functional.pad(slopes, (0, 1)))
    torch.testing.assert_close(wider(change), torch.nn.functional.pad(curvature(change[:, :3]), (0, 1)))


def test_every_problem_has_the_products_that_it_would_have_alone(monkeypatch):
    """Of few: then conjugate gradients end by their number, which the columns of zeros in a batch must not raise."""
    for place in ("ufm.solvers.newton", "ufm.sweeps.newton"):
        monkeypatch.setattr(f"{place}.most_products", lambda size: size // 5)
    problems = [ufm.Problem((4, 2, 7), d, 1e-3, 1e-2, 1e-2) for d in (5, 6, 8)]
    for problem, one in zip(problems, ufm.sweep(problems, 1), strict=True):
        for history in (one.history, ufm.minimize(problem, 1).history):
            spent = [b.products - a.products for a, b in itertools.pairwise(history)]
            assert max(spent) == (6 * problem.dim + 3) // 5


@pytest.mark.parametrize("loss", [*LOSSES, ufm.losses.SoftCrossEntropy.pick_all(3, (1,))], ids=lambda loss: loss.name)
def test_what_a_sweep_leaves_behind_can_be_differentiated(loss):
    """Solutions, and the tables that a loss keeps of its targets, though no descent records its operations."""
    problem = ufm.Problem((2, 1, 3), 2, 1e-2, 1e-2, 1e-2, loss=loss)
    (found,) = ufm.sweep([problem])
    point = ufm.Point(*(part.requires_grad_() for part in (found.point.W, found.point.H, found.point.b)))
    problem.objective(point).backward()
    assert float(point.W.grad.norm()) < 1e-8


def test_decays_too_small_for_verdicts_are_refused_as_by_certify():
    tiny = ufm.Problem((2, 2, 2), 2, 1e-14, 1e-14, 0.0)
    with pytest.raises(InputError, match="verdicts in float64 need"):
        ufm.sweep([PROBLEMS["balanced"], tiny]).as_table()
    assert len(ufm.sweep([PROBLEMS["balanced"], tiny])) == 2


def test_the_gradient_of_a_stack_is_that_of_autograd():
    problem = PROBLEMS["imbalanced"]
    other = ufm.Problem((4, 4, 1), problem.dim, 0.1, 0.02, 0.3)
    for place in (0, 1):
        one = (problem, other)[place]
        means = [p.class_means(random_point(p, seed=5)) for p in (problem, other)]
        f = Stack.of([problem, other], one.dim)
        x = f.join(*(torch.stack([getattr(m, name) for m in means]) for name in ("W", "H", "b")))
        expected = autograd_gradient(one, one.expand(means[place]))
        assert float(f.jet(x).size[place]) == pytest.approx(float(expected.norm()), rel=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_the_dense_hessians_of_a_stack_are_those_of_autograd(bias):
    shapes = PROBLEMS["imbalanced"].class_counts, (4, 4, 1)
    pair = [ufm.Problem(n, 4, lW, 0.02, 0.3 * bias, bias) for n, lW in zip(shapes, (0.1, 0.01), strict=True)]
    f = Stack.of(pair, 4)
    means = [p.class_means(random_point(p, seed=5)) for p in pair]
    x = f.join(*(torch.stack([getattr(m, name) for m in means]) for name in ("W", "H", "b")))
    found, free = f.jet(x).hessian(), f.free.flatten().bool()

    def value(v: torch.Tensor, place: int) -> torch.Tensor:
        W, H, b = f.take(torch.tensor([place])).split(x[place].masked_scatter(free, v)[None])
        return pair[place].objective(ufm.Point(W[0], H[0], b[0]))

    for place in (0, 1):
        expected = torch.autograd.functional.hessian(partial(value, place=place), x[place][free])
        torch.testing.assert_close(found[place], expected, rtol=1e-11, atol=1e-14)


# What ufm.certify and ufm.spectrum compute along other paths agrees to rounding, relative to the largest of its kind.
CLOSE = {"relative_grad_norm": (1e-3, 1e-13), "lambda_min": (0, 1e-11), "duality_gap": (0, 1e-13)}
CLOSE |= {"curvature": (1e-6, 0)}


def compare(problem: ufm.Problem, solution, one: ufm.Certificate, levels: ufm.Spectrum) -> None:
    """The row of a sweep is what the three functions give one by one."""
    alone, expected = ufm.certify(problem, solution.point), ufm.spectrum(problem, solution.point)
    for field in fields(alone):
        ours, theirs = getattr(one, field.name), getattr(alone, field.name)
        if field.name == "direction":
            assert (ours is None) == (theirs is None)
        elif isinstance(theirs, float):
            rel, absolute = CLOSE.get(field.name, (1e-9, 0))
            assert ours == pytest.approx(theirs, rel=rel, abs=absolute), field.name
        else:
            assert ours == theirs, field.name
    assert (levels.method, levels.size) == (expected.method, expected.size)
    assert levels.inertia.index == expected.inertia.index
    assert levels.inertia.nullity == expected.inertia.nullity
    scale = float(expected.values.abs().max())
    torch.testing.assert_close(levels.expanded() / scale, expected.expanded() / scale, rtol=0, atol=1e-11)


def compare_all(problems: list[ufm.Problem], seed: int = 0) -> set[str]:
    """Every row of a sweep with the loop; the verdicts that were seen."""
    found = ufm.sweep(problems, seed, tol=1e-12)
    for row in zip(problems, found, found.certificates, found.spectra, strict=True):
        compare(*row)
    for problem, certificate, point in zip(problems, found.certificates, found.critical_points, strict=True):
        assert point.H.shape == (problem.num_types, problem.dim)
        assert float(problem.objective(point)) == pytest.approx(certificate.value, rel=1e-12)
        assert problem.relative_gradient(point) < 1e-12
    return {certificate.verdict for certificate in found.certificates}


@pytest.fixture
def alone(monkeypatch) -> list[ufm.Problem]:
    """The problems that no batch judged."""
    seen: list[ufm.Problem] = []
    one = judging.judged_alone
    monkeypatch.setattr(judging, "judged_alone", lambda problem, means: seen.append(problem) or one(problem, means))
    return seen


def test_certificates_and_spectra_are_those_of_the_loop(alone):
    problems = [p for p in PROBLEMS.values() if isinstance(p.loss, ufm.losses.CrossEntropy)] + drawn(60, seed=1)
    assert "global minimizer" in compare_all(problems)
    assert len(alone) < len(problems) / 4


def test_traps_are_judged_in_company_too(alone):
    """Below K - 1 dimensions descents end in local minimisers as well; what has a way down is judged alone."""
    trap = ufm.Problem.balanced(6, 2, 2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3)
    found = ufm.sweep([trap] * 12, range(12), tol=1e-12)
    assert {one.verdict for one in found.certificates} == {"local minimizer"}
    assert len({round(one.value, 9) for one in found}) > 1
    assert alone == []
    for row in zip([trap] * 3, found, found.certificates, found.spectra, strict=False):
        compare(*row)


def test_batches_whose_hessians_would_fill_the_memory_are_parted(alone, monkeypatch):
    problems, sizes = [ufm.Problem((3, 2, 1), 2, decay, 1e-2, 1e-2) for decay in (1e-3, 1e-2, 2e-2)], []
    whole, made = ufm.sweep(problems).certificates, judging.Ends.__init__
    monkeypatch.setattr(judging, "MOST", 700)  # two of (6 * 3)^2
    monkeypatch.setattr(judging.Ends, "__init__", lambda *of: sizes.append(len(of[2])) or made(*of))
    parted = ufm.sweep(problems).certificates
    assert sizes == [2, 1]
    assert alone == []
    assert [one.plain() for one in parted] == [one.plain() for one in whole]


ERRORS = {
    "a curvature": (StackJet, "hessian", lambda jet, made=StackJet.hessian: made(jet) * (1 + 1e-9)),
    "a bound": (judging, "lower_bounds", lambda *of, made=judging.lower_bounds: made(*of) - 1e-7),
    "a multiplicity": (judging, "orbit_dimension", lambda *of, made=judging.orbit_dimension: made(*of) + 1),
}


@pytest.mark.parametrize(("place", "name", "wrong"), ERRORS.values(), ids=ERRORS)
def test_a_planted_error_is_caught(place, name, wrong, monkeypatch):
    uneven = [ufm.Problem((4, 2, 1), 2, 1e-2, 2e-2, 1e-2)]  # of full rank: rounding of sigma_max decides nothing
    compare_all(uneven)
    monkeypatch.setattr(place, name, wrong)
    with pytest.raises(AssertionError):
        compare_all(uneven)


def test_other_losses_and_models_have_the_same_rows():
    problems = [ufm.Problem((2, 1, 3), 2, 1e-2, 1e-2, 1e-2, loss=loss) for loss in LOSSES]
    assert "global minimizer" in compare_all(problems)
    models = [Nonnegative((2, 2, 2), 3, 1e-2, 1e-2), Spheres.balanced(3, 2, 3, 5.0)]
    found = ufm.sweep([*models, problems[0]])
    for model, one, known in zip(models, found, found.certificates, strict=False):
        assert one.value == pytest.approx(model.minimize().value, rel=1e-12)
        assert known.verdict == model.certify(one.point).verdict
    assert [point is None for point in found.critical_points] == [True, True, False]
    table = found.to_pandas()
    assert list(table["model"]) == ["nonnegative", "spheres", "free"]
    assert list(table["verdict"]) == ["global minimizer"] * 3
    assert table["nullity"].notna().all()


def test_a_sweep_is_a_sequence_and_a_table():
    problems = [ufm.Problem((3, n), 2, 1e-2, 1e-2, 1e-2) for n in (1, 2, 3)]
    found = ufm.sweep(problems, [4, 5, 6])
    assert len(found) == 3
    assert [one.value for one in found[1:]] == [found[1].value, found[2].value]
    rows = found.to_pandas()
    assert list(rows["value"]) == [one.value for one in found]
    assert list(rows["N"]) == [4, 5, 6]
    assert rows["condition"][0] == pytest.approx(ufm.spectrum(problems[0], found[0].point).condition)
    assert repr(found).splitlines()[0] == "sweep of 3 problems"
    assert "<mi>f</mi>" in found._repr_html_()


def test_every_problem_may_have_a_seed_of_its_own():
    problem = ufm.Problem.balanced(6, 2, 2, lambda_w=2e-4, lambda_h=2e-4)
    found = ufm.sweep([problem] * 3, [5, 1, 5])
    assert found[0].value == found[2].value
    assert found[1].value == pytest.approx(ufm.minimize(problem, seed=1).value, rel=1e-10)
    again = ufm.sweep((one for one in [problem] * 2), iter([5, 1]))
    assert [one.value for one in again] == [found[0].value, found[1].value]
    assert ufm.sweep([problem], np.int64(5))[0].value == found[0].value
    with pytest.raises(InputError, match="a sweep of 2 problems takes as many seeds, got 3"):
        ufm.sweep([problem] * 2, [1, 2, 3])


def test_a_loss_of_the_users_own_is_minimised_alone():
    class Mine:
        def values(self, logits, types):
            return torch.nn.functional.cross_entropy(logits, types, reduction="none")

    mine = ufm.Problem((2, 2, 2), 3, 1e-2, 1e-2, 1e-2, loss=Mine())
    (one,) = ufm.sweep([mine])
    assert one.value == ufm.minimize(mine).value


def test_a_tolerance_out_of_range_is_refused():
    with pytest.raises(ufm.InputError, match="tol must lie in"):
        ufm.sweep([PROBLEMS["balanced"]], tol=2.0)


def test_what_is_no_problem_is_refused_in_one_line():
    with pytest.raises(InputError, match="a sweep is of problems and models, got a str"):
        ufm.sweep([PROBLEMS["balanced"], "balanced"])
    assert list(ufm.sweep([])) == []
