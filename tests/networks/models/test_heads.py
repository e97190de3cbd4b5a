"""Heads: the frame is exact and stays, and the point collected of each is what its logits are made of."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
import scipy.optimize
import torch
from torch.nn import functional

import networks
import validate
from networks.models.heads import HEADS
from networks.models.recipe import Head
from ufm import InputError, Point

IMAGES = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 10

DIM = dict.fromkeys(HEADS, 12) | {"code": 5, "cone": 12}


def make(head, **settings):
    torch.manual_seed(0)
    return networks.build_model("mlp", 10, head=head, **{"width": 16, "depth": 1, "feature_dim": DIM[head]} | settings)


def train_a_little(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()


SIZES = [(2, 1), (4, 3), (4, 4), (10, 9), (10, 10), (10, 512), (100, 99)]


POSITIONS = [(*size, frame) for size in SIZES for frame in (None, "rotated", "standard")[: 2 + (size[1] >= size[0])]]


@pytest.mark.parametrize(("K", "d", "position"), POSITIONS)
def test_simplex_frame(K, d, position):
    W = networks.simplex_frame(K, d, position)
    assert W.shape == (K, d)
    gram = (K * torch.eye(K) - 1).double() / (K - 1)
    torch.testing.assert_close(W @ W.T, gram, rtol=0, atol=1e-12)
    torch.testing.assert_close(W.sum(0), torch.zeros(d).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("K", "d"), [(4, 4), (10, 10), (10, 512)])
def test_the_frame_is_the_papers(K, d):
    """Zhu et al. 2021: the rows of sqrt(K/(K-1)) (I_K - 11^T/K), set into R^d by the first K columns of I_d."""
    paper = (K / (K - 1)) ** 0.5 * (torch.eye(K).double() - torch.ones(K, K).double() / K) @ torch.eye(K, d).double()
    torch.testing.assert_close(networks.simplex_frame(K, d), paper, rtol=0, atol=1e-15)
    model = make("etf", feature_dim=d) if K == 10 else None
    assert model is None or torch.equal(model.head.weight, paper.float())


def test_rotated_frames_are_in_random_position():
    frames = torch.stack([networks.simplex_frame(4, 5, "rotated") for _ in range(4000)])
    assert frames.mean(0).abs().max() < 0.05
    torch.testing.assert_close(frames.var(0), torch.full((4, 5), 1 / 5).double(), rtol=0.1, atol=0)


def test_fewer_dimensions_than_classes_get_a_rotated_frame():
    """d = K - 1 has no standard position: the frame is drawn, another seed draws another, and "standard" is refused."""
    torch.manual_seed(0)
    first, second = networks.simplex_frame(4, 3), networks.simplex_frame(4, 3)
    torch.manual_seed(0)
    assert torch.equal(networks.simplex_frame(4, 3, "rotated"), first)
    assert (first - second).abs().max() > 0.01
    with pytest.raises(
        InputError, match="standard frame of 10 classes needs feature_dim >= 10, got 9; leave the frame"
    ):
        make("etf", feature_dim=9, frame="standard")
    with pytest.raises(InputError, match="unknown frame 'upright'; choose one of: standard, rotated"):
        make("etf", frame="upright")
    with pytest.raises(InputError, match="head 'linear' has no frame to place"):
        make("linear", frame="standard")


def best_nonnegative(W, decay):
    """(f, H): the least f = mean CE(W h_k, k) + decay/2 |H|^2 over H >= 0, one row a class: convex, by L-BFGS-B."""
    K, d = W.shape

    def value(flat):
        H = torch.tensor(flat).view(K, d).requires_grad_()
        f = functional.cross_entropy(H @ W.T, torch.arange(K)) + decay / 2 * H.square().sum()
        return f.item(), torch.autograd.grad(f, H)[0].reshape(-1).numpy()

    found = scipy.optimize.minimize(
        value, np.full(K * d, 0.1), jac=True, method="L-BFGS-B", bounds=[(0, None)] * (K * d), options={"maxiter": 5000}
    )
    return found.fun, torch.tensor(found.x).view(K, d)


def test_features_behind_a_relu_meet_the_standard_frame_only():
    """The free problem with H >= 0: means line up with the standard frame, and with a rotated one they cannot."""
    torch.manual_seed(0)
    found = {}
    for position in ("standard", "rotated"):
        W = networks.simplex_frame(10, 10, position)
        value, H = best_nonnegative(W, decay=5e-3)
        point = Point(W, H, W.new_zeros(10), torch.arange(10))
        found[position] = value, validate.neural_collapse(point).nc3
    assert found["standard"][1] < 1e-4
    assert found["rotated"][1] > 0.3
    assert found["rotated"][0] > 1.5 * found["standard"][0]


def test_a_network_behind_a_relu_collapses_to_the_standard_frame(tmp_path):
    """Trained on digits with d = K, NC3 falls to the standard frame and stays far from a rotated one."""
    recipe = networks.Recipe(head="etf", feature_dim=10, width=64, depth=2, epochs=25, keep=25, device="cpu")
    ends = {
        frame: networks.train(dataclasses.replace(recipe, frame=frame), tmp_path / frame).epochs[-1]
        for frame in ("standard", "rotated")
    }
    assert ends["standard"]["nc3"] < 0.1
    assert ends["rotated"]["nc3"] > 0.3
    assert ends["standard"]["nc1"] < ends["rotated"]["nc1"]


def test_runs_of_former_versions_have_a_rotated_frame(run_copy):
    recipe = run_copy.config["recipe"]
    former = {name: value for name, value in recipe.items() if name != "frame"}
    run_copy.write_config(run_copy.config | {"recipe": former})
    assert networks.recipe_of(run_copy).frame is None
    run_copy.write_config(run_copy.config | {"recipe": former | {"head": "etf"}})
    assert networks.recipe_of(run_copy).frame == "rotated"


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
    recipe = dataclasses.replace(small_recipe, head=head, feature_dim=DIM[head], per_class=20, batch_size=100, epochs=2)
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
