"""What sympy derives for other losses against the numerical closed forms and dense eigenvalues by autograd."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch

import ufm
from tests.ufm.closed_forms.forms import balanced, dense
from ufm import InputError, Problem
from ufm.closed_forms import binary_cross_entropy, label_smoothing, mean_square
from ufm.closed_forms.cross_entropy import collapse_ratio
from ufm.derivations.equivariant import K, d, lb, lH, lW, n
from ufm.derivations.formulas import explicit, smoothing
from ufm.derivations.symbolic import LOSSES, SYMBOLS_OF, derive

NAMES = {"mse": "mse", "label-smoothing": "label smoothing", "bce": "bce"}
SIZES = [(2, 2, 3), (3, 1, 4), (4, 3, 6), (7, 2, 7)]
RATIOS = [0.02, 0.3, 0.9]


def result(loss: str, name: str):
    (found,) = (item for item in derive(loss=loss) if item.name == name)
    return found


def values(loss: str, name: str, problem: Problem, **more: float) -> dict[str, float]:
    """By symbol; the last where one occurs twice."""
    item = result(loss, name)
    return dict(zip((left.name for left, _ in item.formulas), item.values(problem, **more), strict=True))


def close(found: dict[str, float], expected: dict[str, float], rel: float = 1e-10) -> bool:
    return {name: found[name] for name in expected} == pytest.approx(expected, rel=rel, abs=1e-13)


# Squared error.


def branch(problem: Problem) -> str:
    if not problem.bias:
        return "orthogonal"
    return "simplex" if problem.lambda_b / (1 + problem.lambda_b) <= collapse_ratio(problem) else "raised"


def square_agrees(problem: Problem) -> bool:
    form, name = mean_square.minimizer_form(problem), branch(problem)
    numbers = {"margin": form.margin, "level": form.level, "gamma": form.beta}
    value = values("mse", f"value, {name}", problem)
    return close(values("mse", name, problem), numbers) and close(value, {"f*": form.value})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lb", [None, 0.0, 0.02, 0.3, 4.0])
@pytest.mark.parametrize("rho", RATIOS)
def test_mse_scale(size, lb, rho):
    problem = balanced("mse", *size, rho, lb)
    assert square_agrees(problem)
    point = ufm.global_minimizer(problem)
    centred = torch.eye(size[0], dtype=torch.float64) - 1 / size[0]
    alpha, beta = result("mse", "amplitudes").values(problem)
    torch.testing.assert_close(centred @ point.W @ point.W.T @ centred, alpha**2 * centred)
    torch.testing.assert_close(centred @ point.H @ point.H.T @ centred, beta**2 * centred)


def test_mse_thresholds():
    """K s = 1, and K s = lb/(1 + lb): where the branches agree."""
    problem = balanced("mse", 4, 2, 5, 0.3, 0.2)
    assert values("mse", "margin vanishes", problem) == {"s": 0.25}
    assert values("mse", "level vanishes", problem) == {"s": pytest.approx(0.2 / 1.2 / 4, rel=1e-14)}
    ((_, root),) = result("mse", "level vanishes").formulas
    (_, one), (_, other) = (result("mse", f"value, {name}").formulas[0] for name in ("simplex", "raised"))
    s = sp.Symbol("s", positive=True)
    assert sp.simplify((one - other).subs(s, root)) == 0


def spectral_deviation(problem: Problem, results) -> float:
    """The largest distance from the dense eigenvalues, relative to the largest; inf for a wrong number of them."""
    about = [item for item in results if item.multiplicity is not None and item.bias is problem.bias]
    listed = sorted(value for item in about for value in item.values(problem) for _ in range(item.count(problem)))
    expected = dense(problem, "mse", ufm.global_minimizer(problem)).numpy()
    return float(np.abs(listed - expected).max() / expected.max()) if len(listed) == len(expected) else np.inf


@pytest.mark.parametrize("size", [(2, 2, 3), (3, 1, 4), (4, 3, 6), (5, 2, 5)])
@pytest.mark.parametrize("lb", [None, 0.0])
@pytest.mark.parametrize("rho", [0.05, 0.6])
def test_mse_spectrum_equals_dense_eigenvalues(size, lb, rho):
    problem = balanced("mse", *size, rho, lb)
    assert spectral_deviation(problem, derive("spectrum", loss="mse")) <= 1e-13


@pytest.mark.parametrize("lb", [None, 0.0])
def test_mse_sizes_are_counted(lb):
    problem = balanced("mse", 4, 3, 6, 0.3, lb)
    kind = "square" if lb is None else "frame"
    assert result("mse", f"{kind} size").values(problem) == [problem.num_variables]
    assert result("mse", f"{kind} nullity").values(problem) == [ufm.spectrum(problem).nullity]


def wrong_block(item):
    """One per cent off in the last entry of the block."""
    (block,) = item.blocks
    bent = block.as_mutable()
    bent[-1, -1] *= sp.Rational(101, 100)
    return replace(item, blocks=(bent.as_immutable(),))


@pytest.mark.parametrize("lb", [None, 0.0])
@pytest.mark.parametrize("plant", [wrong_block, lambda item: replace(item, multiplicity=item.multiplicity + 1)])
def test_a_planted_error_of_the_spectrum_is_caught(lb, plant):
    problem = balanced("mse", 4, 3, 6, 0.3, lb)
    results = derive("spectrum", loss="mse")
    spectral = [item for item in results if item.multiplicity is not None and item.bias is problem.bias]
    for item in spectral:
        assert spectral_deviation(problem, [plant(other) if other is item else other for other in spectral]) > 1e-6


# Label smoothing.


def smoothed_agrees(problem: Problem) -> bool:
    scale = label_smoothing.minimizer_scale(problem)
    found = {
        name: number
        for each in ("margin", "amplitudes", "probabilities", "value")
        for name, number in values("label-smoothing", each, problem).items()
    }
    numbers = {name: getattr(scale, name) for name in ("margin", "alpha", "beta", "p_correct", "p_wrong")}
    return close(found, numbers | {"f*": scale.value})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rho", [0.02, 0.3, 0.8])
def test_label_smoothing_scale(size, rho):
    assert smoothed_agrees(balanced("label smoothing", *size, rho, 0.02))


def test_label_smoothing_threshold_and_cross_entropy():
    """K s = 1 - a; at a = 0 every formula is that of cross-entropy."""
    problem = balanced("label smoothing", 4, 2, 5, 0.3, 0.02)
    assert values("label-smoothing", "margin vanishes", problem)["s"] == pytest.approx(0.9 / 4, rel=1e-14)
    (_, mine), (_, theirs) = (
        next(item for item in derive("scale", loss=loss) if item.name == "value").formulas[0]
        for loss in ("label-smoothing", "cross-entropy")
    )
    numbers = {K: 5, n: 2, lW: sp.Rational(1, 50), lH: sp.Rational(1, 70)}
    apart = explicit(mine).subs(smoothing, 0) - explicit(theirs)
    assert abs(float(apart.subs(numbers).evalf(30))) < 1e-20


# Binary cross-entropy.


def binary_agrees(problem: Problem, name: str) -> bool:
    form = binary_cross_entropy.minimizer_form(problem)
    numbers = {"margin": form.margin, "level": form.level, "gamma": form.beta}
    slopes = {"own": 1 / (1 + np.exp(form.own)), "other": 1 / (1 + np.exp(-form.other))}
    value = values("bce", f"value, {name}", problem)
    return close(values("bce", name, problem), numbers | slopes) and close(value, {"f*": form.value})


@pytest.mark.parametrize("size", [(3, 1, 4), (4, 3, 6), (7, 2, 7)])
@pytest.mark.parametrize("rho", [0.02, 0.2, 0.42])
@pytest.mark.parametrize(("name", "lb"), [("free", 0.0), ("below", 9.0), ("below without bias", None)])
def test_bce_scale(size, rho, name, lb):
    assert binary_agrees(balanced("bce", *size, rho, lb), name)


@pytest.mark.parametrize("lb", [1e-4, 0.01])
def test_bce_between(lb):
    """The gap is 0 at the numerical bias, and falls through 0 there."""
    problem = balanced("bce", 4, 2, 5, 0.4, lb)
    form = binary_cross_entropy.minimizer_form(problem)
    found = values("bce", "between", problem, gamma=form.beta)
    assert found["own"] == pytest.approx(1 / (1 + np.exp(form.own)), rel=1e-11)
    assert found["other"] == pytest.approx(1 / (1 + np.exp(-form.other)), rel=1e-11)
    assert found["gap"] == pytest.approx(0, abs=1e-11)
    assert values("bce", "between", problem, gamma=form.beta - 1e-3)["gap"] > 1e-4
    assert values("bce", "between", problem, gamma=form.beta + 1e-3)["gap"] < -1e-4


@pytest.mark.parametrize(("K", "rho"), [(2, 0.4), (3, 0.9)])
def test_bce_between_without_a_bias(K, rho):
    """Three classes of a strong decay, and always two, keep level = 0 without a bias."""
    problem = balanced("bce", K, 2, 5, rho)
    form = binary_cross_entropy.minimizer_form(problem)
    wrong = 1 / (1 + np.exp(-form.other))
    found = values("bce", "between without bias", problem, other=wrong)
    assert found["own"] == pytest.approx(1 / (1 + np.exp(form.own)), rel=1e-11)
    assert found["gap"] == pytest.approx(0, abs=1e-11)
    assert form.level == form.beta == 0
    assert abs(values("bce", "between without bias", problem, other=1.01 * wrong)["gap"]) > 1e-3


def test_bce_threshold_is_one_on_every_branch():
    found = [item.formulas[0][1] for item in derive("threshold", loss="bce")]
    assert found == [1 / K] * 5


# All of them.


def bent(item):
    """Every formula but the definition of s one part in a thousand off."""
    formulas = tuple((left, right if left.name == "s" else right * 1.001) for left, right in item.formulas)
    return replace(item, formulas=formulas)


AGREE = {
    "mse": ("simplex", lambda: square_agrees(balanced("mse", 4, 2, 5, 0.3, 0.2))),
    "mse value": ("value, raised", lambda: square_agrees(balanced("mse", 4, 2, 5, 0.3, 3.0))),
    "label-smoothing": ("margin", lambda: smoothed_agrees(balanced("label smoothing", 4, 2, 5, 0.3, 0.02))),
    "bce": ("below", lambda: binary_agrees(balanced("bce", 4, 2, 5, 0.3, 9.0), "below")),
    "bce value": ("value, free", lambda: binary_agrees(balanced("bce", 4, 2, 5, 0.3, 0.0), "free")),
}


@pytest.mark.parametrize("case", AGREE)
def test_a_planted_formula_is_caught(case, monkeypatch):
    name, agrees = AGREE[case]
    loss = case.split()[0]
    wrong = tuple(bent(item) if item.name == name else item for item in derive(loss=loss))
    assert agrees()
    monkeypatch.setitem(LOSSES, loss, {"all": lambda: wrong})
    assert not agrees()


@pytest.mark.parametrize("loss", NAMES)
def test_everything_is_a_function_of_the_settings(loss):
    known = {K, n, d, lW, lH, lb, smoothing}
    items = derive(loss=loss)
    assert {symbol for item in items for block in item.blocks for symbol in explicit(block).free_symbols} <= known
    free = {symbol.name for item in items for _, right in item.formulas for symbol in explicit(right).free_symbols}
    assert free <= {symbol.name for symbol in known} | {"gamma", "other"}
    assert len({item.name for item in items}) == len(items)
    assert {item.topic for item in items} == set(LOSSES[loss])
    for item in items:
        for (_, expression), written in zip(item.formulas, item.plain()["formulas"], strict=True):
            assert sp.sympify(written["srepr"]) == expression


def test_every_loss_has_its_letters():
    assert set(SYMBOLS_OF) == set(LOSSES)


NARROW = balanced("mse", 4, 2, 2, 0.3, 0.2)
REFUSED = {
    "unknown loss": (lambda: derive(loss="hinge"), "for the loss 'hinge'; choose from: cross-entropy, mse"),
    "unknown topic": (
        lambda: derive("etf", loss="mse"),
        "unknown topic 'etf'; choose from: scale, threshold, spectrum",
    ),
    "another loss": (lambda: result("bce", "free").values(NARROW), "is about bce, not mse"),
    "narrow": (lambda: result("mse", "simplex").values(NARROW), "needs d >= K - 1"),
    "another branch": (lambda: result("mse", "raised").values(balanced("mse", 4, 2, 5, 0.3, 0.2)), "needs lb/"),
    "a weight": (
        lambda: result("mse", "simplex").values(balanced("rescaled mse", 4, 2, 5, 0.3, 0.2)),
        "one-hot targets of weight 1",
    ),
}


@pytest.mark.parametrize(("ask", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_said_is_refused_in_one_line(ask, message):
    with pytest.raises(InputError, match=message) as error:
        ask()
    assert "\n" not in str(error.value)
