"""What docs/theory, section 15, says of the losses that training has, at minimisers found by descent."""

import pytest
import torch

import ufm
from ufm import Problem
from ufm.closed_forms.simplex import unit_frame
from ufm.losses import CrossEntropy, DotRegression, LogitAdjusted, MeanSquare, Weighted
from ufm.models import FixedClassifier


@pytest.mark.parametrize(("factor", "merged"), [(0.5, False), (2.0, True)])
def test_balanced_weights_let_the_large_classes_merge_first(factor, merged):
    """n = 12 is factor times D0^2/(K^2 lW lH), and n = 1 below it either way."""
    decay = (factor / (16 * 12)) ** 0.5
    loss = Weighted(CrossEntropy(), [26 / 48, 26 / 48, 6.5, 6.5])
    problem = Problem((12, 12, 1, 1), 6, decay, decay, 1e-2, loss=loss)
    W = ufm.minimize(problem, tol=1e-12).point.W
    large, small = float((W[0] - W[1]).norm()), float((W[2] - W[3]).norm())
    assert (large < 1e-7) is merged
    assert large > 0.1 or merged
    assert small > 1.0


@pytest.mark.parametrize(("lambda_b", "same"), [(0.0, True), (1e-2, False)])
def test_a_bias_without_decay_takes_up_the_offsets(lambda_b, same):
    given = {"class_counts": (6, 3, 1), "dim": 4, "lambda_w": 1e-2, "lambda_h": 1e-2, "lambda_b": lambda_b}
    W, V = (
        ufm.minimize(Problem(**given, loss=loss), tol=1e-12).point.W
        for loss in (CrossEntropy(), LogitAdjusted([1.0, 0.3, -2.0]))
    )
    off = float((W @ W.T - V @ V.T).norm())
    assert off < 1e-9 if same else off > 1e-2


def test_the_target_of_rescaled_squares_is_a_scale_of_the_decays():
    M = 3.0
    large = Problem((3, 2, 1), 4, 1e-2, 2e-2, 1e-2, loss=MeanSquare(weight=2.0, target=M))
    one = Problem((3, 2, 1), 4, 1e-2 / M, 2e-2 / M, 1e-2, loss=MeanSquare(weight=2.0))
    values = [ufm.minimize(problem, tol=1e-12).value for problem in (large, one)]
    assert values[0] == pytest.approx(M**2 * values[1], rel=1e-12)


def test_dot_regression_has_its_closed_form_whatever_the_counts():
    W, T, lambda_h, counts = 2 * unit_frame(4, 5), 1.7, 3e-2, (4, 1, 1, 1)
    point = FixedClassifier(W, counts, lambda_h, 0.0, False, DotRegression(T)).minimize(0).point
    rows = W if len(point.H) == 4 else W[torch.arange(4).repeat_interleave(torch.tensor(counts))]
    torch.testing.assert_close(point.H, T / (4 + sum(counts) * lambda_h * T) * rows)
