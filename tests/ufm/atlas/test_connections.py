"""Descents from saddles: where they end, their symmetry, and scipy's integration of the same flow."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
import torch

from tests.ufm.atlas.atlases import ATLASES, CONNECTED, atlas, catalogue, naive_gradient
from ufm.atlas.connections import FlowLines, alike, fixed_space, flow, symmetrizer
from ufm.atlas.family import Family
from ufm.atlas.symmetry import matchings


@pytest.mark.parametrize("name", ["K = 3", "K = 3, wide", "K = 4", "K = 4, free bias"])
def test_every_saddle_leads_down_to_the_minimiser(name):
    """Theory: at d >= K - 1 every critical point that is not global is a strict saddle."""
    found = atlas(name)
    assert found.minimizers == {0}
    assert found.leads_down == set(range(len(found.points)))
    assert {line.start for line in found.descents} == set(range(1, len(found.points)))


@pytest.mark.parametrize("name", CONNECTED)
def test_descents_end_lower(name):
    found = atlas(name)
    for line in found.descents:
        assert line.eigenvalue < 0
        if line.end is not None:
            assert found.points[line.end].level < found.points[line.start].level
    assert sum(line.end is None for line in found.descents) <= len(found.descents) // 20


def test_below_k_minus_1_dimensions_some_points_lead_to_other_minimisers():
    found = atlas("K = 5, d = 1")
    local = {i for i, p in enumerate(found.points) if p.index == 0}
    assert local
    assert found.minimizers == found.leads_down == set()
    assert {line.start for line in found.descents} == set(range(len(found.points))) - local


def saddles(name: str):
    return [e for e in catalogue(atlas(name)).entries if e.family.rank]


def off(entry, size: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return entry.x + size * torch.randn(entry.family.size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ["K = 3", "K = 4", "K = 4, no bias", "in pairs"])
def test_the_symmetrizer_projects_to_what_keeps_the_symmetries(name):
    """It is an orthogonal projection that fixes the point and commutes with the Hessian there."""
    for entry in saddles(name):
        S = symmetrizer(entry.family, entry.x)
        torch.testing.assert_close(S, S.T, atol=1e-9, rtol=0)
        torch.testing.assert_close(S @ S, S, atol=1e-9, rtol=0)
        torch.testing.assert_close(S @ entry.x, entry.x, atol=1e-8, rtol=0)
        H = entry.family.expand(entry.x[None]).hessian[0]
        torch.testing.assert_close(S @ H, H @ S, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", ["K = 3", "K = 4", "in pairs"])
def test_the_symmetrizer_is_the_mean_over_all_symmetries(name):
    """Listed one by one: W[p] = W R for a rotation R of the row space, and H~ and b alike."""
    for entry in saddles(name):
        W, scaled, b = entry.family.landscape.split(entry.x)
        K = len(W)
        total, order = torch.zeros(entry.family.size, entry.family.size, dtype=torch.float64), 0
        for p in matchings(entry.logits, entry.logits, ATLASES[name].class_counts):
            R = torch.linalg.lstsq(W, W[list(p)]).solution
            assert torch.allclose(scaled @ R, scaled[list(p)], atol=1e-7)
            back = torch.eye(K, dtype=torch.float64)[list(p)].T.contiguous()
            turned = torch.kron(back, R.T.contiguous())
            total += torch.block_diag(turned, turned, back) if len(b) and entry.family.problem.bias else turned
            order += 1
        torch.testing.assert_close(symmetrizer(entry.family, entry.x), total / order, atol=1e-7, rtol=0)


def test_a_point_without_symmetries_is_left_free():
    entry = saddles("K = 4")[0]
    x = off(entry, 0.3, 0)
    torch.testing.assert_close(symmetrizer(entry.family, x), torch.eye(len(x), dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["K = 4", "K = 4, no bias", "in pairs"])
def test_moves_are_alike_when_a_symmetry_of_the_point_turns_one_into_the_other(name):
    """The images of a move under all symmetries of the point, listed one by one, and others among them."""
    for entry in saddles(name):
        family = entry.family
        W, _, b = family.landscape.split(entry.x)
        generator = torch.Generator().manual_seed(0)
        move, other = torch.randn(2, family.size, generator=generator, dtype=torch.float64)
        V, Y, c = family.landscape.split(move)
        images = []
        for p in map(list, matchings(entry.logits, entry.logits, ATLASES[name].class_counts)):
            R = torch.linalg.lstsq(W, W[p]).solution
            images.append(family.landscape.join(V[p] @ R.T, Y[p] @ R.T, c[p] if len(b) else c))
        assert alike(family, entry.x, torch.stack([move, other, *images])) == [0, 1, *[0] * len(images)]
        assert alike(family, entry.x, torch.stack([move, move + 1e-2 * other])) == [0, 1]


def test_the_fixed_space_is_what_the_symmetrizer_projects_to():
    for entry in saddles("K = 4"):
        Q, S = fixed_space(entry.family, entry.x), symmetrizer(entry.family, entry.x)
        torch.testing.assert_close(Q @ Q.T, S, atol=1e-9, rtol=0)


def test_a_flow_that_goes_nowhere_is_given_up(monkeypatch):
    """From the minimiser itself: it never moves away, and its steps shrink."""
    entry, calls, expand = catalogue(atlas("K = 3")).entries[0], [], Family.expand
    monkeypatch.setattr(Family, "expand", lambda *given: calls.append(0) or expand(*given))
    free = torch.eye(entry.family.size, dtype=torch.float64)[None]
    assert flow(entry.family, entry.x[None], free, away=0.1).isnan().all()
    assert len(calls) < 1000


def by_scipy(family: Family, x: torch.Tensor) -> np.ndarray:
    """The logits where the gradient flow from x comes to rest: LSODA, gradient from the definition, in (W, H~, b)."""
    K, r = family.problem.num_classes, family.rank
    gradient = naive_gradient(family.problem, r)
    units = np.ones(family.size)
    units[K * r : 2 * K * r] = np.repeat(1 / np.sqrt(family.problem.class_counts), r)
    velocity = lambda t, y: -units * gradient(units * y)  # noqa: E731
    found = scipy.integrate.solve_ivp(velocity, (0, 1e5), x.numpy(), method="LSODA", rtol=1e-8, atol=1e-10)
    assert found.success
    return family.logits(torch.from_numpy(found.y[:, -1].copy())[None])[0].numpy()


@pytest.mark.parametrize(("name", "place"), [("K = 3", -1), ("K = 4", 3), ("in pairs", 4)])
def test_the_flow_ends_where_scipy_s_does(name, place):
    """From points without symmetries, in the problem's own dimension, to a minimiser: the same copy of it."""
    point, problem = atlas(name).points[place], ATLASES[name]
    family = Family(problem, problem.dim)
    centre = family.landscape.pack(point.point.W, point.point.H, point.point.b)
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        start = centre + 0.3 * torch.randn(family.size, generator=generator, dtype=torch.float64)
        free = torch.eye(family.size, dtype=torch.float64)[None]
        end = flow(family, start[None], free, away=0.1)
        logits = family.logits(end)[0].numpy()
        assert np.abs(logits - by_scipy(family, start)).max() <= 1e-2
        assert float(family.values(end)) == pytest.approx(atlas(name).points[0].level, abs=1e-6)


