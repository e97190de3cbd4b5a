"""Models by name, with a head that the theory is about."""

import pytest
import torch

import networks
from ufm import InputError


def test_shapes_and_features():
    model = networks.build_model("mlp", 10, image_shape=(1, 8, 8), feature_dim=12, width=20, depth=3)
    model.eval()
    x = torch.randn(5, 1, 8, 8)
    features = model.backbone(x)
    assert features.shape == (5, 12)
    assert model(x).shape == (5, 10)
    torch.testing.assert_close(model(x), model.head(features))


def test_head_without_bias():
    assert networks.build_model("mlp", 4, bias=False).head.bias is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet99"}, "unknown model 'resnet99'; choose one of: mlp"),
        ({"name": "mlp", "feature_dim": 0}, "feature_dim must be >= 1, got 0"),
        ({"name": "mlp", "width": 0}, "width must be >= 1"),
        ({"name": "mlp", "depth": -1}, "depth must be >= 0"),
    ],
)
def test_refuses(arguments, message):
    name = arguments.pop("name")
    with pytest.raises(InputError, match=message):
        networks.build_model(name, 10, **arguments)
