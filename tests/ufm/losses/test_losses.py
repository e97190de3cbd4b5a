"""Cross-entropy against autograd, and its conjugate against a numerical supremum."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from ufm.losses import CrossEntropy

LOSS = CrossEntropy()


def logits_and_labels(scale: float):
    generator = torch.Generator().manual_seed(3)
    logits = scale * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    return logits, torch.tensor([0, 1, 2, 3, 4, 0, 1])


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_expansion_is_autograds(scale):
    logits, labels = logits_and_labels(scale)
    logits.requires_grad_()
    values, slopes, curvature = LOSS.expand(logits.detach().clone(), labels)
    total = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    torch.testing.assert_close(values.sum(), total, rtol=1e-13, atol=1e-13)
    gradient = torch.autograd.grad(total, logits, create_graph=True)[0]
    torch.testing.assert_close(slopes, gradient, rtol=0, atol=1e-14)
    direction = torch.linspace(-1, 1, 35, dtype=torch.float64).view(7, 5)
    image = torch.autograd.grad((gradient * direction).sum(), logits)[0]
    torch.testing.assert_close(curvature(direction), image, rtol=0, atol=1e-14)


def test_slope_keeps_its_precision_when_the_fit_is_nearly_perfect():
    logits = torch.tensor([[40.0, 0.0, 0.0]], dtype=torch.float64)
    slopes = LOSS.expand(logits, torch.tensor([0]))[1]
    assert float(slopes[0, 0]) == pytest.approx(-2 * np.exp(-40.0), rel=1e-12)


def test_negative_conjugate_is_the_supremum():
    labels = torch.tensor([1])
    q = np.array([0.2, 0.5, 0.3])
    slope = q - np.array([0.0, 1.0, 0.0])
    found = minimize(lambda z: np.logaddexp.reduce(z) - z[1] - slope @ z, np.zeros(3), method="BFGS", tol=1e-10)
    assert float(LOSS.negative_conjugate(torch.from_numpy(slope)[None], labels)) == pytest.approx(found.fun, abs=1e-9)


@pytest.mark.parametrize("slope", [[0.1, -0.2, 0.2], [-0.1, 0.1, 0.0], [0.5, -1.2, 0.7]])
def test_negative_conjugate_is_minus_infinity_outside_the_simplex(slope):
    value = LOSS.negative_conjugate(torch.tensor([slope], dtype=torch.float64), torch.tensor([1]))
    assert value.item() == -np.inf


def exact_loss(z, y):
    """(log(1 + sum of e^(z_j - z_y)), softmax) with 200 digits."""
    with mpmath.workdps(200):
        z = [mpmath.mpf(float(v)) for v in z]
        total = mpmath.fsum(mpmath.exp(v) for v in z)
        others = mpmath.fsum(mpmath.exp(v - z[y]) for j, v in enumerate(z) if j != y)
        return mpmath.log1p(others), [mpmath.exp(v) / total for v in z]


@pytest.mark.parametrize("spread", [1.0, 10.0, 60.0])
def test_small_losses_and_curvatures_keep_their_relative_precision(spread):
    """Loss, slope and S M against 200 digits, relative to the largest entry: down to probabilities of e^-100."""
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(40, 4, generator=generator, dtype=torch.float64)
    labels, change = torch.arange(40) % 4, torch.randn(40, 4, generator=generator, dtype=torch.float64)
    values, slopes, curvature = CrossEntropy().expand(logits.clone(), labels)
    images, plain = curvature(change), CrossEntropy().values(logits, labels)
    for i in range(40):
        y = int(labels[i])
        loss, p = exact_loss(logits[i], y)
        with mpmath.workdps(200):
            mean = mpmath.fsum(q * float(m) for q, m in zip(p, change[i], strict=True))
            image = [q * (float(m) - mean) for q, m in zip(p, change[i], strict=True)]
            slope = [-mpmath.fsum(p[:y] + p[y + 1 :]) if j == y else q for j, q in enumerate(p)]
        for found, exact in (([values[i]], [loss]), ([plain[i]], [loss]), (slopes[i], slope), (images[i], image)):
            unit = max(abs(v) for v in exact)
            assert (
                max(abs(mpmath.mpf(float(a)) - b) for a, b in zip(found, exact, strict=True))
                <= 1e-14 * (1 + spread) * unit
            )
