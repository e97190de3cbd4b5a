"""Losses of the user's own: with a value alone, or with all; what `check_loss` sees of planted mistakes."""

import math

import pytest
import torch

import ufm
from tests.ufm.losses.naive import NAIVE
from ufm import InputError, Problem
from ufm.losses import CrossEntropy, Focal, MeanSquare


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


class NotConvex(Focal):
    convex = True


class Shifting(Whole):
    shift_invariant = True


PLANTED = {
    "a factor in the slope": (WrongSlope(), "slope: order"),
    "a sign in one class's slope": (WrongSlopeOfOneClass(), "slope: order"),
    "NaN slopes": (NotANumber(), "slope: order"),
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
