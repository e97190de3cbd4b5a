"""Models by name, with a head that the theory is about."""

from itertools import pairwise

import pytest
import torch
from torchvision import models

import networks
import validate
from networks.models.resnets import RESNETS, resnet
from networks.models.zoo import _last_layer, zoo
from ufm import InputError


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


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
    ("name", "learned", "fixed"), [("resnet18", 11_181_642, 8_867_542), ("resnet50", 23_528_522, 22_481_110)]
)
def test_parameter_counts_of_the_paper(name, learned, fixed):
    """A fixed frame counts with its K d numbers, and with the learned bias."""
    with torch.device("meta"):
        assert count(networks.build_model(name=name, num_classes=10)) == learned
    model = networks.build_model(name=name, num_classes=10, head="etf", feature_dim=10)
    assert count(model) == fixed
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == fixed - 100


def test_the_papers_perceptron_has_a_bias_more_in_each_hidden_layer():
    """Six hidden layers of 1,024 on 3 x 32 x 32: Linear with bias, BatchNorm, ReLU, as their models/mlp.py has them."""
    ours = networks.build_model("mlp", 10, image_shape=(3, 32, 32), width=1024, depth=5, feature_dim=1024)
    sizes = [3 * 32 * 32, *[1024] * 6]
    layers = [
        layer
        for wide, narrow in pairwise(sizes)
        for layer in (torch.nn.Linear(wide, narrow), torch.nn.BatchNorm1d(narrow), torch.nn.ReLU())
    ]
    theirs = torch.nn.Sequential(torch.nn.Flatten(), *layers, torch.nn.Linear(1024, 10))
    assert (count(theirs), count(ours)) == (8_417_290, 8_411_146)
    assert [type(layer) for layer in ours.backbone] == [type(layer) for layer in theirs[:-1]]


def test_convolutions_of_resnets_begin_with_a_variance_of_2_over_fan_out():
    """As theirs and torchvision's do; torch's default, which their ResNet18_adapt has, is 1 / (3 fan-in)."""
    conv = networks.build_model("resnet18", 10, width=64, stem="cifar").backbone.layer3[0].conv1
    assert float(conv.weight.detach().var()) == pytest.approx(2 / (256 * 9), rel=0.05)
    conv.reset_parameters()
    assert float(conv.weight.detach().var()) == pytest.approx(1 / (3 * 128 * 9), rel=0.05)


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_are_torchvisions_weight_for_weight(name):
    with torch.device("meta"):
        ours, _ = resnet(name)
        theirs = models.get_model(name).state_dict()
    shapes = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes


def test_a_resnet_computes_what_torchvisions_does():
    theirs = models.resnet18(num_classes=10).eval()
    ours = networks.build_model("resnet18", 10).eval()
    weights = theirs.state_dict()
    ours.head.load_state_dict({name: weights.pop(f"fc.{name}") for name in ("weight", "bias")})
    ours.backbone.load_state_dict(weights)
    x = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("feature_dim", [7, 40])
def test_the_last_block_gives_the_features(name, feature_dim):
    """Convolution, batch norm and skip change; the rest of a narrow network is as it was."""
    narrow, dim = resnet(name, width=4, stem="cifar", feature_dim=feature_dim)
    plain, _ = resnet(name, width=4, stem="cifar")
    assert dim == feature_dim
    assert narrow(torch.randn(3, 3, 16, 16)).shape == (3, feature_dim)
    shapes = {key: value.shape for key, value in plain.state_dict().items()}
    changed = {key for key, value in narrow.state_dict().items() if shapes.get(key) != value.shape}
    last = max(key for key in shapes if key.startswith("layer4") and ".conv" in key).rsplit(".conv", 1)[0]
    assert changed
    assert all(key.startswith(last) and (".downsample" in key or ".conv" in key or ".bn" in key) for key in changed)


@pytest.mark.parametrize("width", [1, 8])
def test_adapted_width(width):
    model = networks.build_model("resnet18", 10, width=width, stem="cifar").eval()
    channels = [model.backbone.get_submodule(f"layer{i}.1.conv2").out_channels for i in (1, 2, 3, 4)]
    assert channels == [width, 2 * width, 4 * width, 8 * width]
    assert model.backbone(torch.randn(2, 3, 32, 32)).shape == (2, 8 * width)


def test_stems():
    def resolution(stem):
        network, _ = resnet("resnet18", width=2, stem=stem)
        return network[: list(dict(network.named_children())).index("layer1")](torch.randn(1, 3, 32, 32)).shape[-1]

    assert (resolution("imagenet"), resolution("cifar")) == (8, 32)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("shufflenet_v2_x0_5", (1, 28, 28)),
        ("mnasnet0_5", (3, 32, 32)),
        ("regnet_y_400mf", (3, 32, 32)),
        ("mobilenet_v3_small", (3, 32, 32)),
        ("efficientnet_b0", (3, 32, 32)),
        ("densenet121", (3, 32, 32)),
        ("googlenet", (3, 32, 32)),
        ("convnext_tiny", (3, 32, 32)),
        ("vit_b_32", (3, 64, 64)),
        ("squeezenet1_1", (3, 32, 32)),
    ],
)
def test_the_zoo(name, shape):
    """What enters the cut layer is what validate.collect finds in the uncut network's own way."""
    model = networks.build_model(name, 10, image_shape=shape).eval()
    x = torch.randn(4, *shape)
    logits = model(x)
    assert logits.shape == (4, 10)
    assert logits.isfinite().all()
    point, _ = validate.collect(model, [(x, torch.arange(4))])
    torch.testing.assert_close(point.H, model.backbone(x))
    torch.testing.assert_close(point.logits, logits)


