"""Heads: the frame is exact and stays, and the point collected of each is what its logits are made of."""

import dataclasses
from typing import get_args

import pytest
import torch
from torch.nn import functional

import networks
import validate
from networks.heads import HEADS
from networks.models import Head
from ufm import InputError

IMAGES = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 10


def make(head, **settings):
    torch.manual_seed(0)
    return networks.build_model("mlp", 10, head=head, **{"width": 16, "depth": 1, "feature_dim": 12} | settings)


def train_a_little(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()


@pytest.mark.parametrize(("K", "d"), [(2, 1), (4, 3), (4, 4), (10, 9), (10, 10), (10, 512), (100, 99)])
def test_simplex_frame(K, d):
    W = networks.simplex_frame(K, d)
    assert W.shape == (K, d)
    gram = (K * torch.eye(K) - 1).double() / (K - 1)
    torch.testing.assert_close(W @ W.T, gram, rtol=0, atol=1e-12)
    torch.testing.assert_close(W.sum(0), torch.zeros(d).double(), rtol=0, atol=1e-12)


def test_frames_are_in_random_position():
    frames = torch.stack([networks.simplex_frame(4, 5) for _ in range(4000)])
    assert frames.mean(0).abs().max() < 0.05
    torch.testing.assert_close(frames.var(0), torch.full((4, 5), 1 / 5).double(), rtol=0.1, atol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_etf_head_is_a_frame_and_stays(bias):
    model = make("etf", bias=bias)
    before = model.head.weight.clone()
    gram = (10 * torch.eye(10) - 1) / 9
    torch.testing.assert_close(before @ before.T, gram, rtol=0, atol=1e-6)
    first = model.backbone[1].weight.clone()
    train_a_little(model)
    assert torch.equal(model.head.weight, before)
    assert not torch.equal(model.backbone[1].weight, first)
    assert (model.head.bias is not None) is bias


def test_frames_need_room():
    with pytest.raises(InputError, match="10 classes have no simplex frame in 8 dimensions; give feature_dim >= 9"):
        make("etf", feature_dim=8)
    assert make("etf", feature_dim=9).head.weight.shape == (10, 9)


def test_normalized_head_gives_cosines():
    model = make("normalized", temperature=0.25, feature_dim=40)
    model.eval()
    features, W = model.backbone(IMAGES), model.head.weight
    torch.testing.assert_close(features.norm(dim=1), torch.full((40,), 4.0))
    torch.testing.assert_close(W.norm(dim=1), torch.ones(10))
    cosines = functional.cosine_similarity(features[:, None], W[None], dim=2)
    torch.testing.assert_close(model(IMAGES), cosines / 0.25 + model.head.bias)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperature_is_positive(temperature):
    with pytest.raises(InputError, match="temperature must be > 0 and finite"):
        make("normalized", temperature=temperature)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_what_is_collected_makes_the_logits(head, bias):
    model = make(head, bias=bias)
    train_a_little(model)
    point, labels = validate.collect(model, [(IMAGES[:25], LABELS[:25]), (IMAGES[25:], LABELS[25:])], head=model.head)
    found, _ = validate.collect(model, [(IMAGES, LABELS)])
    model.eval()
    torch.testing.assert_close(point.H @ point.W.T + point.b, model(IMAGES))
    torch.testing.assert_close(point.W, model.head.weight)
    torch.testing.assert_close(found.H, point.H)
    assert torch.equal(labels, LABELS)
    assert bool(point.b.any()) is bias


@pytest.mark.parametrize("head", HEADS)
def test_a_run_with_each_head_is_measured_again_and_goes_on(head, small_recipe, tmp_path):
    recipe = dataclasses.replace(small_recipe, head=head, epochs=2)
    run = networks.train(recipe, tmp_path / "run")
    assert max(item.deviation for item in networks.remeasure(run)) < 1e-5
    once = networks.train(dataclasses.replace(recipe, epochs=3), tmp_path / "once")
    on = networks.train(dataclasses.replace(recipe, epochs=3), tmp_path / "run", resume=True)
    assert on.epochs[-1]["loss"] == once.epochs[-1]["loss"]


def test_every_head_has_its_flag():
    assert tuple(HEADS) == get_args(Head)


def test_heads_are_listed():
    with pytest.raises(InputError, match="unknown head 'cone'; choose one of: linear, etf, normalized"):
        make("cone")
