"""Losses of the user's own: with a value alone, or with all; what `check_loss` sees of planted mistakes."""

import math

import pytest
import torch

import ufm
from tests.ufm.losses.naive import NAIVE
from ufm import InputError, Problem
from ufm.losses import CrossEntropy, Focal, LogitAdjusted, MeanSquare, SoftCrossEntropy


class Value:
    """Half the squared error by its value alone."""

    name = "mine"

    def values(self, logits, types):
        return (logits - torch.nn.functional.one_hot(types, logits.shape[-1])).square().sum(1) / 2


class Whole(Value):
    convex, shift_invariant = True, False

    def slopes(self, logits, types):
        return logits - torch.nn.functional.one_hot(types, logits.shape[-1])

    def curvature(self, logits, types, change):
        return change

    def negative_conjugate(self, slopes, types):
        return -(slopes.square().sum(1) / 2 + slopes.gather(1, types[:, None])[:, 0])


WEIGHTS = [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]]
SETTINGS = {"class_counts": (2, 3, 1), "dim": 4, "lambda_w": 2e-2, "lambda_h": 1e-2, "lambda_b": 5e-2}
KNOWN = Problem(**SETTINGS, loss=MeanSquare())


@pytest.mark.parametrize("own", [Value(), Whole()], ids=["value", "whole"])
def test_an_own_loss_gives_what_the_known_one_gives(own):
    problem = Problem(**SETTINGS, loss=own)
    found, known = (ufm.minimize(p, seed=3) for p in (problem, KNOWN))
    assert found.value == pytest.approx(known.value, rel=1e-12)
    levels, exact = (ufm.spectrum(p, s.point).expanded() for p, s in ((problem, found), (KNOWN, known)))
    torch.testing.assert_close(levels, exact, rtol=0, atol=1e-9)


def test_a_value_alone_has_no_certificate_of_global_optimality_and_says_so():
    problem = Problem(**SETTINGS, loss=Value())
    point = ufm.minimize(problem).point
    certificate = ufm.certify(problem, point)
    assert certificate.verdict == "local minimizer"
    assert certificate.lower_bound == -math.inf
    assert "not covered" in certificate.note
    assert "'mine'" in certificate.note
    with pytest.raises(InputError, match="no conjugate; give it negative_conjugate"):
        ufm.lower_bound(problem, point)


def test_an_own_loss_with_a_conjugate_is_certified():
    problem = Problem(**SETTINGS, loss=Whole())
    certificate = ufm.certify(problem, ufm.minimize(problem).point)
    assert certificate.verdict == "global minimizer"
    assert certificate.note == ""


def test_an_own_loss_is_not_written_to_a_file():
    with pytest.raises(InputError, match="your own"):
        Problem(**SETTINGS, loss=Value()).settings()


@pytest.mark.parametrize("name", NAIVE)
def test_every_loss_is_what_it_says(name, capsys):
    report = ufm.check_loss(NAIVE[name][0])
    assert report.holds, str(report)
    assert capsys.readouterr().out == f"{report}\n"


class WrongSlope(Whole):
    def slopes(self, logits, types):
        return 1.01 * super().slopes(logits, types)


class WrongSlopeOfOneClass(Whole):
    def slopes(self, logits, types):
        g = super().slopes(logits, types)
        g[types == 2, 1] *= -1
        return g


class WrongCurvature(Whole):
    def curvature(self, logits, types, change):
        return 0.9 * change


class Crooked(Whole):
    def curvature(self, logits, types, change):
        return change + change.roll(1, -1)


class TooLarge(Whole):
    def negative_conjugate(self, slopes, types):
        return super().negative_conjugate(slopes, types) + 0.1


class TooSmall(Whole):
    def negative_conjugate(self, slopes, types):
        return super().negative_conjugate(slopes, types) - 0.1


class NotANumber(Whole):
    def slopes(self, logits, types):
        return super().slopes(logits, types) * math.nan


class OtherValues(CrossEntropy):
    def expand(self, logits, types):
        values, slopes, curvature = super().expand(logits, types)
        return 2 * values + 1, slopes, curvature


