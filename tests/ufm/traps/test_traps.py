"""Known traps are found and proved local by a dense Hessian; none at d = K - 1; other ends are counted apart."""

import json
from dataclasses import replace
from importlib import import_module

import pytest
import torch

import ufm
from tests.cases import autograd_gradient, autograd_hessian
from ufm import InputError
from ufm.models import Spheres
from ufm.traps import Cell, End, Ending, survey

DECAY = {"lambda_w": 2e-4, "lambda_h": 2e-4, "lambda_b": 1e-3}
PLANE = ufm.Problem.balanced(6, 2, 2, **DECAY)


@pytest.fixture(scope="module")
def plane():
    return survey(PLANE, starts=16)


def test_six_classes_in_the_plane_trap_about_a_quarter(plane):
    assert plane.ends[Ending.BEST] + plane.ends[Ending.TRAPPED] == 16
    assert 0.1 < plane.trapped < 0.5
    assert plane.levels == 2
    assert plane.gap == pytest.approx(8.98e-3, rel=1e-3)
    assert not plane.contradicts


def test_the_trap_is_a_nondegenerate_local_minimiser_by_a_dense_hessian(plane):
    full = PLANE.expand(plane.worst.point)
    levels = torch.linalg.eigvalsh(autograd_hessian(PLANE, full))
    assert autograd_gradient(PLANE, full).norm() < 1e-12
    assert levels[0].abs() < 1e-12  # the rotation
    assert levels[1] > 1e-6
    assert float(PLANE.objective(full)) > float(PLANE.objective(plane.best.point)) + 8e-3


def test_every_end_can_be_had_again_from_its_seed(plane):
    descents = ufm.sweep([PLANE] * 16, range(16), 1e-12, device="cpu")
    for end in (plane.best, plane.worst):
        again = descents[end.seed]
        assert again.value == pytest.approx(end.value, abs=1e-15)
        assert torch.allclose(again.point.W, end.point.W, atol=1e-12)


def test_below_k_minus_1_the_best_is_only_the_best_found(plane):
    assert plane.best.verdict == "local minimizer"
    assert not plane.certified
    assert plane.lower_bound < plane.best.value


def test_the_best_is_a_hexagon_and_the_trap_a_pentagon_around_a_class_at_the_origin(plane):
    assert plane.code_known
    assert plane.best.distance == pytest.approx(plane.code, abs=1e-8)
    assert plane.worst.distance == pytest.approx(0, abs=1e-8)
    assert plane.worst.point.W.norm(dim=1).min() < 1e-8


@pytest.mark.parametrize("dim", [5, 6])
def test_no_trap_from_k_minus_1(dim):
    cell = survey(replace(PLANE, dim=dim), starts=8)
    assert cell.ends == {kind: 8 * (kind == Ending.BEST) for kind in Ending}
    assert cell.certified
    assert cell.levels == 1
    assert cell.gap is None
    assert not cell.contradicts


def test_a_trap_or_an_unproved_minimiser_from_k_minus_1_contradicts(plane):
    assert replace(plane, problem=replace(PLANE, dim=5)).contradicts
    alone = {kind: 16 * (kind == Ending.BEST) for kind in Ending}
    assert replace(plane, problem=replace(PLANE, dim=5), ends=alone, worst=None).contradicts


def test_descents_that_do_not_converge_are_counted_apart(monkeypatch):
    monkeypatch.setattr(import_module("ufm.sweeps.sweep"), "MOST_ITERATIONS", 3)
    cell = survey(PLANE, starts=3)
    assert cell.ends == {kind: 3 * (kind == Ending.UNCONVERGED) for kind in Ending}
    assert (cell.levels, cell.trapped, cell.worst, cell.certified) == (0, 0.0, None, False)
    assert cell.best.verdict == "not critical"


PLANTED = {  # seed: verdict, f there, lower bound proved there
    7: ("local minimizer", 0.3, 0.02),
    8: ("strict saddle", 0.4, 0.05),
    9: ("local minimizer", 0.1 + 1e-12, 0.03),
    10: ("local minimizer", 0.6, 0.0),
    11: ("local minimizer", 0.1, 0.01),
    12: ("local minimizer", 0.3, 0.02),
    13: ("degenerate", 0.7, 0.0),
}


