"""What enters the catalogue where rounding hides what is critical: what ball arithmetic proves, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ufm import Problem
from ufm.atlas.atlas import _described
from ufm.atlas.catalogue import Catalogue
from ufm.atlas.euler import Ledger
from ufm.atlas.exploration import Exploration
from ufm.atlas.family import Family
from ufm.atlas.symmetry import same_point
from ufm.solvers.sharpen import rounding
from ufm.storage.files import read_json, write_json

VALLEY = Problem.balanced(5, 1, 1, lambda_w=0.199, lambda_h=0.199, lambda_b=0.15)  # rho = .995
LINE = Family(VALLEY, 1)
# Entries of W and H, whose gradient in float64 is 0 to rounding, and the index of where they lead. The second is told
# among the points of the same equal classes: only the sign of an eigenvalue across them is hidden.
PLACES = {
    "near a minimum": ([-0.0034, 0.0207, 0.1101, -0.0172, -0.1102], 0),
    "near a saddle": ([-0.1100, 0.0222, -0.0110, -0.0110, 0.1103], 1),
}


def place(name: str) -> torch.Tensor:
    w = torch.tensor(PLACES[name][0], dtype=torch.float64)
    return torch.cat([w, w, torch.zeros(5, dtype=torch.float64)])


@pytest.fixture
def catalogue():
    return Catalogue(VALLEY)


@pytest.mark.parametrize("name", PLACES)
def test_a_hidden_end_is_entered_with_a_proof(name, catalogue):
    assert catalogue.add(LINE, place(name), "here")
    (entry,) = catalogue.entries
    assert entry.proof.index == PLACES[name][1]
    assert (catalogue.followed, catalogue.hidden, catalogue.tried) == (1 - entry.proof.index, 0, 1)
    described = _described(VALLEY, entry)
    assert described.proved
    assert described.found_by == "here"
    assert (described.index, described.nullity) == (PLACES[name][1], 0)
    assert described.certificate.verdict == ("strict saddle" if described.index else "local minimizer")
    assert described.lambda_min == entry.proof.least
    if described.index:
        assert described.certificate.curvature < 0


def test_what_leads_to_a_point_that_is_listed_is_no_new_one(catalogue):
    assert catalogue.add(LINE, place("near a minimum"), "first")
    order = [2, 0, 4, 1, 3]
    again = -place("near a minimum").view(3, 5)[:, order].reshape(-1)
    again[10:] *= -1
    assert catalogue.enter(LINE, again, "second") == 0
    assert (catalogue.followed, len(catalogue.entries)) == (2, 1)


def test_where_nothing_is_proved_the_end_stays_hidden(catalogue, monkeypatch):
    monkeypatch.setattr("ufm.atlas.catalogue.follow", lambda *_: None)
    monkeypatch.setattr("ufm.atlas.catalogue.is_empty", lambda *_: False)
    assert not catalogue.add(LINE, place("near a minimum"), "here")
    assert (catalogue.followed, catalogue.hidden, catalogue.entries) == (0, 1, [])


def test_an_end_that_leads_nowhere_is_dropped_where_no_point_is(catalogue, monkeypatch):
    monkeypatch.setattr("ufm.proofs.settle.STEPS", 3)
    assert not catalogue.add(LINE, place("near a minimum"), "here")
    assert (catalogue.followed, catalogue.hidden, catalogue.excluded) == (0, 0, 1)


def test_no_more_ends_are_followed_than_are_to_be(catalogue, monkeypatch):
    monkeypatch.setattr("ufm.atlas.catalogue.FOLLOWED", 0)
    assert not catalogue.add(LINE, place("near a minimum"), "here")
    assert (catalogue.tried, catalogue.hidden) == (0, 1)


def test_nothing_is_followed_where_float64_is_enough(catalogue, monkeypatch):
    problem = Problem.balanced(3, 1, 1, lambda_w=0.05, lambda_h=0.05, lambda_b=0.1)
    monkeypatch.setattr("ufm.atlas.catalogue.follow", None)
    search = Exploration(problem)
    search.partitions()
    assert len(search.catalogue.entries) == 2
    assert all(entry.signed and entry.proof is None for entry in search.catalogue.entries)


def test_a_far_proof_does_not_replace_a_point_that_float64_tells(catalogue, monkeypatch):
    """Only an eigenvalue's sign is asked for then; a critical point elsewhere does not have it."""
    elsewhere = replace(_proof(catalogue), way=0.1)
    monkeypatch.setattr("ufm.atlas.catalogue.follow", lambda *_: elsewhere)
    monkeypatch.setattr("ufm.atlas.catalogue.doubt", lambda *_: 0.0)
    fresh = Catalogue(VALLEY)
    assert fresh.add(LINE, place("near a minimum"), "here")
    assert fresh.entries[0].proof is None
    assert fresh.followed == 0