@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "efficientnet_v2_s", "inception_v3", "maxvit_t", "mobilenet_v2", "squeezenet1_0", "swin_t"),
        *("swin_v2_t", "vgg11_bn"),
    ],
)
def test_the_zoo_is_cut_where_it_ends(name):
    """Shapes alone: on the meta device networks cost nothing."""
    with torch.device("meta"):
        model = networks.build_model(name, 10)
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 10)


def test_a_network_that_goes_on_after_its_linear_layers_is_not_cut():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU())
    assert _last_layer(network, torch.zeros(1, 4)) is None
    assert _last_layer(network[:2], torch.zeros(1, 4)) == "1"
    maps = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    assert _last_layer(maps, torch.zeros(1, 3, 4, 4)) == "0"
    for other in (maps[:1], torch.nn.Sequential(*maps, torch.nn.Unflatten(1, (5, 1)))):
        assert _last_layer(other, torch.zeros(1, 3, 4, 4)) is None


def test_the_cut_network_gives_what_entered_its_last_layer():
    torch.manual_seed(0)
    whole = models.get_model("shufflenet_v2_x0_5").eval()
    torch.manual_seed(0)
    cut, dim = zoo("shufflenet_v2_x0_5", (3, 32, 32))
    x = torch.randn(4, 3, 32, 32)
    point, _ = validate.collect(whole, [(x, torch.arange(4))])
    assert dim == point.dim
    torch.testing.assert_close(cut.eval()(x), point.H)


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_squeezenet_is_cut_before_the_convolution_that_it_averages(name):
    """With its weights in the head the logits are its own, but for the ReLU between convolution and average."""
    torch.manual_seed(0)
    whole = models.get_model(name, num_classes=7).eval()
    torch.manual_seed(0)
    model = networks.build_model(name, 7, image_shape=(3, 64, 64)).eval()
    features = {key: value for key, value in whole.state_dict().items() if not key.startswith("classifier")}
    model.backbone.load_state_dict(features)
    model.head.weight.data = whole.classifier[1].weight.data.flatten(1)
    model.head.bias.data = torch.full((7,), 9.0)  # so that all outputs are positive, and a ReLU is not seen
    whole.classifier[1].bias.data = torch.full((7,), 9.0)
    x = torch.randn(3, 3, 64, 64)
    assert model.backbone(x).shape == (3, 512)
    torch.testing.assert_close(model(x), whole(x))
    point, _ = validate.collect(whole, [(x, torch.arange(3))])
    torch.testing.assert_close(point.logits, model(x))


def test_a_zoo_model_with_another_feature_dim_gets_a_projection():
    model = networks.build_model("mobilenet_v3_small", 10, image_shape=(3, 32, 32), feature_dim=9, head="etf").eval()
    assert isinstance(model.backbone[-1], torch.nn.Linear)
    assert model.backbone(torch.randn(2, 3, 32, 32)).shape == (2, 9)


def test_grey_images_are_repeated():
    model = networks.build_model("resnet18", 10, image_shape=(1, 16, 16), width=4, stem="cifar").eval()
    x = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(model.backbone(x), model.backbone[1](x.repeat(1, 3, 1, 1)))


def test_every_classifier_of_torchvision_is_there():
    assert set(models.list_models(module=models)) | {"mlp"} == set(networks.model_names())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet99"}, "unknown model 'resnet99'; choose one of: alexnet, .*mlp, .*wide_resnet50_2"),
        ({"name": "mlp", "feature_dim": 0}, "feature_dim must be >= 1, got 0"),
        ({"name": "mlp", "width": 0}, "width must be >= 1"),
        ({"name": "mlp", "depth": -1}, "depth must be >= 0"),
        ({"name": "mlp", "stem": "cifar"}, "mlp has no stem to set; leave it out"),
        ({"name": "resnet18", "depth": 3}, "resnet18 has no depth to set"),
        ({"name": "vgg11", "width": 3}, "vgg11 has no width to set"),
        ({"name": "resnet18", "stem": "mnist"}, "unknown stem 'mnist'; choose one of: imagenet, cifar"),
        ({"name": "resnet18", "image_shape": (2, 8, 8)}, "resnet18 takes 1 or 3 channels, images have 2"),
        (
            {"name": "alexnet", "image_shape": (3, 8, 8)},
            r"alexnet cannot take images of 3 x 8 x 8 .*try image_size=224",
        ),
        (
            {"name": "vit_b_32", "image_shape": (3, 40, 40)},
            r"vit_b_32 cannot take images of 3 x 40 x 40 \(.*indivisible",
        ),
    ],
)
def test_refuses(settings, message):
    with pytest.raises(InputError, match=message):
        networks.build_model(num_classes=10, **settings)