def test_a_cell_sums_up_its_ends(plane, monkeypatch):
    def planted(problem, seed) -> End:
        verdict, value, bound = PLANTED[seed]
        certificate = replace(plane.best.certificate, verdict=verdict, value=value, lower_bound=bound)
        return replace(plane.best, seed=seed, certificate=certificate)

    monkeypatch.setattr(End, "all_of", lambda problem, seeds: [planted(problem, seed) for seed in seeds])
    cell = survey(PLANE, starts=7, seed=7)
    assert cell.ends == {
        Ending.BEST: 2,
        Ending.TRAPPED: 3,
        Ending.SADDLE: 1,
        Ending.DEGENERATE: 1,
        Ending.UNCONVERGED: 0,
    }
    assert (cell.best.seed, cell.worst.seed) == (9, 10)
    assert cell.levels == 3
    assert cell.gap == pytest.approx(0.5)
    assert cell.trapped == 3 / 7
    assert cell.lower_bound == 0.05


KIND = {
    "global, above by rounding": ("global minimizer", True, 1e-6, Ending.BEST),
    "local, at the level": ("local minimizer", True, 0.0, Ending.BEST),
    "local, above": ("local minimizer", True, 1e-6, Ending.TRAPPED),
    "saddle": ("strict saddle", True, 1e-6, Ending.SADDLE),
    "degenerate at the level": ("degenerate", True, 0.0, Ending.DEGENERATE),
    "not converged, above": ("local minimizer", False, 1e-6, Ending.UNCONVERGED),
    "not critical": ("not critical", True, 0.0, Ending.UNCONVERGED),
}


@pytest.mark.parametrize(("verdict", "converged", "rise", "kind"), KIND.values(), ids=KIND)
def test_kinds(plane, verdict, converged, rise, kind):
    certificate = replace(plane.best.certificate, verdict=verdict)
    end = replace(plane.best, certificate=certificate, converged=converged)
    assert end.ending(end.value - rise) == kind


@pytest.mark.parametrize("problem", [PLANE, ufm.Problem((1, 2, 2), 2, **DECAY), replace(PLANE, lambda_b=0.0)])
def test_plain_data_keep_everything(problem):
    cell = survey(problem, starts=4)
    text = json.dumps(cell.plain())
    again = Cell.from_plain(json.loads(text))
    assert json.dumps(again.plain()) == text
    assert isinstance(again.best, End)


CIRCLE = Spheres.balanced(3, 2, 2, 10.0)


@pytest.fixture(scope="module")
def circle():
    return survey(CIRCLE, starts=8)


def test_three_classes_on_a_circle_have_a_trap(circle):
    assert circle.certified
    assert circle.best.distance == pytest.approx(circle.code, abs=1e-8)
    assert circle.ends[Ending.TRAPPED] > 0
    assert circle.gap == pytest.approx(0.461133, abs=1e-5)
    assert circle.setting == ("scale", 10.0)
    assert not circle.contradicts
    assert replace(circle, problem=replace(CIRCLE, dim=3)).contradicts


def test_on_spheres_there_is_no_trap_from_k():
    cell = survey(Spheres.balanced(4, 2, 4, 5.0), starts=6)
    assert cell.wide
    assert cell.certified
    assert cell.ends[Ending.BEST] == 6
    assert abs(cell.best.value - cell.lower_bound) <= 1e-10 * cell.best.value


def test_below_k_minus_1_the_bound_on_spheres_is_the_least_of_any_d():
    cell = survey(Spheres.balanced(4, 2, 2, 5.0), starts=2)
    wide = Spheres.balanced(4, 2, 3, 5.0)
    assert not cell.certified
    assert cell.lower_bound == pytest.approx(float(wide.objective(wide.closed_form())), rel=1e-8)


def test_plain_data_keep_everything_on_spheres(circle):
    text = json.dumps(circle.plain())
    again = Cell.from_plain(json.loads(text))
    assert again.problem == CIRCLE
    assert json.dumps(again.plain()) == text


def test_refuses_no_starts():
    with pytest.raises(InputError, match="starts must be >= 1, got 0"):
        survey(PLANE, starts=0)
