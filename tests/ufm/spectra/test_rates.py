"""The rate of gradient descent: the spectrum's prediction against a quadratic solved by hand, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch

import ufm
from tests.cases import PROBLEMS, random_point
from ufm import InputError
from ufm.spectra.rates import gradient_descent, measured_rate, predicted_rate

LEVELS = ufm.spectrum(PROBLEMS["balanced"])


def test_prediction_is_the_worst_factor():
    low, high = float(LEVELS.values[LEVELS.values > LEVELS.tolerance][0]), LEVELS.max
    assert predicted_rate(LEVELS) == pytest.approx(1 - 1 / LEVELS.condition)
    best = 2 / (low + high)
    assert predicted_rate(LEVELS, best) == pytest.approx((LEVELS.condition - 1) / (LEVELS.condition + 1))
    assert predicted_rate(LEVELS, 1.9 / high) == pytest.approx(max(0.9, abs(1 - 1.9 * low / high)))


@pytest.mark.parametrize("step", [0.4, 1.0, 1.6])
def test_descent_follows_the_prediction_at_other_steps(step):
    problem = PROBLEMS["balanced"]
    minimizer, noise = problem.expand(ufm.global_minimizer(problem)), random_point(problem)
    start = replace(minimizer, W=minimizer.W + 1e-4 * noise.W, H=minimizer.H + 1e-4 * noise.H)
    norms = gradient_descent(problem, start, step / LEVELS.max, 250)
    predicted = predicted_rate(LEVELS, step / LEVELS.max)
    assert math.log(measured_rate(norms)) == pytest.approx(math.log(predicted), rel=2e-2)


def test_measured_rate_of_a_geometric_sequence():
    assert measured_rate(5 * 0.9 ** torch.arange(20, dtype=torch.float64)) == pytest.approx(0.9, rel=1e-12)


@pytest.mark.parametrize("step", [0.0, -1.0, 2.0 / LEVELS.max])
def test_refuses_steps_that_do_not_converge(step):
    with pytest.raises(InputError, match="step must lie in"):
        predicted_rate(LEVELS, step)


def test_refuses_the_ends_of_a_spectrum():
    problem = PROBLEMS["balanced"]
    with pytest.raises(InputError, match="complete spectrum"):
        predicted_rate(ufm.spectrum(problem, random_point(problem)))
