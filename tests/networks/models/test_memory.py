"""What a network takes: counted exactly where that can be done by hand."""

import pytest
import torch
from torch import nn

import networks
from networks.models import memory
from networks.models.memory import footprint, measured_memory, training_memory
from ufm import InputError


def test_a_perceptron_by_hand():
    """Linear and ReLU: the input, the hidden layer once, and what cross entropy keeps are saved."""
    model, N = nn.Sequential(nn.Linear(30, 50), nn.ReLU(), nn.Linear(50, 4)), 20
    parameters = 31 * 50 + 51 * 4
    saved = 4 * (N * 30 + N * 50 + N * 4)
    # Cross entropy also keeps its targets (int64) and the sum of weights.
    assert training_memory(model, torch.randn(N, 30)) == pytest.approx(12 * parameters + saved + 8 * N, abs=16)


WIDE, LONG = (800, 600, 20), (50, 40, 3000)  # sizes in which the weights, and the batch, take the most


@pytest.mark.parametrize(("into", "out", "N"), [WIDE, LONG])
def test_the_measured_peak_of_one_linear_layer_is_the_closed_form(into, out, N):
    """Parameters and momentum, with the gradient and the slopes of the logits; or, before there is a gradient, the
    log-softmax, its slopes and those of the logits. Beside them stand the loss and its slope."""
    model, inputs = nn.Linear(into, out), torch.randn(N, into)
    P, L = 4 * (into + 1) * out, 4 * N * out
    expected = 2 * P + max(P + L, 3 * L)
    found = [measured_memory(model, inputs) for _ in range(2)]
    assert found == pytest.approx([expected] * 2, abs=64)
    assert (P + L > 3 * L) is ((into, out, N) == WIDE)


def test_a_peak_that_forgets_what_is_taken_back_is_seen(monkeypatch):
    """Planted: the sum of all that was given, and the sum at the end."""
    into, out, N = LONG
    P, L = 4 * (into + 1) * out, 4 * N * out
    model, inputs = nn.Linear(into, out), torch.randn(N, into)
    monkeypatch.setattr(memory, "peak", lambda changes: sum(change for change in changes if change > 0))
    assert measured_memory(model, inputs) > 2 * (2 * P + 3 * L)
    monkeypatch.setattr(memory, "peak", sum)
    assert measured_memory(model, inputs) < P + 3 * L


def test_measuring_leaves_all_as_it_was_and_needs_an_allocator():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(30, 4))
    before, state = model[1].weight.detach().clone(), torch.get_rng_state()
    assert measured_memory(model, torch.randn(8, 30, generator=torch.Generator().manual_seed(0))) > 12 * 31 * 4
    assert torch.equal(model[1].weight, before)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(InputError, match="no allocator says what it gave out on the device 'meta'"):
        measured_memory(model.to("meta"), torch.zeros(8, 30, device="meta"))


def test_memory_grows_with_the_batch_and_is_left_as_it_was():
    model = nn.Sequential(nn.Dropout(0.1), networks.build_model("resnet18", 10, width=4, stem="cifar")).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    small, large = (training_memory(model, torch.zeros(N, 3, 16, 16)) for N in (4, 8))
    again = training_memory(model, torch.zeros(4, 3, 16, 16))
    assert small == again < large < 2 * small
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_fixed_frame_with_d_equal_k_takes_less():
    """ResNet18: 20.70 % fewer parameters, each with a gradient and a momentum."""
    images = torch.zeros(2, 3, 32, 32)
    learned = networks.build_model("resnet18", 10)
    fixed = networks.build_model("resnet18", 10, head="etf", feature_dim=10)
    parameters = [sum(p.numel() for p in model.parameters()) for model in (learned, fixed)]
    assert 1 - parameters[1] / parameters[0] == pytest.approx(0.2070, abs=5e-5)
    spared = training_memory(learned, images) - training_memory(fixed, images)
    assert spared >= 12 * (parameters[0] - parameters[1])


def test_footprint():
    images = networks.load("digits")
    batch = images.normalized(images.train_images[:100])
    found = footprint(networks.build_model("mlp", 10, head="etf", width=8, depth=1, feature_dim=9), batch)
    assert found["parameters"] == 64 * 8 + 16 + 8 * 9 + 18 + 90 + 10
    assert found["learned_parameters"] == found["parameters"] - 90
    assert found["training_memory_bytes"] > 12 * found["learned_parameters"]


def test_a_run_records_what_its_network_takes(trained):
    assert trained.config["model"]["parameters"] == sum(
        p.numel() for p in networks.build_model("mlp", 10, width=32, depth=1, feature_dim=16).parameters()
    )
    assert trained.config["model"]["training_memory_bytes"] > 0
