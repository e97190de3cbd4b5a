"""Every start's descent is a line of what its history says, above the best bound that an end proves."""

import numpy as np
import pytest

import ufm
from figures.theory.convergence import ROUNDING, convergence_figure
from tests.figures.looks import require_readable
from ufm import InputError

EASY = ufm.Problem.balanced(3, 2, 2, lambda_w=5e-3, lambda_h=5e-3, lambda_b=1e-2)
TRAPS = ufm.Problem.balanced(6, 2, 2, lambda_w=2e-4, lambda_h=2e-4, lambda_b=1e-3)


def descents(problem, starts):
    solutions = [ufm.minimize(problem, seed=seed) for seed in range(starts)]
    return solutions, [ufm.certify(problem, solution.point) for solution in solutions]


@pytest.fixture(scope="module")
def easy():
    return descents(EASY, 4)


def test_lines_are_the_histories_above_the_bound(easy):
    solutions, certificates = easy
    (axes,) = convergence_figure(EASY, solutions, certificates, range(4)).figure.axes
    bound = max(certificate.lower_bound for certificate in certificates)
    floor = ROUNDING * max(solution.history[0].value for solution in solutions)
    assert axes.get_yscale() == "log"
    *curves, rounding = axes.lines
    assert set(rounding.get_ydata()) == {floor}
    for line, solution in zip(curves, solutions, strict=True):
        gaps = np.array([step.value for step in solution.history]) - bound
        np.testing.assert_array_equal(line.get_ydata(), np.maximum(gaps, floor))
        assert gaps.min() < 1e-12  # they reach the bound


def test_the_bound_is_below_the_minimum_and_the_table_has_every_step(easy):
    drawing = convergence_figure(EASY, *easy, range(4))
    least = float(EASY.objective(ufm.global_minimizer(EASY)))
    rows = [dict(zip(drawing.header, row, strict=True)) for row in drawing.rows]
    assert len(rows) == sum(len(solution.history) for solution in easy[0])
    for row in rows:
        assert row["f"] - row["f - D"] <= least + 1e-15
    assert {row["ends at"] for row in rows} == {"global minimizer"}


def test_traps_end_apart_and_short_of_the_bound():
    solutions, certificates = descents(TRAPS, 4)
    drawing = convergence_figure(TRAPS, solutions, certificates, range(4))
    (axes,) = drawing.figure.axes
    assert len(axes.lines) == 4  # no line for rounding: none comes near
    assert min(min(line.get_ydata()) for line in axes.lines) > 1e-3
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["local minimizer (4)"]


def test_it_is_readable(easy):
    require_readable(convergence_figure(EASY, *easy, range(4)))


def test_refuses_no_descent():
    with pytest.raises(InputError, match="no descent to draw"):
        convergence_figure(EASY, [], [], [])
