"""Regression: general decays and counts, with a free bias and without, against descents and the duality gap."""

from dataclasses import replace

import pytest
import torch

import ufm
from tests.ufm.closed_forms.forms import CLOSE, deviation, spectral_deviation
from tests.ufm.losses.naive import problem_of
from ufm import NoClosedForm, Problem
from ufm.closed_forms import regression
from ufm.losses import MeanSquare

DECAYS = [(5e-3, 2e-3), (0.4, 1e-3), (1e-3, 0.4), (0.2, 0.15)]


@pytest.mark.parametrize(("lW", "lH"), DECAYS)
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_global_minimiser(lW, lH, bias):
    problem = problem_of("regression", lambda_w=lW, lambda_h=lH, lambda_b=0.0, bias=bias)
    found = regression.minimizer(problem)
    assert deviation(problem, "regression", ufm.global_minimizer(problem), found.value) <= CLOSE


@pytest.mark.parametrize(("lW", "lH"), DECAYS)
def test_the_gram_matrix_is_that_of_the_paper(lW, lH):
    """W W^T = sqrt(N lH/lW) [Sigma^(1/2) - sqrt(N lW lH) I]_+, Sigma the covariance of the targets, for any decays."""
    problem = problem_of("regression", lambda_w=lW, lambda_h=lH, lambda_b=0.0)
    n, Y = torch.tensor(problem.class_counts, dtype=torch.float64), torch.tensor(problem.loss.targets.array)
    N = problem.num_samples
    centred = Y - n @ Y / N
    values, vectors = torch.linalg.eigh(centred.T @ (n[:, None] * centred) / N)
    kept = (values.sqrt() - (N * lW * lH) ** 0.5).clamp_min(0)
    W = ufm.global_minimizer(problem).W
    torch.testing.assert_close(W @ W.T, (N * lH / lW) ** 0.5 * (vectors * kept) @ vectors.T)


@pytest.mark.parametrize(("ratio", "rank"), [(0.97, 1), (1.03, 0)])
@pytest.mark.parametrize("bias", [True, False])
def test_threshold(ratio, rank, bias):
    """The largest singular value of the weighted targets is N sqrt(lW lH)."""
    weak = problem_of("regression", lambda_b=0.0, bias=bias)
    ridge = ratio * float(regression.minimizer(weak).sizes[0]) / weak.num_samples
    problem = replace(weak, lambda_w=3 * ridge, lambda_h=ridge / 3)
    point = ufm.global_minimizer(problem)
    assert int(torch.linalg.matrix_rank(point.W)) == rank
    assert deviation(problem, "regression", point, regression.minimizer(problem).value) <= CLOSE


@pytest.mark.parametrize("dim", [1, 2])
def test_narrow_features_keep_the_largest(dim):
    problem = problem_of("regression", dim, lambda_b=0.0)
    found = regression.minimizer(problem)
    values = [ufm.minimize(problem, seed=seed, tol=1e-12).value for seed in range(10)]
    assert min(values) == pytest.approx(found.value, rel=1e-9)
    assert float(problem.objective(ufm.global_minimizer(problem))) == pytest.approx(found.value, rel=1e-12)


def test_a_decayed_bias_is_zero_where_targets_have_mean_zero():
    targets = [[1.0, -2.0], [0.5, 0.0], [-2.0, 2.0]]
    problem = Problem((1, 2, 1), 3, lambda_w=0.02, lambda_h=0.05, lambda_b=0.3, loss=MeanSquare(targets))
    point = ufm.global_minimizer(problem)
    assert not point.b.any()
    assert ufm.certify(problem, point).verdict == "global minimizer"
    assert ufm.minimize(problem, tol=1e-12).value == pytest.approx(regression.minimizer(problem).value, rel=1e-9)


def test_says_why_there_is_none():
    with pytest.raises(NoClosedForm, match="> 0 and targets whose mean is not 0"):
        ufm.global_minimizer(problem_of("regression"))


@pytest.mark.parametrize("bias", [True, False])
def test_spectrum_equals_dense_eigenvalues(bias):
    problem = problem_of("regression", lambda_b=0.0, bias=bias)
    assert spectral_deviation(problem, "regression", ufm.spectrum(problem).expanded()) <= 1e-11


PLANTED = {
    "the paper's threshold at M lH = lW for all decays": lambda p, f: replace(
        f, kept=f.sizes[: len(f.kept)] - p.num_samples**0.5 * p.lambda_w
    ),
    "singular vectors exchanged": lambda p, f: replace(f, V=f.V.flip(1)),
    "no mean in the bias": lambda p, f: replace(f, b=f.b - f.b.mean()),
    "value": lambda p, f: replace(f, value=f.value * (1 + 1e-7)),
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_caught(error):
    problem = problem_of("regression", lambda_b=0.0)
    found = PLANTED[error](problem, regression.minimizer(problem))
    assert deviation(problem, "regression", regression.point_of(problem, found), found.value) > 10 * CLOSE
