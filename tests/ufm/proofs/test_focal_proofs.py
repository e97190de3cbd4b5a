"""A loss that is not convex: what needs its envelope, and features of a type that differ."""

import math
from dataclasses import replace

import pytest
from flint import arb

import ufm
from tests.ufm.losses.naive import problem_of
from tests.ufm.proofs.minimisers import minimiser
from ufm import Problem
from ufm.losses import Focal
from ufm.losses.untied import Untied
from ufm.proofs import balls, conclusions
from ufm.proofs.enclosure import Reduced
from ufm.proofs.losses.focal import FocalRow
from ufm.solvers.critical import origin

K = 3


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