class Counting(CrossEntropy):
    def values(self, logits, types):
        return super().values(logits, types) * len(types) / 100


class Flat(CrossEntropy):
    def expand(self, logits, types):
        values, slopes, _ = super().expand(logits.clone(), types)
        p = logits.softmax(1)
        return values, slopes, lambda M: p * M - p * (p * M).sum(1, keepdim=True)


class Alike(SoftCrossEntropy):
    def kinds(self, num_classes):
        return (None,) * num_classes


class NoLimit(CrossEntropy):
    def negative_conjugate(self, slopes, types):
        q = slopes.scatter_add(1, types[:, None], torch.ones_like(slopes[:, :1]))
        return -(q * q.log()).sum(1)


class NotConvex(Focal):
    convex = True


class Shifting(Whole):
    shift_invariant = True


PLANTED = {
    "a factor in the slope": (WrongSlope(), "slope: order"),
    "a sign in one class's slope": (WrongSlopeOfOneClass(), "slope: order"),
    "values of expand that are others": (OtherValues(), "values: of each row"),
    "values that depend on the number of rows": (Counting(), "values: of each row"),
    "a curvature of one stack alone": (Flat(), "curvature: of a stack"),
    "classes that are not alike": (Alike(WEIGHTS), "classes of one kind"),
    "a conjugate that is no number at 0": (NoLimit(), "conjugate: Fenchel-Young"),
    "a factor in the curvature": (WrongCurvature(), "curvature: order"),
    "a curvature that is no Hessian": (Crooked(), "curvature: symmetry"),
    "convexity that is not there": (NotConvex(2.0), "convexity"),
    "a shift that is no symmetry": (Shifting(), "invariance"),
    "a conjugate too small": (TooLarge(), "conjugate: Fenchel-Young"),
    "a conjugate too large": (TooSmall(), "conjugate: equality"),
}


@pytest.mark.parametrize(("loss", "check"), PLANTED.values(), ids=PLANTED)
def test_check_loss_sees_planted_mistakes_and_names_them(loss, check):
    report = ufm.check_loss(loss, verbose=False)
    assert not report.holds
    assert any(c.name.startswith(check) and c.holds is False and c.hint for c in report.checks), str(report)


@pytest.mark.parametrize("thing", [None, 3, CrossEntropy, object()], ids=["None", "3", "class", "object"])
def test_what_is_no_loss_is_refused(thing):
    with pytest.raises(InputError, match="a loss must be an object with values"):
        ufm.check_loss(thing)


class DoubleWell:
    """Two wells for every logit: features of one type may rest in either."""

    def values(self, logits, types):
        return (logits.square() - 1).square().sum(1) / 4 + 0.1 * logits.gather(1, types[:, None])[:, 0].square()


def test_features_that_differ_within_a_type_are_judged_sample_by_sample():
    """At a critical point of a loss that is not convex a type's features may differ: then nothing is averaged."""
    problem = Problem((3, 2), 2, 1e-2, 1e-2, bias=False, loss=DoubleWell())
    solutions = [ufm.minimize(problem, seed=seed, reduce=False, tol=1e-12) for seed in range(5)]
    apart = [s.point for s in solutions if float((s.point.H[0] - s.point.H[1]).norm()) > 0.1]
    assert apart
    for point in apart:
        certificate = ufm.certify(problem, point)
        assert certificate.verdict in ("local minimizer", "degenerate")
        assert certificate.value == pytest.approx(float(problem.objective(point)), rel=1e-10)
        f, x = problem.landscape_at(point)
        dense = torch.linalg.eigvalsh(torch.autograd.functional.hessian(f.value, x))
        torch.testing.assert_close(ufm.spectrum(problem, point).expanded(), dense, rtol=0, atol=1e-9)


