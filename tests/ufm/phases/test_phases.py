"""The phase diagram: merged groups against scipy's minimisers and theory; a wrong cell is said; its file goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from ufm import InputError, Problem
from ufm.phases import Cell, Grid, explore, survey

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


def test_a_diagram_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    file, seen = tmp_path / "phase.json", []
    whole = explore(SMALL, file)
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"cells": stored["cells"][:2]}))
    monkeypatch.setattr("ufm.phases.grid.survey", lambda problem, seed: seen.append(problem) or survey(problem, seed))
    assert explore(SMALL, file) == whole
    assert seen == list(SMALL.problems[2:])
    with pytest.raises(InputError, match="was made with majority = 2, not 3"):
        explore(replace(SMALL, majority=3), file)


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
