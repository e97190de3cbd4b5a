"""Mixup: a step sees mixtures of two images of its batch, its loss is that of mixed labels, and theory says nothing."""

import dataclasses

import pytest
import torch
from torch.nn import functional

import networks
from networks.batches import Batch, beta_shares, epoch_batches
from networks.distributed import ALONE, Ranks
from networks.objective import FeaturesAndLogits, Objective
from networks.optim.losses import LOSSES
from validate import not_covered

MIXED = networks.Recipe(per_class=4, batch_size=16, mixup=0.4, device="cpu")


def test_a_batch_is_mixtures_of_its_images_and_of_their_labels():
    """Solved for: each mixture is share times one image and the rest another, with the labels that these have."""
    images = networks.load(MIXED)
    inputs = images.normalized(images.train_images).flatten(1)
    shares = beta_shares(MIXED, 1, 3)
    assert len(set(shares)) == 3
    for batch, share in zip(epoch_batches(MIXED, images, ALONE, 1), shares, strict=True):
        assert batch.share == share
        pairs = share * inputs[:, None] + (1 - share) * inputs
        direct = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(batch.images.flatten(1), pairs.flatten(0, 1), compute_mode=direct)
        own, partner = distances.argmin(1) // len(inputs), distances.argmin(1) % len(inputs)
        assert float(distances.min(1).values.max()) < 1e-3
        assert torch.equal(images.train_labels[own], batch.labels)
        assert torch.equal(images.train_labels[partner], batch.partners)
        assert not torch.equal(batch.labels, batch.partners)


def test_asked_again_the_same_and_of_two_processes_the_halves():
    images = networks.load(MIXED)
    once = list(epoch_batches(MIXED, images, ALONE, 2))
    halves = [list(epoch_batches(MIXED, images, Ranks(rank, 2), 2)) for rank in (0, 1)]
    for batch, again, *parts in zip(once, epoch_batches(MIXED, images, ALONE, 2), *halves, strict=True):
        for name in ("images", "labels", "partners"):
            whole = getattr(batch, name)
            assert torch.equal(whole, getattr(again, name))
            assert torch.equal(whole, torch.cat([getattr(part, name) for part in parts]))


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_mixed_one(name):
    """Of cross-entropy it is torch's with mixed labels; of each loss its mixture."""
    torch.manual_seed(0)
    recipe, counts = dataclasses.replace(MIXED, loss=name, head="etf", bias=False), (5, 3, 2)
    model = networks.build_model("mlp", 3, width=8, depth=0).eval()
    objective = Objective(recipe, model, FeaturesAndLogits(model), counts)
    inputs, labels, partners = torch.randn(6, 1, 8, 8), torch.arange(6) % 3, torch.arange(6) // 2
    _, found = objective(Batch(inputs, labels, 1.0, partners, 0.3))
    logits = model(inputs).detach()
    parts = [LOSSES[name](logits, given, recipe, counts) for given in (labels, partners)]
    torch.testing.assert_close(found, 0.3 * parts[0] + 0.7 * parts[1])
    if name == "cross-entropy":
        targets = 0.3 * functional.one_hot(labels, 3) + 0.7 * functional.one_hot(partners, 3)
        torch.testing.assert_close(found, functional.cross_entropy(logits, targets))


def test_a_run_is_recorded_and_theory_says_why_it_is_silent(tmp_path):
    recipe = dataclasses.replace(MIXED, width=16, depth=0, epochs=2)
    run = networks.train(recipe, tmp_path / "run")
    assert "mixup minimises over features of mixed images" in not_covered(run)
    plain = networks.train(dataclasses.replace(recipe, mixup=0.0), tmp_path / "plain")
    assert not_covered(plain) is None
    assert run.epochs[-1]["loss"] != plain.epochs[-1]["loss"]
    cut = networks.train(dataclasses.replace(recipe, epochs=1), tmp_path / "cut")
    assert networks.train(recipe, cut.path, resume=True).epochs == run.epochs