GOOD = {
    "scales of a cosine softmax": LogitAdjusted(scales=[30.0] * 10),
    "mixed scales": LogitAdjusted(scales=[1e3, 1.0, 1e-3]),
    "small weights": SoftCrossEntropy([[1e-6, 0.0], [0.0, 1e-6]]),
    "large weights": SoftCrossEntropy([[1e6, 0.0], [0.0, 1e6]]),
    "one type": SoftCrossEntropy([[0.3, 0.7]]),
    "hardly any focus": Focal(1e-6),
}


class Huber:
    """Convex, with a derivative that has kinks."""

    convex = True

    def values(self, logits, types):
        r = (logits - torch.nn.functional.one_hot(types, logits.shape[-1])).abs()
        return torch.where(r < 0.4, r.square() / 2, 0.4 * r - 0.08).sum(1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", [*GOOD.values(), Huber()], ids=[*GOOD, "huber"])
def test_right_losses_are_not_rejected(loss, seed):
    report = ufm.check_loss(loss, num_classes=10, seed=seed, verbose=False)
    assert report.holds, str(report)


def own(**parts):
    """A loss whose parts are these functions, and half the squared error else."""
    return type(
        "Mine", (Whole,), {name: staticmethod(part) if callable(part) else part for name, part in parts.items()}
    )()


FAULTY = {
    "a scalar": (own(values=lambda z, t: z.square().sum()), "shape (3,)"),
    "a column": (own(values=lambda z, t: z.square().sum(1, keepdim=True)), "shape (3,)"),
    "nothing": (own(values=lambda z, t: None), "got None"),
    "numpy": (own(values=lambda z, t: z.numpy().sum(1)), "got array"),
    "another dtype": (own(values=lambda z, t: z.float().square().sum(1)), "float64"),
    "NaN": (own(values=lambda z, t: z.sum(1) * math.nan), "not finite"),
    "NaN slopes": (NotANumber(), "not finite"),
    "one argument": (own(values=lambda z: z.square().sum(1)), "TypeError"),
    "slopes of a wrong shape": (own(slopes=lambda z, t: z[:, :1]), "slopes of the loss"),
    "a curvature of a wrong shape": (own(curvature=lambda z, t, m: m[:1]), "curvature of the loss"),
    "convex in words": (own(convex="no"), "True or False"),
    "a shape of one number": (own(shape=(3,)), "must be (T, K)"),
}


@pytest.mark.parametrize(("loss", "words"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_own_loss_is_refused_in_one_line_that_says_where(loss, words):
    settings = SETTINGS | {"class_counts": (2, 3, 1), "loss": loss}
    with pytest.raises(InputError) as refused:
        ufm.certify(problem := Problem(**settings), ufm.minimize(problem, reduce=False).point)
    assert words in str(refused.value), refused.value
    assert "\n" not in str(refused.value)


class Mutating(Value):
    """Values that are made in place: what is given to it is a copy."""

    def values(self, logits, types):
        logits -= torch.nn.functional.one_hot(types, logits.shape[-1])
        return logits.square().sum(1) / 2


def test_an_own_loss_may_change_what_it_is_given():
    found = ufm.minimize(Problem(**SETTINGS, loss=Mutating()), seed=3)
    assert found.value == pytest.approx(ufm.minimize(KNOWN, seed=3).value, rel=1e-12)


def test_values_below_0_need_a_conjugate():
    class Below(Value):
        def values(self, logits, types):
            return super().values(logits, types) - 5

    with pytest.raises(InputError, match="must be >= 0; add a constant"):
        ufm.minimize(Problem(**SETTINGS, loss=Below()))


def test_rounding_that_hides_the_gap_is_said():
    """Mean square at decays of 1e-9: no verdict contradicts theory, and the note says why there is none."""
    problem = Problem((4, 4, 4, 4), 4, 1e-9, 1e-9, 1e-2, loss=MeanSquare())
    certificate = ufm.certify(problem, ufm.global_minimizer(problem))
    assert certificate.verdict in ("global minimizer", "degenerate", "not critical")
    assert "rounding" in certificate.note
    assert ufm.certify(KNOWN, ufm.minimize(KNOWN).point).note == ""