def _proof(catalogue):
    catalogue.add(LINE, place("near a minimum"), "here")
    return catalogue.entries[-1].proof


@pytest.mark.parametrize("name", PLACES)
def test_the_euler_sum_has_the_index_that_is_proved(name, catalogue):
    """60 copies with both signs: the sum of this point alone is +-120; without the proof it is undecided."""
    catalogue.add(LINE, place(name), "here")
    values = [s.value for s in Ledger(catalogue).sums(1) if s.action.m == 0 and s.coordinates == {(): 1}]
    assert values == [120 * (-1) ** PLACES[name][1]]
    catalogue.entries = [replace(catalogue.entries[0], proof=None)]
    assert next(s.value for s in Ledger(catalogue).sums(1)) is None


def test_a_file_keeps_the_proof(tmp_path):
    file = tmp_path / "atlas.json"
    search = Exploration(VALLEY, file=file)
    search.catalogue.add(LINE, place("near a minimum"), "here")
    write_json(file, search.plain())
    restored = Exploration(VALLEY, file=file).catalogue
    assert (restored.followed, restored.tried, restored.hidden) == (1, 1, 0)
    assert restored.entries[-1].proof.plain() == search.catalogue.entries[-1].proof.plain()
    stored = search.plain()
    del stored["followed"], stored["tried"]
    for point in stored["points"]:
        del point["proof"]
    write_json(file, stored)
    assert Exploration(VALLEY, file=file).catalogue.entries[-1].proof is None


@pytest.fixture
def ring():
    """(a catalogue, its point turned a bit): of K = 9, five make a pentagon that turns at a curvature of 1e-12."""
    problem = Problem.balanced(9, 2, 8, lambda_w=2e-3, lambda_h=2e-3, lambda_b=1e-2)
    family, catalogue = Family(problem, 5), Catalogue(problem)
    parts = read_json(Path(__file__).with_name("ring.json"))
    x = torch.cat([torch.tensor(parts[name], dtype=torch.float64).flatten() for name in ("W", "H", "b")])
    assert catalogue.add(family, x, "here")
    (entry,) = catalogue.entries
    jet = family.landscape.jet(entry.x)
    values, vectors = torch.linalg.eigh(jet.hessian())
    flat = values.abs().argsort()[entry.orbit]
    assert 5e-13 < abs(float(values[flat])) < 2e-12
    turned = entry.x + rounding(jet, entry.x) / values[flat] * vectors[:, flat]
    others = values.abs().argsort()[entry.orbit + 1 :]
    for _ in range(3):  # along the valley's bottom
        slopes = vectors[:, others].T @ family.landscape.jet(turned).gradient
        turned = turned - vectors[:, others] @ (slopes / values[others])
    return catalogue, turned


def test_a_point_that_rounding_moved_in_a_flat_valley_is_no_new_one(ring):
    catalogue, turned = ring
    family, first = catalogue.entries[0].family, catalogue.entries[0]
    assert not same_point(family.logits(turned[None])[0].numpy(), first.logits, catalogue.problem.kinds)
    assert catalogue.enter(family, turned, "again") == 0


@pytest.mark.parametrize(("moved", "place"), [(None, 0), (0.0, 1)])
def test_how_far_rounding_may_move_a_point_decides_that(moved, place, ring, monkeypatch):
    catalogue, turned = ring
    monkeypatch.setattr("ufm.atlas.catalogue.at_rest", lambda f, x, near: x)
    if moved is not None:
        monkeypatch.setattr("ufm.atlas.catalogue.doubt", lambda *_: moved)
    assert catalogue.enter(catalogue.entries[0].family, turned, "again") == place
