"""Which modules names and patterns mean, and which are measured where none are named."""

import pytest
import torch
import torchvision
from torch import nn

import networks
from tests.validate.layerwise.networks import Maps, perceptron
from ufm import InputError
from validate import layers
from validate.layerwise.blocks import blocks_of
from validate.layerwise.names import choose


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        self.head = nn.Linear(2, 2)


PATTERNS = {
    ("layer*",): ["layer1", "layer2"],
    ("layer?.1",): ["layer1.1", "layer2.1"],
    ("**.0",): ["layer1.0", "layer2.0"],
    ("head", "layer2", "layer*"): ["head", "layer2", "layer1"],
    ("head:input", "head"): ["head:input", "head"],
    "head": ["head"],
    ("**",): ["layer1", "layer1.0", "layer1.1", "layer2", "layer2.0", "layer2.1", "head"],
}


@pytest.mark.parametrize("names", PATTERNS, ids=str)
def test_patterns_go_part_by_part(names):
    assert [layer.name for layer in choose(Model(), names)] == PATTERNS[names]


def test_a_module_of_two_names_is_found_by_each_and_measured_once():
    model = Model()
    model.tied = model.head
    assert [layer.name for layer in choose(model, ["tied"])] == ["tied"]
    assert [layer.name for layer in choose(model, ["tied", "head", "*d"])] == ["tied"]


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(InputError, match=r"names are names of modules, such as layer1, .*; got 1"):
        choose(Model(), [1])


def test_a_name_that_nothing_has_is_refused_with_those_near():
    with pytest.raises(InputError, match=r"no module of the model is named 'layr1'; near it are layer1"):
        choose(Model(), ["head", "layr1"])
    with pytest.raises(InputError, match=r"named 'zzz\*'; near it are layer1, layer1.0"):
        choose(Model(), ["zzz*"])


def resnet():
    return networks.build_model("resnet18", 3, width=2, stem="cifar", image_shape=(3, 8, 8))


def transformer():
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8}
    return torchvision.models.VisionTransformer(8, 4, **sizes, num_classes=3)


BLOCKS = {
    "perceptron": (lambda: perceptron(3).float(), (8,), ["1", "4:input"]),
    "maps": (Maps, (2, 6, 6), ["norm", "head:input"]),
    "built here": (
        lambda: networks.build_model("mlp", 3, width=8, depth=2, feature_dim=4),
        (1, 8, 8),
        ["backbone.3", "backbone.6", "head:input"],
    ),
    "resnet": (
        resnet,
        (3, 8, 8),
        ["backbone.relu", *(f"backbone.layer{i // 2}.{i % 2}" for i in range(2, 9)), "head:input"],
    ),
    "transformer": (
        transformer,
        (3, 8, 8),
        ["encoder.dropout", "encoder.layers.encoder_layer_0", "heads.head:input"],
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_blocks_of_a_model_and_what_its_head_sees(name):
    make, shape, expected = BLOCKS[name]
    torch.manual_seed(0)
    batch = torch.randn(4, *shape), torch.arange(4) % 3
    assert [layer.name for layer in blocks_of(make(), batch, None)] == expected


def test_a_module_that_runs_twice_counts_where_it_ran_last():
    model = Maps()
    images, labels = torch.randn(9, 2, 6, 6), torch.arange(9) % 3
    found = layers(model, [(images, labels)], names=["relu", "mix", "norm"])
    assert [row.name for row in found] == ["norm", "mix", "relu"]
    assert found["relu"].dim == 6
