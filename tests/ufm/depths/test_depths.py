"""The diagram of depth: best points against scipy's, the ETF beside them; a wrong cell is said; its file goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from ufm import InputError
from ufm.depths import Cell, Grid, explore, survey
from ufm.losses import MeanSquare
from ufm.models import DeepLinear

SMALL = Grid((3, 4), (2, 4), (2e-3, 5.0))


def independent(model: DeepLinear) -> float:
    """The least f of some minimisations by scipy over the logits, with the quasi-norm smoothed out less and less."""
    K, power = model.free.num_classes, 1 / model.depth

    def f(x, smooth):
        """loss + (L/2) decay tr((Z Z^T + smooth)^(1/L)), one sample a class, and its gradient."""
        Z = x.reshape(K, K)
        lse = logsumexp(Z, axis=1)
        p = np.exp(Z - lse[:, None])
        values, vectors = np.linalg.eigh(Z @ Z.T)
        values = values.clip(0) + smooth
        penalty = model.depth / 2 * model.decay * ((values**power).sum() - K * smooth**power)
        slope = model.decay * (vectors * values ** (power - 1)) @ vectors.T @ Z
        return (lse - np.diag(Z)).mean() + penalty, ((p - np.eye(K)) / K + slope).ravel()

    generator, found = np.random.default_rng(0), []
    for rank in [*range(1, K)] * 3:
        code = generator.normal(size=(K, rank))
        code /= np.linalg.norm(code, axis=1, keepdims=True)
        x = 8 * (code @ code.T).ravel()
        for smooth in 10.0 ** np.arange(-1, -15, -3.0):
            x = minimize(
                f, x, (smooth,), jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-10, "ftol": 0.0}
            ).x
        found.append(f(x, 1e-14)[0])
    return min([*found, np.log(K)])


@pytest.mark.parametrize("problem", SMALL.problems, ids=lambda m: f"K = {m.free.num_classes}, L = {m.depth}, {m.decay}")
def test_the_best_points_are_scipys(problem):
    cell = survey(problem)
    # what is left of the smoothing: (L/2) decay smooth^(1/L) for each singular value that is 0
    assert cell.value == pytest.approx(independent(problem), abs=1e-5)
    assert not cell.contradicts
    assert (cell.rank == 0) == (problem.decay > 1)
    assert (cell.etf is None) == (problem.decay > 1)
    assert (cell.index, cell.nullity) == (0, cell.orbit)
    assert cell.lower_bound <= cell.value * (1 + 1e-12)


def test_the_etf_is_beaten_where_theory_says():
    beaten = survey(DeepLinear((1,) * 4, 4, 4, 2e-3))
    assert beaten.predicted is True
    assert beaten.excess == pytest.approx(0.034437 / 0.031728 - 1, abs=1e-4)
    assert beaten.etf.verdict == beaten.verdict == "local minimizer"
    two = survey(DeepLinear((1,) * 4, 4, 2, 2e-3))
    assert (two.predicted, two.excess, two.verdict) == (False, 0.0, "global minimizer")
    open_one = survey(DeepLinear((1,) * 3, 3, 3, 2e-3))
    assert (open_one.predicted, open_one.excess) == (None, 0.0)


def test_planted_errors_contradict():
    """The ETF best where theory has a better point, beaten at two factors, and a value below the bound."""
    beaten, two = (survey(DeepLinear((1,) * 4, 4, depth, 2e-3)) for depth in (4, 2))
    assert replace(beaten, value=beaten.etf.value).contradicts
    assert replace(two, value=0.999 * two.value, lower_bound=0.0).contradicts
    assert replace(two, value=0.999 * two.value, etf=None).contradicts


def test_the_squared_error_has_a_diagram_without_simplex():
    cell = survey(DeepLinear((2, 2, 2), 3, 3, 1e-2, MeanSquare()))
    assert (cell.verdict, cell.etf, cell.excess, cell.predicted) == ("global minimizer", None, None, None)


def test_cells_go_to_plain_data_and_back():
    for problem in SMALL.problems[:2]:
        cell = survey(problem)
        assert Cell.from_plain(json.loads(json.dumps(cell.plain()))) == cell


def test_a_diagram_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    file, seen = tmp_path / "depth.json", []
    whole = explore(SMALL, file)
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"cells": stored["cells"][:3]}))

    def watched(problem, seed, rounds):
        seen.append(problem)
        return survey(problem, seed, rounds)

    monkeypatch.setattr("ufm.depths.grid.survey", watched)
    assert explore(SMALL, file) == whole
    assert seen == list(SMALL.problems[3:])
    with pytest.raises(InputError, match="was made with rounds = 2, not 3"):
        explore(replace(SMALL, rounds=3), file)


BAD = {
    "no axis": {"depths": ()},
    "one factor": {"depths": (1,)},
    "one class": {"classes": (1,)},
    "no decay": {"lambdas": (0.0,)},
    "a repeated decay": {"lambdas": (0.1, 0.1)},
    "no rounds": {"rounds": 0},
    "a seed below 0": {"seed": -1},
    "a seed too large": {"seed": 2**63},
    "decays too small to decide": {"lambdas": (1e-30,)},
    "a loss of other classes": {"loss": {"name": "logit-adjusted", "offsets": [0.0, 1.0], "scales": [1.0, 1.0]}},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_what_is_no_grid_is_refused(change):
    with pytest.raises(InputError):
        replace(SMALL, **change)