def test_from_a_minimiser_nothing_flows():
    entry = catalogue(atlas("K = 3")).entries[0]
    family, values, ends = FlowLines(ATLASES["K = 3"], 2, entry.x, 2, 0).run()
    assert family.rank == 2
    assert len(values) == len(ends) == 0


def test_from_the_origin_the_flow_reaches_every_single_class_and_the_rest():
    """At K = 3: along one class against two, both ways, and along others, to lower points of rank one."""
    entry = catalogue(atlas("K = 3")).entries[-1]
    family, values, ends = FlowLines(ATLASES["K = 3"], 0, entry.x, 2, 3).run()
    assert family.rank == 1
    assert (values < 0).all()
    levels = {round(level, 6) for level in family.values(ends).tolist()}
    assert levels == {0.110915, 0.487327}


def broken(name: str, **changes):
    return replace(atlas(name), **changes)


def unsettled(name: str):
    """The atlas, were its highest point a local minimum that nobody proved global."""
    *others, last = atlas(name).points
    return broken(name, points=(*others, replace(last, certificate=replace(last.certificate, verdict="degenerate"))))


def with_a_false_sum(name: str):
    first, *others = atlas(name).sums
    return broken(name, sums=(replace(first, value=3), *others))


COMPLAINTS = {  # an atlas, whether descents were asked for, how many complaints there are, of what
    "all well": (lambda: atlas("K = 3"), True, 0, ""),
    "no descents, none asked": (lambda: broken("K = 3", descents=()), False, 0, ""),
    "no descents": (lambda: broken("K = 3", descents=()), True, 1, "3 points do not lead down"),
    "a point of no kind": (lambda: unsettled("K = 3"), False, 1, "1 points are neither global minimisers nor"),
    "a sum": (lambda: with_a_false_sum("K = 3"), False, 1, "Euler sums are not 1: a point is missing"),
    "d < K - 1": (lambda: atlas("K = 5, d = 1"), True, 0, ""),
    "a sum at d < K - 1": (lambda: with_a_false_sum("K = 5, d = 1"), True, 1, "Euler sums are not 1"),
}


@pytest.mark.parametrize(("make", "connected", "count", "said"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_what_contradicts_the_theory_is_complained_about(make, connected, count, said):
    complaints = make().complaints(connected)
    assert len(complaints) == count
    assert said in "".join(complaints)
