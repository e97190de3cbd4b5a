"""On which side of a shape the features are, in modules whose answer is known."""

import pytest
import torch
import torchvision
from torch import nn

from validate import layers
from validate.layerwise.layout import features_last

SWIN = torchvision.models.swin_transformer.SwinTransformerBlock(8, 2, [2, 2], [0, 0])
CONVNEXT = torchvision.models.convnext.CNBlock(8, 1e-6, 0.0)
CASES = {
    "square map after an activation": ((8, 5, 5), nn.ReLU(), None, False),
    "square map, features last": ((5, 5, 8), nn.Identity(), None, True),
    "other map, convolution": ((8, 5, 3), nn.Conv2d(8, 8, 1), None, False),
    "map that looks turned, convolution": ((8, 8, 4), nn.Conv2d(8, 8, 1), None, False),
    "other map, Swin": ((5, 3, 8), SWIN, None, True),
    "cube, Swin": ((8, 8, 8), SWIN, None, True),
    "other map, ConvNeXt": ((8, 5, 3), CONVNEXT, None, False),
    "square map, its LayerNorm": ((8, 5, 5), torchvision.models.convnext.LayerNorm2d(8), None, False),
    "volume": ((8, 5, 5, 5), nn.ReLU(), None, False),
    "sequence": ((5, 8), nn.ReLU(), None, True),
    "sequence, encoder": ((5, 8), nn.TransformerEncoderLayer(8, 2), None, True),
    "sequence, activation of a convolution": ((8, 5), nn.ReLU(), False, False),
    "sequence, convolutions": ((8, 5), nn.Sequential(nn.Conv1d(8, 8, 1), nn.ReLU()), None, False),
    "one position": ((8, 1, 1), nn.AdaptiveAvgPool2d(1), None, False),
    "no hint": ((8, 5, 3), nn.ReLU(), None, False),
    "no hint but what was before": ((8, 5, 3), nn.ReLU(), True, True),
}


@pytest.mark.parametrize("name", CASES)
def test_the_features_are(name):
    sides, module, before, expected = CASES[name]
    assert features_last(torch.zeros(2, *sides), module, before) is expected


def test_an_activation_is_as_the_convolution_before_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)).double()
    inputs, labels = torch.randn(12, 2, 5).double(), torch.arange(12) % 3
    found = layers(model, [(inputs, labels)], names=["0", "1", "2"])
    assert [row.dim for row in found] == [3, 3, 12]
