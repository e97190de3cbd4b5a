"""The curve's derivative in t by differences; a fold, which no symmetry explains, is passed and told."""

import pytest
import torch

from ufm.bifurcations import Path
from ufm.bifurcations.branches import CROSSING, FOLD, PITCHFORK, curve_through, kept, pieces
from ufm.bifurcations.curve import Curve, Place
from ufm.bifurcations.path import Local

PATHS = [Path(3, "rho", 0.1, 0.9, 2.0), Path(4, "lambda_b", 0.1, 0.9, 0.4), Path(3, "rho", 0.1, 0.9, 0.0, bias=False)]


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_the_gradient_changes_with_t_as_by_differences(path):
    x = torch.randn(path.family(0.5).size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    up, down = (path.local(x, 0.5 + e).gradient for e in (1e-4, -1e-4))
    torch.testing.assert_close(path.local(x, 0.5).change, (up - down) / 2e-4, atol=1e-10, rtol=1e-8)


class Toy:
    """In the plane of (u, v): f = u^3/3 - (t - 1/2) u + v^2/2 (fold), u^4/4 - (t - 1/2) u^2/2 + v^2/2 (pitchfork)."""

    begin, end, num_classes = 0.1, 0.9, 2

    def __init__(self, power):
        self.power = power

    def local(self, x, t):
        u, v = x
        away = t - 0.5
        if self.power == 3:
            gradient, second, change = u**2 - away, 2 * u, -torch.ones_like(u)
            value = u**3 / 3 - away * u
        else:
            gradient, second, change = u**3 - away * u, 3 * u**2 - away, -u
            value = u**4 / 4 - away * u**2 / 2
        zero = torch.zeros_like(u)
        hessian = torch.stack([torch.stack([second, zero]), torch.stack([zero, zero + 1])])
        return Local(float(value + v**2 / 2), torch.stack([gradient, v]), hessian, torch.stack([change, zero]))


def begun(power, x, t, forward):
    place = Curve(Toy(power), torch.eye(2, dtype=torch.float64)).start(torch.tensor(x, dtype=torch.float64), t, forward)
    assert isinstance(place, Place)
    return place


def test_t_turns_where_theory_has_it():
    start = begun(3, [0.6**0.5, 0.0], 0.9, False)
    steps = start.curve.steps(start, lambda place: True)
    step = next(step for step in steps if step.first.turn * step.last.turn < 0)
    assert start.curve.turning(step).t == pytest.approx(0.5, abs=1e-7)


def test_a_fold_is_passed_and_both_sides_are_followed(monkeypatch):
    monkeypatch.setattr("ufm.bifurcations.branches.symmetries", lambda place, near=0.0: 1)
    first, second = pieces(begun(3, [0.6**0.5, 0.0], 0.85, False))
    assert first.last.kind == FOLD
    assert first.last.place.t == pytest.approx(0.5, abs=1e-6)
    assert second.first is first.last
    assert (first.places[0].index, second.places[-1].index) == (0, 1)
    assert second.places[-1].t == pytest.approx(0.9, abs=1e-9)


def test_a_pitchfork_ends_the_branch_with_fewer_symmetries(monkeypatch):
    """u -> -u is the symmetry: it keeps u = 0."""
    even = lambda place, near=1e-9: 2 if abs(float(place.x[0])) <= max(near, 1e-9) else 1  # noqa: E731
    monkeypatch.setattr("ufm.bifurcations.branches.symmetries", even)
    (branch,) = pieces(begun(4, [0.35**0.5, 0.0], 0.85, False))
    assert branch.last.kind == PITCHFORK
    assert branch.last.place.t == pytest.approx(0.5, abs=1e-6)
    assert branch.last.kind != CROSSING


def test_symmetries_and_the_space_that_they_fix():
    path = PATHS[0]
    x = torch.tensor([1.0, 0.0, -1.0, 2.0, 0.0, -2.0, 0.1, -0.2, 0.1], dtype=torch.float64)
    assert kept(path, x, 0.5) == [((0, 1, 2), 1), ((2, 1, 0), -1)]
    basis = curve_through(path, x, 0.5).basis
    assert basis.shape == (9, 4)
    torch.testing.assert_close(basis @ (basis.T @ x), x)
    assert len(kept(path, torch.zeros_like(x), 0.5)) == 6
