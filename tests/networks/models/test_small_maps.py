"""Small maps as products: the convolution's own function and gradients, in float64, whatever the geometry."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import networks
from networks.models import small_maps
from networks.models.small_maps import Convolution

SAMPLES = 33  # enough for several output positions to be put together
FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}

# Settings of a Conv2d from 3 to 4 channels, height and width of its maps, and whether they are taken as a product.
CASES = {
    "a pixel": ({"kernel_size": 3, "padding": 1}, (1, 1), True),
    "a pixel, kernel 5": ({"kernel_size": 5, "padding": 2}, (1, 1), True),
    "a pixel, kernel 7, stride 2": ({"kernel_size": 7, "padding": 3, "stride": 2}, (1, 1), True),
    "a pixel, kernel 1": ({"kernel_size": 1}, (1, 1), True),
    "a pixel, kernel 2, four outputs": ({"kernel_size": 2, "padding": 1}, (1, 1), True),
    "a pixel, no bias": ({"kernel_size": 3, "padding": 1, "bias": False}, (1, 1), True),
    "2 x 2": ({"kernel_size": 3, "padding": 1}, (2, 2), True),
    "2 x 2 to one": ({"kernel_size": 3, "padding": 1, "stride": 2}, (2, 2), True),
    "2 x 2 to one, kernel 1": ({"kernel_size": 1, "stride": 2}, (2, 2), True),
    "2 x 2, dilation 2": ({"kernel_size": 3, "padding": 2, "dilation": 2}, (2, 2), True),
    "2 x 2, same": ({"kernel_size": 4, "padding": "same"}, (2, 2), True),
    "1 x 4": ({"kernel_size": 3, "padding": 1}, (1, 4), True),
    "3 x 2, kernel 5": ({"kernel_size": 5, "padding": 2}, (3, 2), True),
    "3 x 2, kernel 5 x 3, strides": ({"kernel_size": (5, 3), "padding": (2, 1), "stride": (2, 1)}, (3, 2), True),
    "4 x 4, kernel 7": ({"kernel_size": 7, "padding": 3}, (4, 4), True),
    "4 x 4, kernel 7, wide padding": ({"kernel_size": 7, "padding": 5, "dilation": 2}, (4, 4), True),
    "3 x 3 seen whole": ({"kernel_size": 3, "padding": "valid"}, (3, 3), True),
    "4 x 4": ({"kernel_size": 3, "padding": 1}, (4, 4), False),
    "5 x 5": ({"kernel_size": 7, "padding": 3}, (5, 5), False),
}


def pair(form: torch.memory_format, in_channels: int = 3, out_channels: int = 4, **settings):
    """(a float64 convolution of torch's, the same taken as products) with a kernel that no tap of is near 0."""
    torch.manual_seed(0)
    plain = nn.Conv2d(in_channels, out_channels, **settings).double().to(memory_format=form)
    ours = small_maps.small_maps(nn.Sequential(copy.deepcopy(plain)))[0]
    assert type(ours) is Convolution
    return plain, ours


def pass_of(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """[outputs, gradient of the images, gradients of the parameters] of a fixed function of the outputs."""
    images = images.clone().requires_grad_()
    outputs = layer(images)
    weights = torch.arange(outputs.numel(), dtype=outputs.dtype).sin().view(outputs.shape)
    (outputs * weights).sum().backward()
    return [outputs.detach(), images.grad, *(p.grad for p in layer.parameters())]


def images_of(size: tuple[int, int], form: torch.memory_format = torch.contiguous_format, channels: int = 3):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(SAMPLES, channels, *size, dtype=torch.float64, generator=generator)
    return images.contiguous(memory_format=form)


def apart(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """The largest difference."""
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture
def products(monkeypatch):
    """How often a product was taken."""
    taken, original = [], small_maps._as_product

    def counting(layer, *rest):
        taken.append(layer)
        return original(layer, *rest)

    monkeypatch.setattr(small_maps, "_as_product", counting)
    return taken


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("settings", "size", "small"), CASES.values(), ids=CASES)
def test_outputs_and_gradients_are_the_convolutions(settings, size, small, form, products):
    plain, ours = pair(form, **settings)
    images = images_of(size, form)
    theirs, found = pass_of(plain, images), pass_of(ours, images)
    assert bool(products) is small
    assert apart(found, theirs) < 1e-12
    for mine, other in zip(found, theirs, strict=True):
        assert mine.is_contiguous() == other.is_contiguous()
        assert mine.is_contiguous(memory_format=torch.channels_last) == other.is_contiguous(
            memory_format=torch.channels_last
        )


def wrong_tap(taps):
    """Two taps that the map is seen through exchanged."""
    return [[{3: 4, 4: 3}.get(tap, tap) for tap in row] for row in taps]


def unseen_tap(taps):
    """A pair of positions without its tap."""
    return [[None if (p, q) == (0, 1) else tap for q, tap in enumerate(row)] for p, row in enumerate(taps)]


def extra_tap(taps):
    """A tap where the kernel does not reach."""
    return [[0 if tap is None else tap for tap in row] for row in taps]


@pytest.mark.parametrize(
    ("planted", "case"), [(wrong_tap, "2 x 2"), (unseen_tap, "2 x 2"), (extra_tap, "2 x 2, dilation 2")]
)
def test_wrong_taps_are_seen(planted, case, monkeypatch):
    settings, size, _ = CASES[case]
    right = small_maps._joined
    monkeypatch.setattr(small_maps, "_joined", lambda *those: planted(right(*those)))
    plain, ours = pair(torch.channels_last, **settings)
    assert apart(pass_of(ours, images_of(size)), pass_of(plain, images_of(size))) > 1e-2


def test_a_missed_bias_is_seen(monkeypatch):
    linear = functional.linear
    monkeypatch.setattr(functional, "linear", lambda maps, matrix, bias: linear(maps, matrix))
    for case in ("a pixel", "2 x 2"):
        settings, size, _ = CASES[case]
        plain, ours = pair(torch.contiguous_format, **settings)
        with torch.no_grad():
            assert apart([ours(images_of(size))], [plain(images_of(size))]) > 1e-2


def test_a_bias_in_the_other_order_is_seen(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "repeat_interleave", torch.Tensor.repeat)
    plain, ours = pair(torch.contiguous_format, kernel_size=3, padding=1)
    with torch.no_grad():
        assert apart([ours(images_of((2, 2)))], [plain(images_of((2, 2)))]) > 1e-2


def test_groups_single_images_and_few_samples_are_left_to_torch(products):
    plain, ours = pair(torch.contiguous_format, in_channels=4, kernel_size=3, padding=1, groups=2)
    images = images_of((1, 1), channels=4)
    assert apart(pass_of(ours, images), pass_of(plain, images)) == 0
    plain, ours = pair(torch.contiguous_format, kernel_size=3, padding=1)
    assert torch.equal(ours(images_of((1, 1))[0]), plain(images_of((1, 1))[0]))
    assert torch.equal(ours(images_of((2, 2))[:31]), plain(images_of((2, 2))[:31]))
    assert not products


def test_other_padding_and_subclasses_stay_as_they_are():
    class Own(nn.Conv2d):
        pass

    layers = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        Own(3, 3, 3),
        parametrizations.weight_norm(nn.Conv2d(3, 3, 3)),
        nn.ConvTranspose2d(3, 3, 3),
    )
    kinds = [type(layer) for layer in layers]
    assert small_maps.small_maps(layers) is layers
    assert [type(layer) for layer in layers] == kinds


def test_a_network_keeps_its_parameters_and_its_function_at_any_size(products):
    """ResNet18, and a deep copy of it, through a pass in train mode at each size and one in eval mode."""
    torch.manual_seed(0)
    plain = networks.build_model("resnet18", 3, image_shape=(3, 32, 32), width=4).double()
    ours = networks.small_maps(copy.deepcopy(plain))
    assert [(name, value.shape) for name, value in ours.state_dict().items()] == [
        (name, value.shape) for name, value in plain.state_dict().items()
    ]
    for model, twin in ((copy.deepcopy(ours), copy.deepcopy(plain)), (ours, plain)):
        for size in (32, 48):
            images, before = images_of((size, size)), len(products)
            model.zero_grad()
            twin.zero_grad()
            assert apart(pass_of(model, images), pass_of(twin, images)) < 1e-10
            assert len(products) > before
        with torch.no_grad():
            assert apart([model.eval()(images)], [twin.eval()(images)]) < 1e-10


def test_a_compiler_captures_the_product(products):
    """In one graph, for each size of map."""
    plain, ours = pair(torch.contiguous_format, kernel_size=3, padding=1)
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    for size in ((1, 1), (2, 2)):
        assert apart(pass_of(compiled, images_of(size)), pass_of(plain, images_of(size))) < 1e-12
        ours.zero_grad()
        plain.zero_grad()
        assert products.pop() is ours


def test_under_autocast_it_has_the_convolutions_dtype_and_error():
    plain, ours = pair(torch.channels_last, kernel_size=3, padding=1)
    plain, ours, images = plain.float(), ours.float(), images_of((2, 2), torch.channels_last).float()
    exact = plain(images)
    with torch.autocast("cpu", torch.bfloat16):
        found, theirs = ours(images), plain(images)
    assert found.dtype == theirs.dtype == torch.bfloat16
    assert (found - exact).abs().max() < 2 * (theirs - exact).abs().max()
