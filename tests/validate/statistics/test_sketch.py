"""Count sketches have no bias: the mean over many of them is the product of the features themselves."""

import pytest
import torch

from validate.statistics.sketch import COPIES, Sketch

SEEDS, WIDE, N, DIMS = 300, 64, 9, (90, 70)


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(0)
    scales = 1 / torch.arange(1, 91, dtype=torch.float64).sqrt()
    X = torch.randn(N, 90, generator=generator, dtype=torch.float64) * scales
    return X, X[:, :70] + 0.3 * torch.randn(N, 70, generator=generator, dtype=torch.float64)


def drawn(X, seed):
    sketch = Sketch(X.shape[1], WIDE, seed)
    return sketch, sketch(X)


def near(found: torch.Tensor, exact: torch.Tensor) -> bool:
    return bool(abs(found.mean() - exact) < 4 * found.std() / len(found) ** 0.5)


def test_products_with_themselves(features):
    X, _ = features
    exact, diagonal = (X.T @ X).square().sum(), X.square().sum(0)
    sketches = [drawn(X, seed) for seed in range(SEEDS)]
    products = [U.mT @ U for _, U in sketches]
    found = torch.cat([sketch.energy(A, diagonal) for (sketch, _), A in zip(sketches, products, strict=True)])
    assert near(found, exact)
    assert not near(torch.cat([A.square().sum((1, 2)) for A in products]), exact)  # planted: the bias left in


def test_products_of_two(features):
    X, Y = features
    exact = (X.T @ Y).square().sum()
    apart = [(drawn(X, seed)[1].mT @ drawn(Y, SEEDS + seed)[1]).square().sum((1, 2)) for seed in range(SEEDS)]
    assert near(torch.cat(apart), exact)
    same = [(drawn(X, seed)[1].mT @ drawn(X, seed)[1]).square().sum((1, 2)) for seed in range(SEEDS)]
    assert not near(torch.cat(same), (X.T @ X).square().sum())  # planted: one sketch for both


def test_narrow_features_are_left_alone(features):
    X, _ = features
    sketch, U = Sketch(90, 90, 0), Sketch(90, 90, 0)(X)
    assert torch.equal(U[0], X)
    assert float(sketch.energy(U.mT @ U, X.square().sum(0))) == pytest.approx(float((X.T @ X).square().sum()))
    assert Sketch(91, 90, 0).copies == COPIES
