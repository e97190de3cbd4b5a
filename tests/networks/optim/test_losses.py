"""Losses: gradients against closed forms, limits in which one is another, and finiteness far out."""

import pytest
import torch
from torch.nn import functional

import networks
from networks.optim.losses import LOSSES
from ufm import InputError
from validate import LossFacts

N, K = 7, 5


@pytest.fixture
def sample():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(N, K, dtype=torch.float64, generator=generator) * 3
    return logits.requires_grad_(), torch.arange(N) % K


def gradient(name, logits, labels, **settings):
    (slope,) = torch.autograd.grad(LOSSES[name](logits, labels, networks.Recipe(loss=name, **settings)), logits)
    return slope


def closed_forms(logits, labels):
    p, e = logits.softmax(1), functional.one_hot(labels, K).double()
    own = (p * e).sum(1, keepdim=True)
    # d/dz of (1 - p)^2 (-log p) at p = p_y, through dp/dz = p (e - softmax).
    focal = own * (e - p) * (2 * (1 - own) * own.log() - (1 - own) ** 2 / own)
    return {
        "cross-entropy": (p - e) / N,
        "mse": (logits - e) / N,
        "label-smoothing": (p - 0.9 * e - 0.1 / K) / N,
        "focal": focal / N,
        "bce": (logits.sigmoid() - e) / N,
    }


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_closed_form(name, sample):
    logits, labels = sample
    torch.testing.assert_close(gradient(name, logits, labels), closed_forms(logits.detach(), labels)[name])


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_finite_differences(name, sample):
    logits, labels = sample
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, labels, networks.Recipe(loss=name)), logits)


def test_mse_is_half_a_mean_square_over_samples(sample):
    logits, labels = sample
    expected = sum(((z - functional.one_hot(y, K)) ** 2).sum() for z, y in zip(logits, labels, strict=True)) / (2 * N)
    torch.testing.assert_close(LOSSES["mse"](logits, labels, networks.Recipe()), expected)


def test_bce_is_a_logistic_loss_a_class(sample):
    """K times torch's, and for two logits z and -z twice the logistic loss of one."""
    logits, labels = sample
    found = LOSSES["bce"](logits, labels, networks.Recipe())
    targets = functional.one_hot(labels, K).double()
    torch.testing.assert_close(found, K * torch.nn.BCEWithLogitsLoss()(logits, targets))
    pair, own = torch.stack([logits[:, 0], -logits[:, 0]], 1), labels % 2
    expected = 2 * functional.cross_entropy(pair / 2, own)
    torch.testing.assert_close(LOSSES["bce"](pair, own, networks.Recipe()), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_theorys_loss_of_the_same_law(name, sample):
    """Value and slopes: the mean of what `ufm.losses` has under the name and parameters that the loss states."""
    logits, labels = sample
    recipe = networks.Recipe(loss=name, smoothing=0.3, focusing=1.5)
    law = LossFacts(LOSSES[name].law, {setting: getattr(recipe, setting) for setting in LOSSES[name].parameters})
    values, slopes, _ = law.of_theory.expand(logits.detach().clone(), labels)
    torch.testing.assert_close(LOSSES[name](logits, labels, recipe), values.mean())
    torch.testing.assert_close(gradient(name, logits, labels, smoothing=0.3, focusing=1.5), slopes / N)


@pytest.mark.parametrize(("name", "settings"), [("label-smoothing", {"smoothing": 0}), ("focal", {"focusing": 0})])
def test_at_zero_it_is_cross_entropy(name, settings, sample):
    logits, labels = sample
    torch.testing.assert_close(
        gradient(name, logits, labels, **settings), gradient("cross-entropy", logits, labels), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("settings", [{}, {"focusing": 0.5}])
def test_finite_when_the_fit_is_perfect_or_hopeless(name, settings):
    logits = torch.tensor([[200.0, 0, 0], [-200.0, 0, 0]], requires_grad=True)
    assert gradient(name, logits, torch.tensor([0, 0]), **settings).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose one of: cross-entropy, mse"),
        ({"smoothing": 1.0}, r"smoothing must lie in \[0, 1\)"),
        ({"focusing": -1.0}, "focusing must be a finite number >= 0, got -1.0"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        networks.Recipe(**changes)
