"""Losses: gradients against closed forms, limits in which one is another, and finiteness far out."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional

import networks
from networks.optim.losses import LOSSES
from ufm import InputError

N, K = 7, 5
COUNTS = (40, 8, 8, 2, 1)
FIXED = {"head": "etf", "bias": False}  # which every loss may have


@pytest.fixture
def sample():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(N, K, dtype=torch.float64, generator=generator) * 3
    return logits.requires_grad_(), torch.arange(N) % K


def gradient(name, logits, labels, **settings):
    (slope,) = torch.autograd.grad(
        LOSSES[name](logits, labels, networks.Recipe(**FIXED, loss=name, **settings), COUNTS), logits
    )
    return slope


def closed_forms(logits, labels):
    p, e = logits.softmax(1), functional.one_hot(labels, K).double()
    own = (p * e).sum(1, keepdim=True)
    # d/dz of (1 - p)^2 (-log p) at p = p_y, through dp/dz = p (e - softmax).
    adjusted = (logits + torch.tensor(COUNTS).double().log()).softmax(1)
    focal = own * (e - p) * (2 * (1 - own) * own.log() - (1 - own) ** 2 / own)
    return {
        "cross-entropy": (p - e) / N,
        "mse": (logits - e) / N,
        "label-smoothing": (p - 0.9 * e - 0.1 / K) / N,
        "focal": focal / N,
        "bce": (logits.sigmoid() - e) / N,
        "logit-adjusted": (adjusted - e) / N,
        "balanced-softmax": (adjusted - e) / N,
        "dot-regression": e * (logits - 1) / N,
    }


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_closed_form(name, sample):
    logits, labels = sample
    torch.testing.assert_close(gradient(name, logits, labels), closed_forms(logits.detach(), labels)[name])


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_finite_differences(name, sample):
    logits, labels = sample
    assert torch.autograd.gradcheck(
        lambda z: LOSSES[name](z, labels, networks.Recipe(**FIXED, loss=name), COUNTS), logits
    )


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
    for settings in (
        {},
        {"smoothing": 0.3, "focusing": 1.5, "tau": 0.4, "class_weights": (1, 2, 3, 0.5, 7)},
        {"own_weight": 5.0, "own_target": 3.0},
    ):
        recipe = networks.Recipe(**FIXED, loss=name, **settings)
        law = LOSSES[name].facts(recipe, COUNTS)
        values, slopes, _ = law.of_theory.expand(logits.detach().clone(), labels)
        torch.testing.assert_close(LOSSES[name](logits, labels, recipe, COUNTS), values.mean())
        torch.testing.assert_close(gradient(name, logits, labels, **settings), slopes / N)


NOUGHT = [("label-smoothing", {"smoothing": 0}), ("focal", {"focusing": 0}), ("logit-adjusted", {"tau": 0})]


@pytest.mark.parametrize(("name", "settings"), NOUGHT)
def test_at_zero_it_is_cross_entropy(name, settings, sample):
    logits, labels = sample
    torch.testing.assert_close(
        gradient(name, logits, labels, **settings), gradient("cross-entropy", logits, labels), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("settings", [{}, {"focusing": 0.5}])
def test_finite_when_the_fit_is_perfect_or_hopeless(name, settings):
    logits = torch.tensor([[200.0, 0, 0, 0, 0], [-200.0, 0, 0, 0, 0]], requires_grad=True)
    assert gradient(name, logits, torch.tensor([0, 0]), **settings).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose one of: cross-entropy, mse"),
        ({"smoothing": 1.0}, r"smoothing must lie in \[0, 1\)"),
        ({"focusing": -1.0}, "focusing must be a finite number >= 0, got -1.0"),
        ({"tau": -1.0}, "tau must be a finite number >= 0, got -1.0"),
        ({"mixup": math.inf}, "mixup must be a finite number >= 0, got inf"),
        (
            {"class_weights": "heavy"},
            "class_weights must be balanced, inverse or a number > 0 for each class, got 'heavy'",
        ),
        ({"own_weight": 0.0}, "own_weight must be a finite number > 0, got 0.0"),
        ({"own_target": math.inf}, "own_target must be a finite number > 0, got inf"),
        (
            {"loss": "dot-regression"},
            "sees the own logit alone: it needs a W that is fixed, and no bias; pass head='etf'",
        ),
        ({"loss": "dot-regression", "head": "etf"}, "it needs a W that is fixed, and no bias"),
        ({"class_weights": ()}, "class_weights must be balanced, inverse or a number > 0"),
        ({"class_weights": (1.0, 0.0)}, r"a number > 0 for each class, got \(1.0, 0.0\)"),
        ({"class_weights": 2.0}, "class_weights must be text or numbers or None, got 2.0"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        networks.Recipe(**changes)


def test_class_weights_are_sklearns_and_torchs(sample):
    """balanced: sklearn's, and torch's weighted mean on a batch that is the whole set; inverse is in proportion."""
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 4 + [1, 1, 2, 3, 4])
    logits = torch.randn(9, K, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    counts, loss = tuple(torch.bincount(labels).tolist()), LOSSES["cross-entropy"]
    expected = torch.tensor(compute_class_weight("balanced", classes=torch.arange(K).numpy(), y=labels.numpy()))
    balanced = loss(logits, labels, networks.Recipe(class_weights="balanced"), counts)
    torch.testing.assert_close(balanced, functional.cross_entropy(logits, labels, weight=expected))
    inverse = loss.weights(networks.Recipe(class_weights="inverse"), counts)
    torch.testing.assert_close(torch.tensor(inverse).double() / expected, (expected.mean() ** -1).expand(K).double())
    planted = loss(logits, labels, networks.Recipe(class_weights=tuple(1 / expected.numpy())), counts)
    assert abs(float(planted / balanced) - 1) > 0.1


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if "class_weights" in loss.parameters])
def test_class_weights_are_samples_repeated(name):
    """Weights 1, 2 and 3 are a set in which each sample of those classes stands once, twice, three times."""
    weights, labels = torch.tensor([1, 2, 3]), torch.tensor([0, 1, 2, 2, 1])
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    often = weights[labels]
    plain = networks.Recipe(loss=name, tau=0.0)
    heavy = dataclasses.replace(plain, class_weights=(1.0, 2.0, 3.0))
    repeated = LOSSES[name](logits.repeat_interleave(often, 0), labels.repeat_interleave(often), plain, (5, 4, 3))
    found = LOSSES[name](logits, labels, heavy, (5, 4, 3))
    torch.testing.assert_close(found * 5, repeated * int(often.sum()), rtol=1e-13, atol=0)
    turned = dataclasses.replace(plain, class_weights=(3.0, 2.0, 1.0))
    assert abs(float(LOSSES[name](logits, labels, turned, (5, 4, 3)) / found) - 1) > 0.01


def test_balanced_softmax_is_that_of_its_paper(sample):
    """Ren et al. 2020, equation 4: n_y e^z_y / sum_k n_k e^z_k; logit adjustment at tau = 1 is the same function."""
    logits, labels = sample[0].detach(), sample[1]
    n = torch.tensor(COUNTS).double()
    share = (n * logits.exp()) / (n * logits.exp()).sum(1, keepdim=True)
    expected = -share[range(N), labels].log().mean()
    for name in ("balanced-softmax", "logit-adjusted"):
        torch.testing.assert_close(LOSSES[name](logits, labels, networks.Recipe(), COUNTS), expected)
    turned = LOSSES["balanced-softmax"](logits, labels, networks.Recipe(), COUNTS[::-1])
    assert abs(float(turned / expected) - 1) > 0.1


@pytest.mark.parametrize(
    ("changes", "counts", "message"),
    [
        ({"class_weights": (1, 2)}, COUNTS, "class_weights must be one for each of 5 classes, got 2"),
        ({"class_weights": "balanced"}, (3, 0, 1), "class 1 has no training sample"),
        ({"loss": "balanced-softmax"}, (0, 1), "class 0 has no training sample"),
        ({"loss": "logit-adjusted"}, (2, 0), "class 1 has no training sample"),
    ],
)
def test_refuses_class_counts(changes, counts, message):
    recipe = networks.Recipe(**changes)
    with pytest.raises(InputError, match=message):
        LOSSES[recipe.loss].prepared(recipe, counts)


def test_rescaled_squares_are_those_of_hui_and_belkin(sample):
    """Their (1/K) [k (z_y - M)^2 + sum of the others' z_j^2], sample by sample, is 2/K times ours."""
    logits, labels = sample[0].detach().numpy(), sample[1].tolist()
    k, M = 15.0, 30.0
    theirs = [
        (k * (z[y] - M) ** 2 + sum(z[j] ** 2 for j in range(K) if j != y)) / K
        for z, y in zip(logits, labels, strict=True)
    ]
    ours = LOSSES["mse"](*sample, networks.Recipe(loss="mse", own_weight=k, own_target=M))
    assert float(ours.detach()) * 2 / K == pytest.approx(sum(theirs) / N, rel=1e-12)


def test_dot_regression_is_that_of_its_paper(sample):
    """Yang et al. 2022, equation 12: (<w, h> - sqrt(E_W E_H))^2 / (2 sqrt(E_W E_H))."""
    W, H = torch.randn(K, 4).double(), torch.randn(N, 4).double()
    scale = (2.0 * 4.5) ** 0.5
    expected = sum((W[y] @ h - scale) ** 2 / (2 * scale) for y, h in zip(sample[1].tolist(), H, strict=True)) / N
    recipe = networks.Recipe(**FIXED, loss="dot-regression", own_target=scale)
    torch.testing.assert_close(LOSSES["dot-regression"](H @ W.T, sample[1], recipe), expected)
