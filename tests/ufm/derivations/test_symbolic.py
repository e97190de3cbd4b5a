"""The derived closed forms against float64: the numerical closed forms, exact spectra, dense autograd, saddles."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.cases import PROBLEMS, autograd_hessian, naive_objective
from ufm import InputError, Point, Problem
from ufm.certificates import descent_direction
from ufm.closed_forms.cross_entropy import minimizer_scale
from ufm.closed_forms.simplex import simplex_frame
from ufm.derivations.equivariant import K, d, lb, lH, lW, n
from ufm.derivations.formulas import characteristic, explicit, s1
from ufm.derivations.symbolic import TOPICS, derive
from ufm.solvers.critical import narrow_solution, origin

SETTINGS = {K, n, d, lW, lH, lb}
CASES = [(2, 3, 1), (2, 2, 4), (3, 2, 2), (3, 1, 5), (4, 3, 6), (6, 2, 7)]


def result(name: str):
    (found,) = (item for item in derive() if item.name == name)
    return found


@st.composite
def problems(draw, largest: float = 0.99):
    """Balanced problems with d >= K - 1 and K s of at most `largest`, decays over orders of magnitude."""
    classes, per_class = draw(st.integers(2, 40)), draw(st.integers(1, 50))
    ratio, tilt = draw(st.floats(1e-3, largest)), draw(st.floats(1e-2, 1e2))
    ridge = ratio / (classes * per_class**0.5)
    dim = classes - 1 + draw(st.integers(0, 3))
    lambda_b, bias = draw(st.sampled_from([0.0, 1e-3, 0.5])), draw(st.booleans())
    return Problem.balanced(
        classes, per_class, dim, lambda_w=ridge * tilt, lambda_h=ridge / tilt, lambda_b=lambda_b, bias=bias
    )


def levels(problem: Problem, results) -> list[float]:
    """The eigenvalues that the results list, each as often as it occurs; negative multiplicities take away."""
    about = [item for item in results if item.multiplicity is not None and item.bias in (None, problem.bias)]
    found = [(value, item.count(problem)) for item in about for value in item.values(problem)]
    listed = [value for value, count in found for _ in range(count)]
    for value in (value for value, count in found for _ in range(-count)):
        listed.remove(min(listed, key=lambda other, value=value: abs(other - value)))
    return sorted(listed)


def deviation(problem: Problem, results, dense: torch.Tensor) -> float:
    """The largest distance from the dense eigenvalues, relative to the largest; inf for a wrong number of them."""
    listed = torch.tensor(levels(problem, results), dtype=torch.float64)
    return float((listed - dense).abs().max() / dense.abs().max()) if len(listed) == len(dense) else np.inf


@given(problems())
@settings(max_examples=25)
def test_scale_is_the_numerical_closed_form(problem):
    scale = minimizer_scale(problem)
    margin, amplitudes, value = (result(name).values(problem) for name in ("margin", "amplitudes", "value"))
    assert margin[1] == pytest.approx(scale.margin, rel=1e-11)
    assert amplitudes == pytest.approx([scale.alpha, scale.beta], rel=1e-11)
    assert value == pytest.approx([scale.value], rel=1e-12)
    right, wrong, _ = result("probabilities").values(problem)
    assert (right, wrong) == pytest.approx((scale.p_correct, scale.p_wrong), rel=1e-11)


def test_restricted_objective_is_f():
    problem = PROBLEMS["balanced"]
    frame, ones = simplex_frame(4, 6), torch.ones(4, dtype=torch.float64)
    point = problem.expand(Point(0.7 * frame, 1.9 * frame, 0.3 * ones))
    found = result("restricted objective").values(problem, alpha=0.7, beta=1.9, gamma=0.3)
    assert found == pytest.approx([naive_objective(problem, point)], rel=1e-14)


@pytest.mark.parametrize(("classes", "per_class", "dim"), CASES)
@pytest.mark.parametrize("bias", [1e-2, 0.0, None])
def test_spectrum_at_the_frame_equals_dense_eigenvalues(classes, per_class, dim, bias):
    problem = Problem.balanced(
        classes, per_class, dim, lambda_w=5e-3, lambda_h=2e-3, lambda_b=bias or 0.0, bias=bias is not None
    )
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, ufm.global_minimizer(problem)))
    assert deviation(problem, derive("etf"), dense) <= 1e-13


@given(problems())
@settings(max_examples=10)
def test_spectrum_at_the_frame_equals_the_numerical_blocks(problem):
    assert deviation(problem, derive("etf"), ufm.spectrum(problem).expanded()) <= 1e-12


@pytest.mark.parametrize("name", ["balanced", "no bias", "two classes", "d = 1", "strong decay"])
def test_spectrum_at_the_origin_equals_dense_eigenvalues(name):
    problem = PROBLEMS[name]
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, origin(problem)))
    assert deviation(problem, derive("origin"), dense) <= 1e-13


def wrong_value(item):
    """One per cent off in the last row and column of the last block."""
    *rest, block = item.blocks
    bent = block.as_mutable()
    bent[-1, -1] *= sp.Rational(101, 100)
    return replace(item, blocks=(*rest, bent.as_immutable()))


def wrong_count(item):
    return replace(item, multiplicity=item.multiplicity + 1)


@pytest.mark.parametrize("spoil", [wrong_value, wrong_count])
def test_every_spoiled_part_of_the_spectrum_is_seen(spoil):
    problem = PROBLEMS["balanced"]
    dense = torch.linalg.eigvalsh(autograd_hessian(problem, ufm.global_minimizer(problem)))
    parts = [item for item in derive("etf") if item.multiplicity is not None and item.bias is not False]
    assert len(parts) == 9
    for i, item in enumerate(parts):
        assert deviation(problem, [*parts[:i], spoil(item), *parts[i + 1 :]], dense) > 1e-5, item.name


def test_there_are_twelve_numbers_in_the_span_of_the_frame():
    counts = [sum(block.rows for block in result(f"etf {part}").blocks) for part in "1VSL"]
    assert counts == [3, 5, 2, 2]


def test_multiplicities_add_up_to_all_variables():
    for topic in ("etf", "origin"):
        ((_, size),) = result(f"{topic} size").formulas
        assert sp.expand(size - (K * d + K * n * d + K)) == 0
        without = [item for item in derive(topic) if item.multiplicity is not None and item.bias is not True]
        free = sum(item.multiplicity * block.rows for item in without for block in item.blocks)
        assert sp.expand(free - (K * d + K * n * d)) == 0


def test_rotations_are_exact_zeros_and_nothing_else_is():
    for name in ("etf L", "etf V out"):
        (block,) = result(name).blocks
        assert sp.simplify(block.det()) == 0
        assert result(name).eigenvalues.count(0) == 1
    ((_, nullity),) = result("etf nullity").formulas
    assert sp.expand(nullity - ((K - 1) * d - K * (K - 1) / 2)) == 0
    problem = PROBLEMS["balanced"]
    assert result("etf nullity").values(problem) == [ufm.spectrum(problem).nullity]


def test_both_thresholds_are_one():
    """c = 0 and a zero eigenvalue at the origin: K s = 1; there the minimiser's value is the origin's, log K."""
    found = [item.formulas[0][1] for item in derive("threshold")]
    assert found == [1 / K, 1 / K]
    low, _ = result("origin V").eigenvalues
    assert sp.expand(sp.factor(low.subs(n, 1 / (K**2 * lW * lH)), deep=True)) == 0
    ((_, value),) = result("value").formulas
    assert sp.simplify(explicit(value).subs(n, 1 / (K**2 * lW * lH)) - sp.log(K)) == 0


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "no bias", "one sample each"])
def test_descent_curvature_is_that_of_the_direction(name):
    problem = PROBLEMS[name]
    decays = Problem.balanced(2, 1, 1, lambda_w=problem.lambda_w, lambda_h=problem.lambda_h)
    for point in (origin(problem), problem.class_means(narrow_solution(problem, 1).point)):
        direction, predicted = descent_direction(problem, point)
        f, x = problem.landscape_at(problem.class_means(point))
        sigma = float(torch.linalg.svdvals(f.jet(x).G)[0])
        found, ratio = result("descent curvature").values(decays, s1=sigma)
        assert found == pytest.approx(predicted, rel=1e-12)
        assert found == pytest.approx(problem.curvature(point, direction), rel=1e-9)
        amplitudes = direction.W.norm(), (f.roots * direction.H).norm()
        assert ratio == pytest.approx(float(amplitudes[0] / amplitudes[1]), rel=1e-9)


def test_descent_at_the_origin_is_its_least_eigenvalue():
    low, _ = result("origin V").eigenvalues
    (_, least), _ = result("descent curvature").formulas
    assert sp.simplify(least.subs(s1, 1 / (K * sp.sqrt(n))) - low) == 0


@pytest.mark.parametrize("name", ["etf V", "etf V without bias"])
def test_polynomials_vanish_at_the_eigenvalues(name):
    problem = PROBLEMS["balanced" if name == "etf V" else "no bias"]
    item = result(name)
    (block,) = item.large_blocks
    numbers = {K: problem.num_classes, n: problem.per_class, lW: problem.lambda_w, lH: problem.lambda_h}
    numbers[lb] = problem.lambda_b
    coefficients = [float(explicit(each).subs(numbers)) for each in characteristic(block)]
    found = np.sort(np.roots(coefficients).real)
    np.testing.assert_allclose(found, item.values(problem)[1:], rtol=1e-8)


def test_everything_is_a_function_of_the_settings():
    free = {symbol for item in derive() for block in item.blocks for symbol in explicit(block).free_symbols}
    assert free <= SETTINGS
    assert len({item.name for item in derive()}) == len(derive())
    assert {item.topic for item in derive()} == set(TOPICS)
    assert [item.name for item in derive("saddle", "threshold")][-1] == "origin turns"


def test_srepr_reads_back():
    for item in derive():
        plain = item.plain()
        for (_, expression), written in zip(item.formulas, plain["formulas"], strict=True):
            assert sp.sympify(written["srepr"]) == expression
        for block, written in zip(item.blocks, plain["blocks"], strict=True):
            assert sp.sympify(written["srepr"]) == block


NARROW = Problem.balanced(5, 2, 2, lambda_w=5e-3, lambda_h=2e-3)
REFUSED = {
    "imbalanced": (lambda: result("margin").values(PROBLEMS["imbalanced"]), "not balanced"),
    "strong decay": (lambda: result("etf S").values(PROBLEMS["strong decay"]), "needs K\\*s < 1"),
    "narrow": (lambda: result("etf S").values(NARROW), "needs d >= K - 1"),
    "no bias": (lambda: result("etf V").values(PROBLEMS["no bias"]), "models with a bias"),
    "a bias": (lambda: result("etf V without bias").values(PROBLEMS["balanced"]), "models without a bias"),
    "missing": (lambda: result("descent curvature").values(PROBLEMS["balanced"]), "give a number for s1"),
    "unknown symbol": (lambda: result("margin").values(PROBLEMS["balanced"], s2=1.0), "no symbol s2"),
    "no multiplicity": (lambda: result("margin").count(PROBLEMS["balanced"]), "no multiplicity"),
    "unknown topic": (lambda: derive("scales"), "unknown topic 'scales'; choose from: scale, threshold"),
}


@pytest.mark.parametrize(("ask", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_said_is_refused_in_one_line(ask, message):
    with pytest.raises(InputError, match=message) as error:
        ask()
    assert "\n" not in str(error.value)
