"""One analysis of a point: computed once for whoever asks, and never for another point than the one at hand."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import PROBLEMS
from ufm import Point
from ufm.analysis import analysis
from ufm.certificates import descent_direction
from ufm.solvers.critical import narrow_solution, origin

PROBLEM = PROBLEMS["balanced"]
DECOMPOSITIONS = ("eigh", "eigvalsh", "svd", "svdvals")


@pytest.fixture
def counted(monkeypatch):
    """How often each decomposition of torch.linalg is asked for."""
    counts = Counter()

    def counting(name, function):
        def counted(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        return counted

    for name in DECOMPOSITIONS:
        monkeypatch.setattr(torch.linalg, name, counting(name, getattr(torch.linalg, name)))
    return counts


def saddle() -> Point:
    return PROBLEM.class_means(narrow_solution(PROBLEM, 1).point)


@pytest.mark.parametrize("make", [saddle, lambda: ufm.minimize(PROBLEM).point], ids=["saddle", "minimiser"])
def test_what_follows_a_certificate_decomposes_nothing(make, counted):
    point = make()
    ufm.certify(PROBLEM, point)
    before = Counter(counted)
    assert 0 < before.total() <= 8
    ufm.spectrum(PROBLEM, point)
    descent_direction(PROBLEM, point)
    assert counted == before


def through_numpy(point):
    point.W.numpy()[0, 0] += 1e-2  # torch's version counter does not see it


def through_data(point):
    point.H.data[1] *= 1.01


def in_place(point):
    point.b.add_(torch.arange(len(point.b)) * 1e-2)


@pytest.mark.parametrize("change", [through_numpy, through_data, in_place])
def test_a_point_that_is_changed_is_analysed_again(change):
    point = ufm.minimize(PROBLEM).point
    assert ufm.certify(PROBLEM, point).verdict == "global minimizer"
    change(point)
    assert ufm.certify(PROBLEM, point).verdict == "not critical"


def test_labels_that_are_changed_are_seen():
    solution = ufm.minimize(PROBLEM).point
    point = replace(solution, labels=PROBLEM.labels)
    assert ufm.certify(PROBLEM, point).verdict == "global minimizer"
    point.labels.copy_(PROBLEM.labels.flip(0))
    assert ufm.certify(PROBLEM, point).verdict == "not critical"


def test_another_problem_has_another_analysis():
    point = origin(PROBLEM)
    seen = analysis(PROBLEM, point)
    assert analysis(PROBLEM, point) is seen
    other = replace(PROBLEM, lambda_w=10.0, lambda_h=10.0)
    assert ufm.certify(other, point).verdict == "global minimizer"
    assert ufm.certify(PROBLEM, point).verdict == "strict saddle"


def test_inference_tensors_are_analysed():
    point = ufm.minimize(PROBLEM).point
    with torch.inference_mode():
        made = Point(point.W.clone(), point.H.clone(), point.b.clone())
    assert ufm.certify(PROBLEM, made).verdict == "global minimizer"
    assert analysis(PROBLEM, made) is analysis(PROBLEM, made)


def test_a_spectrum_that_is_changed_changes_no_later_one():
    point = ufm.minimize(PROBLEM).point
    before = ufm.spectrum(PROBLEM, point)
    index, least, counts = before.index, before.min, before.multiplicities.clone()
    before.values.neg_()
    before.multiplicities.zero_()
    after = ufm.spectrum(PROBLEM, point)
    assert (after.index, after.min) == (index, least)
    assert torch.equal(after.multiplicities, counts)


@pytest.mark.parametrize("name", ["balanced", "focal"])
@pytest.mark.filterwarnings("error")
def test_points_that_track_gradients_are_taken(name):
    problem = PROBLEM if name == "balanced" else replace(PROBLEM, loss=ufm.losses.Focal(2.0))
    found = problem.expand(ufm.minimize(problem).point)
    point = Point(*(part.clone().requires_grad_() for part in (found.W, found.H, found.b)))
    assert ufm.certify(problem, point).verdict == ufm.certify(problem, found).verdict
    assert ufm.prove(problem, point).verdict == ufm.prove(problem, found).verdict
    assert not ufm.spectrum(problem, point).values.requires_grad
    assert all(part.requires_grad for part in (point.W, point.H, point.b))
