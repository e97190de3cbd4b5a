"""The phase diagram: merged groups against scipy's minimisers and theory; a wrong cell is said; its file goes on."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

import ufm
from ufm import InputError, Problem
from ufm.phases import Cell, Grid, explore, survey, survey_all
from ufm.results import PointVerdict

SMALL = Grid((2, 10), (1e-2, 6e-2), majority=2, minority=2, per_class=10, lambda_b=1e-2)


def independent(problem: Problem) -> np.ndarray:
    """(K, K) the logits at the best of three minimisations by scipy over collapsed (W, H, b), cross-entropy."""
    K, d, n, N = problem.num_classes, problem.dim, np.array(problem.class_counts), problem.num_samples

    def parts(x):
        return x[: K * d].reshape(K, d), x[K * d : 2 * K * d].reshape(K, d), x[2 * K * d :]

    def f(x):
        W, H, b = parts(x)
        z = H @ W.T + b
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        G = (p - np.eye(K)) * n[:, None] / N
        loss = -(n * np.log(np.diag(p))).sum() / N
        decay = problem.lambda_w * (W**2).sum() + problem.lambda_h * (n @ (H**2).sum(1)) + problem.lambda_b * (b @ b)
        gradient = [
            G.T @ H + problem.lambda_w * W,
            G @ W + problem.lambda_h * n[:, None] * H,
            G.sum(0) + problem.lambda_b * b,
        ]
        return loss + decay / 2, np.concatenate([g.ravel() for g in gradient])

    starts = np.random.default_rng(0).normal(size=(3, 2 * K * d + K))
    options = {"gtol": 1e-10, "ftol": 1e-16, "maxiter": 20000, "maxfun": 50000}
    best = min((minimize(f, x, jac=True, method="L-BFGS-B", options=options) for x in starts), key=lambda r: r.fun)
    W, H, b = parts(best.x)
    return H @ W.T + b


@pytest.mark.parametrize("problem", SMALL.problems, ids=lambda p: f"{p.class_counts}, {p.lambda_w}")
def test_groups_are_merged_where_scipy_has_them(problem):
    cell, logits = survey(problem), independent(problem)
    assert cell.certified
    assert not cell.contradicts
    for party in cell.parties:
        classes = [k for k, n in enumerate(problem.class_counts) if n == party.count]
        own, other = logits[classes[0], classes[0]], logits[classes[0], classes[1]]
        assert party.merged == (abs(own - other) < 1e-4)
        assert party.predicted == party.merged


@pytest.mark.parametrize(
    "loss",
    ["cross-entropy", "mse", "bce", {"name": "label-smoothing", "smoothing": 0.2}, {"name": "focal", "focusing": 1}],
)
def test_every_loss_of_classes_has_a_diagram(loss, tmp_path):
    cells = explore(replace(SMALL, loss=loss), tmp_path / "phase.json")
    assert len(cells) == 4
    assert not any(cell.contradicts for cell in cells)
    assert all((party.ratio is None) == (cell.problem.loss.name == "focal") for cell in cells for party in cell.parties)
    known = [party for cell in cells for party in cell.parties if party.ratio is not None]
    assert {party.merged for party in known} == ({True, False} if known else set())


def test_a_group_on_the_wrong_side_contradicts_and_one_next_to_the_threshold_does_not():
    cell = survey(SMALL.problems[0])
    assert not cell.contradicts
    first, *others = cell.parties
    planted = replace(first, spread=0.0 if not first.merged else 0.1)
    assert replace(cell, parties=(planted, *others)).contradicts
    assert not replace(cell, parties=(planted, *others), certified=False).contradicts
    assert not replace(cell, parties=(replace(planted, ratio=1.0005), *others)).contradicts


def test_cells_go_to_plain_data_and_back():
    cell = survey(SMALL.problems[1])
    assert Cell.from_plain(json.loads(json.dumps(cell.plain()))) == cell


UNEVEN = replace(SMALL, fewer=(1, 2, 6, 10), lambdas=(1e-3, 1e-2, 6e-2))


def compare(grid: Grid, cells: list[Cell]) -> None:
    """Each cell is what `ufm.minimize` and `ufm.certify` find of its problem alone."""
    for problem, cell in zip(grid.problems, cells, strict=True):
        point = ufm.minimize(problem, grid.seed, tol=1e-12).point
        certificate, unit = ufm.certify(problem, point), (2 * problem.drop / problem.lambda_w) ** 0.5
        assert cell.problem == problem
        assert cell.certified == (certificate.verdict == "global minimizer")
        assert cell.value == pytest.approx(certificate.value, rel=1e-12)
        assert cell.gap == pytest.approx(certificate.duality_gap, abs=1e-13)
        for party in cell.parties:
            rows = point.W[[k for k, n in enumerate(problem.class_counts) if n == party.count]] / unit
            assert party.length == pytest.approx(float(rows.norm(dim=1).max()), abs=1e-7)
            assert party.spread == pytest.approx(float((rows - rows.mean(0)).norm(dim=1).max()), abs=1e-7)


def test_cells_in_company_are_those_alone(tmp_path):
    compare(UNEVEN, explore(UNEVEN, tmp_path / "phase.json"))


def test_a_cell_with_the_answer_of_its_neighbour_is_seen(monkeypatch):
    def rolled(problems, *asked, **settings):
        return ufm.sweep([*problems[1:], *problems[:1]], *asked, **settings)

    monkeypatch.setattr("ufm.phases.cell.sweep", rolled)
    with pytest.raises(AssertionError):
        compare(UNEVEN, survey_all(UNEVEN.problems))


@pytest.fixture
def whole(tmp_path, monkeypatch) -> Path:
    """The file of an uninterrupted search of twelve cells, in batches of five, five and two."""
    monkeypatch.setattr("ufm.phases.grid.TOGETHER", 5 * 2 * 4 * 4)
    explore(UNEVEN, tmp_path / "whole.json")
    return tmp_path / "whole.json"


def test_processes_side_by_side_write_the_same_bytes(whole, tmp_path):
    explore(UNEVEN, tmp_path / "phase.json", jobs=2)
    assert (tmp_path / "phase.json").read_bytes() == whole.read_bytes()


def test_a_diagram_that_was_stopped_inside_a_batch_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch):
    def stopped(problems):
        yield from problems[:8]
        raise KeyboardInterrupt

    file, seen = tmp_path / "phase.json", []
    with pytest.raises(KeyboardInterrupt):
        explore(UNEVEN, file, track=stopped)
    assert len(json.loads(file.read_text())["cells"]) == 5
    monkeypatch.setattr("ufm.phases.grid.survey_all", lambda batch, seed: seen.append(batch) or survey_all(batch, seed))
    explore(UNEVEN, file)
    assert seen == [UNEVEN.problems[5:10], UNEVEN.problems[10:]]
    assert file.read_bytes() == whole.read_bytes()
    with pytest.raises(InputError, match="was made with majority = 2, not 3"):
        explore(replace(UNEVEN, majority=3), file)


def test_only_what_is_not_certified_is_descended_from_again(monkeypatch):
    problems, asked = UNEVEN.problems, []

    def grudging(batch, seed, *rest, **settings):
        """One problem is certified at its third start, and another one never."""
        found = ufm.sweep(batch, seed, *rest, **settings)
        asked.append((seed, [problems.index(problem) for problem in batch]))
        doubted = [problems[3]] * (seed < 6) + [problems[7]]
        certificates = [
            replace(one, verdict=PointVerdict.DEGENERATE) if problem in doubted else one
            for problem, one in zip(batch, found.certificates, strict=True)
        ]
        return SimpleNamespace(certificates=certificates, critical_points=found.critical_points)

    monkeypatch.setattr("ufm.phases.cell.sweep", grudging)
    cells = survey_all(problems, 4)
    assert asked == [(4, list(range(12))), (5, [3, 7]), (6, [3, 7])]
    assert [i for i, cell in enumerate(cells) if not cell.certified] == [7]


@pytest.mark.parametrize(("each", "together"), [(3, [24]), (10, [10, 10, 4]), (32, [1] * 24)])
def test_small_problems_are_surveyed_together_and_large_ones_alone(each, together):
    grid = Grid(tuple(range(1, 13)), (1e-2, 2e-2), majority=each, minority=each)
    assert [len(batch) for batch in grid.batches] == together
    assert [problem for batch in grid.batches for problem in batch] == list(grid.problems)


BAD = {
    "no axis": {"fewer": ()},
    "more than the majority": {"fewer": (11,)},
    "none": {"fewer": (0,)},
    "one class": {"minority": 1},
    "a repeated decay": {"lambdas": (0.1, 0.1)},
    "a group of unequal weights": {"loss": {"name": "weighted", "loss": "cross-entropy", "weights": [1, 1, 1, 2]}},
    "a loss of other classes": {"loss": {"name": "logit-adjusted", "offsets": [0.0, 1.0], "scales": [1.0, 1.0]}},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_what_is_no_grid_is_refused(change):
    with pytest.raises(InputError):
        replace(SMALL, **change)
