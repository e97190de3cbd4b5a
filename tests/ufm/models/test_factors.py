"""The record of factors: what fits, the product, zeros in a wider model, the factors of least decay, plain data."""

import json

import pytest
import torch

from tests.ufm.models.deep import random_factors
from ufm import InputError
from ufm.models import DeepLinear, Factors
from ufm.models.factors import balanced_factors

MODEL = DeepLinear((2, 1, 3), 4, 4, 3e-2)


def test_the_point_has_the_logits_of_the_factors():
    point = random_factors(MODEL)
    W1, W2, W3 = point.layers
    torch.testing.assert_close(point.H @ point.point.W.T, point.H @ W1.T @ W2.T @ W3.T, rtol=0, atol=1e-13)
    wide = point.padded(7)
    torch.testing.assert_close(wide.H @ wide.classifier.T, point.H @ point.classifier.T, rtol=0, atol=1e-13)
    assert float(DeepLinear((2, 1, 3), 7, 4, 3e-2).objective(wide)) == pytest.approx(float(MODEL.objective(point)))


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_balanced_factors_have_these_logits_and_the_least_decay(depth):
    """(L/2) sum x^(2/L): and no other factors of the same product are found to have less."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    roots = torch.tensor([[1.0], [2.0], [1.5]], dtype=torch.float64)
    point = balanced_factors(Z, roots, 5, depth)
    torch.testing.assert_close(point.H @ point.classifier.T, Z, rtol=0, atol=1e-12)

    def decay(layers, H):
        return float(sum(W.square().sum() for W in layers) + (roots * H).square().sum()) / 2

    least = depth / 2 * float((torch.linalg.svdvals(roots * Z) ** (2 / depth)).sum())
    assert decay(point.layers, point.H) == pytest.approx(least, rel=1e-12)
    for _ in range(20):  # the same product, by matrices and their inverses between the factors
        layers, H = list(point.layers), point.H
        for i in range(len(layers)):
            A = torch.eye(5, dtype=torch.float64) + 0.3 * torch.randn(5, 5, generator=generator, dtype=torch.float64)
            inverse = torch.linalg.inv(A)
            H, layers[0] = (H @ A.T, layers[0] @ inverse) if i == 0 else (H, layers[0])
            if i:
                layers[i - 1], layers[i] = A @ layers[i - 1], layers[i] @ inverse
        torch.testing.assert_close(Factors(tuple(layers), H).classifier @ H.T, Z.T, rtol=0, atol=1e-9)
        assert decay(layers, H) >= least - 1e-12


def test_factors_go_to_plain_data_and_back():
    point = random_factors(MODEL)
    back = Factors.from_plain(json.loads(json.dumps(point.plain())))
    assert all(torch.equal(a, b) for a, b in zip((*back.layers, back.H), (*point.layers, point.H), strict=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Factors((), torch.eye(3)),
        lambda: Factors((torch.zeros(2, 4),), torch.eye(3)),
        lambda: Factors((torch.zeros(2, 3), torch.zeros(2, 3)), torch.eye(3)),
        lambda: Factors((torch.zeros(2, 3, dtype=torch.float64),), torch.eye(3)),
        lambda: Factors((torch.full((2, 3), torch.nan),), torch.eye(3)),
        lambda: random_factors(MODEL).padded(3),
        lambda: MODEL.objective(random_factors(DeepLinear((2, 1, 3), 4, 3, 3e-2))),
        lambda: MODEL.objective(random_factors(DeepLinear((2, 1, 1), 4, 4, 3e-2))),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(InputError):
        make()
