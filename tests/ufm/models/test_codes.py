"""Groups of simplices: their margins, their quasi-norm by singular values, their loss; the best ETF by scipy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from ufm.models.codes import cost, grouped_logits, pairs, pairs_beat_simplex, simplex_logits, simplex_margin


@pytest.mark.parametrize("groups", [(2, 2), (2, 3), (2, 2, 2), (4, 2, 3), (5,)])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_cost_is_the_quasi_norm_and_margins_are_at_least_that_between_groups(groups, depth):
    Z = grouped_logits(groups, 1.0).numpy()
    sizes = np.linalg.svd(Z, compute_uv=False)
    assert (sizes[sizes > 1e-12] ** (2 / depth)).sum() == pytest.approx(cost(groups, depth), rel=1e-12)
    K = len(Z)
    margins = np.array([[Z[k, k] - Z[k, j] for j in range(K) if j != k] for k in range(K)])
    least = 1.0 if len(groups) > 1 else K / (K - 1)
    assert margins.min() == pytest.approx(least, rel=1e-12)


def test_pairs_beat_the_simplex_from_four_classes_and_four_factors_or_six_and_three_on():
    """The induction of the proof: two more classes cost 2^(2/L) < 2 more, the ETF 2 more."""
    beaten = {(K, L) for K in range(2, 40) for L in range(2, 12) if pairs_beat_simplex(K, L)}
    assert beaten == {(K, L) for K in range(4, 40) for L in range(3, 12) if L >= 4 or K >= 6}


@pytest.mark.parametrize(
    ("K", "n", "depth", "decay"), [(4, 1, 3, 2e-3), (6, 5, 4, 1e-2), (3, 2, 2, 5e-2), (9, 1, 8, 1e-3)]
)
def test_the_margin_is_scipys_and_pairs_of_that_margin_are_better(K, n, depth, decay):
    def f(Z: torch.Tensor) -> float:
        loss = float((torch.logsumexp(Z, 1) - Z.diagonal()).mean())
        sizes = np.linalg.svd(np.sqrt(n) * Z.numpy(), compute_uv=False)
        return loss + depth / 2 * decay * float((sizes[sizes > 1e-12] ** (2 / depth)).sum())

    c = simplex_margin(K, n, depth, decay)
    options = {"xatol": 1e-12}
    found = minimize_scalar(
        lambda m: f(simplex_logits(K, m)), bounds=(0.3 * c, 3 * c), method="bounded", options=options
    )
    assert c == pytest.approx(found.x, rel=1e-6)
    if pairs_beat_simplex(K, depth):
        assert f(grouped_logits(pairs(K), c)) < found.fun


def test_where_decay_is_too_strong_no_simplex_is_critical():
    assert simplex_margin(4, 1, 3, 1.0) is None
    assert simplex_margin(4, 1, 2, 0.2501) is None  # K sqrt(n) decay = 1 for two factors
    assert simplex_margin(4, 1, 2, 0.2499) == pytest.approx(np.log(1 / 0.2499 - 3), rel=1e-9)
