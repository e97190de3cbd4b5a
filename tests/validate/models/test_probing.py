"""The head is the layer whose outputs a model returns, whatever its shapes say; positions; convolutions as heads."""

from dataclasses import asdict, dataclass

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

import validate
from ufm import InputError, Point
from validate.models.heads import can_be_head
from validate.models.probing import makes_outputs

WIDTHS = (16, 12)  # of the hidden layers
CLASSES = 5
SIZES = (*WIDTHS, CLASSES, 3, 1)  # of a batch, and of a sequence: every width, the number of classes, others


@dataclass
class Output:
    """What a model returns, in the manner of Hugging Face."""

    logits: torch.Tensor
    hidden: torch.Tensor


FORMS = {
    "a tensor": lambda logits, hidden: logits,
    "a tuple": lambda logits, hidden: (logits, hidden),
    "a tuple, features first": lambda logits, hidden: (hidden, logits),
    "a dict of lists": lambda logits, hidden: {"out": [logits], "loss": logits.mean()},
    "a dataclass": Output,
}


class Net(nn.Module):
    """Two hidden layers, then logits by a layer or by a function of weights that no layer has."""

    def __init__(self, form=FORMS["a tensor"], outputs=CLASSES, layer=False, after=None):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, WIDTHS[0]), nn.Linear(WIDTHS[0], WIDTHS[1])
        self.form, self.after = form, after or nn.Identity()
        head = nn.Linear(WIDTHS[1], outputs)
        self.head = head if layer else None
        self.weights = head.weight.detach().clone()

    def forward(self, x):
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        logits = functional.linear(hidden, self.weights) if self.head is None else self.head(hidden)
        return self.form(self.after(logits), hidden)


def batch(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, 4, generator=generator), torch.arange(torch.Size(shape).numel()).view(shape) % CLASSES


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", SIZES)
def test_a_hidden_layer_is_not_the_head_for_its_shape(form, size):
    """As many samples, or positions, as a hidden layer has outputs; and as many classes."""
    for shape in ((size,), (size, 16), (3, size), (16, 16)):
        for outputs in (CLASSES, WIDTHS[1]):
            with pytest.raises(InputError, match=r"'second', has 12 outputs.*logits come from elsewhere"):
                validate.collect(Net(form, outputs), [batch(*shape)])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", SIZES)
def test_the_head_is_found_at_every_size(form, size):
    for shape in ((size,), (size, 16), (3, size)):
        for outputs in (CLASSES, WIDTHS[1]):
            model = Net(form, outputs, layer=True)
            point, labels = validate.collect(model, [batch(*shape)])
            assert torch.equal(point.W, model.head.weight)
            assert len(point.H) == len(labels) == torch.Size(shape).numel()


class Shift(nn.Module):
    """Logits less a number for each class, as for imbalanced classes."""

    def forward(self, logits):
        return logits - torch.arange(CLASSES)


class Masked(nn.Module):
    """Classes that are not there yet, as in class-incremental learning."""

    def forward(self, logits):
        return logits.masked_fill(torch.arange(CLASSES) > 2, -torch.inf)


class Normalised(nn.Module):
    def forward(self, logits):
        return functional.normalize(logits, dim=-1)


class Channels(nn.Module):
    def forward(self, logits):
        return logits.movedim(-1, 1)


AFTER = {
    "softmax": nn.Softmax(-1),
    "log-softmax": nn.LogSoftmax(-1),
    "sigmoid": nn.Sigmoid(),
    "hardtanh": nn.Hardtanh(-30, 30),
    "shifted class by class": Shift(),
    "masked class by class": Masked(),
    "normalised": Normalised(),
    "channels first": Channels(),
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
@pytest.mark.parametrize("shape", [(7,), (3, 5)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_what_the_model_makes_of_its_logits_does_not_matter(after, shape, dtype):
    model = Net(layer=True, after=after).to(dtype)
    inputs, labels = batch(*shape)
    point, _ = validate.collect(model, [(inputs.to(dtype), labels)])
    assert torch.equal(point.W, model.head.weight)


@pytest.mark.parametrize("weight", [0.0, 1e-30])
def test_a_head_that_says_nothing_yet_is_found(weight):
    model = Net(layer=True)
    nn.init.constant_(model.head.weight, weight)
    nn.init.zeros_(model.head.bias)
    point, _ = validate.collect(model, [batch(7)])
    assert point.W.shape == (CLASSES, WIDTHS[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_many_classes(dtype):
    after = nn.LogSoftmax(-1)
    assert makes_outputs(*asked(Net(outputs=50_000, layer=True, after=after).to(dtype), "head"))
    assert not makes_outputs(*asked(Net(outputs=50_000, after=after).to(dtype), "second"))


def asked(model, name):
    inputs, labels = batch(7)
    if model.first.weight.dtype == torch.bfloat16:
        model.weights, inputs = model.weights.bfloat16(), inputs.bfloat16()
    return model, (inputs, labels), model.get_submodule(name)


class TwoHeads(Net):
    """One head a task; or their sum, in which neither has the last word."""

    def __init__(self, summed):
        super().__init__(layer=True)
        self.other, self.summed = nn.Linear(WIDTHS[1], CLASSES), summed

    def forward(self, x):
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        both = self.head(hidden), self.other(hidden)
        return sum(both) if self.summed else both


def test_of_several_heads_the_last_is_taken_and_of_a_sum_none():
    model = TwoHeads(summed=False)
    assert torch.equal(validate.collect(model, [batch(7)])[0].W, model.other.weight)
    assert torch.equal(validate.collect(model, [batch(7)], head="head")[0].W, model.head.weight)
    with pytest.raises(InputError, match=r"'other'.*come from elsewhere"):
        validate.collect(TwoHeads(summed=True), [batch(7)])


class Hidden(Net):
    """The logits come from a function, and the hidden layer's outputs are returned as they are beside them."""

    def forward(self, x):
        hidden = self.second(torch.relu(self.first(x)))
        return functional.linear(hidden, self.weights), hidden


def test_a_hidden_layer_that_is_returned_beside_logits_made_of_it_is_not_the_head():
    with pytest.raises(InputError, match=r"'second'.*come from elsewhere"):
        validate.collect(Hidden(), [batch(7)])
    assert validate.collect(Hidden(), [batch(7)], head="second")[0].W.shape == (12, 16)


class Decisions(Net):
    """Says which class, and nothing else."""

    def forward(self, x):
        return super().forward(x).argmax(-1)


def test_decisions_alone_do_not_tell_which_layer_made_them():
    with pytest.raises(InputError, match=r"have shapes of less than two dimensions.*head= names the layer"):
        validate.collect(Decisions(layer=True), [batch(7)])
    assert validate.collect(Decisions(layer=True), [batch(7)], head="head")[0].W.shape == (CLASSES, 12)


class Random(Net):
    """Dropout that never ends, before the head and in what is returned beside the logits."""

    def forward(self, x):
        hidden = functional.dropout(self.second(torch.relu(self.first(x))), training=True)
        return self.head(hidden), functional.dropout(hidden, training=True)


def test_chance_on_the_way_is_the_same_each_time_and_given_back():
    model = Random(layer=True)
    before = torch.get_rng_state()
    assert makes_outputs(*asked(model, "head"))
    assert not makes_outputs(*asked(model, "second"))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module._forward_hooks for module in model.modules())


class Overwritten(Net):
    """Answers in the same memory each time, as a CUDA graph does."""

    def forward(self, x):
        logits = super().forward(x)
        self.memory = getattr(self, "memory", torch.empty_like(logits))
        return self.memory.copy_(logits)


def test_answers_may_share_their_memory():
    assert makes_outputs(*asked(Overwritten(layer=True), "head"))


# Convolutions of kernel 1.


class Maps(nn.Module):
    """Logits by a convolution at every position, and what the model makes of them."""

    def __init__(self, after, dims=2, **settings):
        super().__init__()
        torch.manual_seed(0)
        kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.body, self.head, self.after = kind(3, 6, 3, padding=1), kind(6, CLASSES, 1, **settings), after

    def forward(self, x):
        return self.after(self.head(torch.relu(self.body(x))))


def maps(dims, samples=6):
    shape = (samples, 3, 4, 5, 2)[: 2 + dims]
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_every_position_that_a_convolution_sees_is_a_sample(dims, bias):
    model, images = Maps(nn.Identity(), dims, bias=bias), maps(dims)
    answers = model(images).detach()
    labels = answers.argmax(1)
    point, found = validate.collect(model, [(images, labels)])
    assert torch.equal(found, labels.flatten())
    torch.testing.assert_close(point.logits, answers.movedim(1, -1).flatten(0, -2))
    assert bool(point.b.any()) is bias


AVERAGES = {
    "averaged": lambda z: z.mean((2, 3)),
    "pooled and flattened": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "averaged, then softmax": lambda z: z.mean((2, 3)).softmax(1),
    "one position left": nn.AdaptiveAvgPool2d(1),
}


@pytest.mark.parametrize("after", AVERAGES.values(), ids=AVERAGES)
def test_a_head_that_is_averaged_over_positions_sees_averages(after):
    model, images = Maps(after), maps(2)
    labels = torch.arange(6) % CLASSES
    point, found = validate.collect(model, [(images[:4], labels[:4]), (images[4:], labels[4:])])
    assert torch.equal(found, labels)
    expected = model.head(torch.relu(model.body(images))).mean((2, 3))
    torch.testing.assert_close(point.logits, expected.detach())
    stream = validate.Features(model, [(images, labels)])
    streamed = validate.batch_neural_collapse(stream, stream.W, stream.b)
    assert asdict(streamed) == pytest.approx(asdict(validate.neural_collapse(point, labels)), rel=1e-5, abs=1e-6)


class Tokens(nn.Module):
    """Linear logits of each token, and what is made of them."""

    def __init__(self, after):
        super().__init__()
        self.head, self.after = nn.Linear(4, CLASSES), after

    def forward(self, x):
        return self.after(self.head(x))


def test_tokens_whose_logits_are_averaged():
    inputs, _ = batch(6, 3)
    point, _ = validate.collect(Tokens(lambda z: z.mean(1)), [(inputs, torch.arange(6) % CLASSES)])
    torch.testing.assert_close(point.H, inputs.mean(1))


NOT_AVERAGED = {
    "not averaged": (Maps(nn.Identity()), maps(2)),
    "largest over positions": (Maps(lambda z: z.amax((2, 3))), maps(2)),
    "softmax, then averaged": (Maps(lambda z: z.softmax(1).mean((2, 3))), maps(2)),
    "scaled up": (Maps(nn.Upsample(scale_factor=2)), maps(2)),
    "the last token": (Tokens(lambda z: z[:, -1]), batch(6, 3)[0]),
    "the middle token": (Tokens(lambda z: z[:, 1]), batch(6, 3)[0]),
}


@pytest.mark.parametrize(("model", "inputs"), NOT_AVERAGED.values(), ids=NOT_AVERAGED)
def test_one_label_a_sample_needs_a_model_that_averages(model, inputs):
    with pytest.raises(InputError, match=r"need labels of shape \(6, \d.*where the model averages over positions"):
        validate.collect(model, [(inputs, torch.arange(6) % CLASSES)])


def test_squeezenet_is_measured_by_its_averages():
    """Its ReLU between convolution and average is left out of the point's logits."""
    torch.manual_seed(0)
    model = torchvision.models.squeezenet1_1(num_classes=3).eval()
    images, labels = torch.randn(6, 3, 64, 64), torch.arange(6) % 3
    point, _ = validate.collect(model, [(images[:4], labels[:4]), (images[4:], labels[4:])])
    with torch.no_grad():
        seen = model.features(images)
        torch.testing.assert_close(point.H, seen.mean((2, 3)))
        torch.testing.assert_close(point.logits, model.classifier[1](seen).mean((2, 3)))
    named, _ = validate.collect(model, [(images, labels)], head="classifier.1")
    assert torch.equal(named.W, point.W)


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50"])
def test_segmentation(name):
    """Labels are those of the head's own positions; the answers are the logits scaled up."""
    torch.manual_seed(0)
    model = getattr(torchvision.models.segmentation, name)(weights_backbone=None, num_classes=3).eval()
    images, labels = torch.randn(2, 3, 32, 32), torch.arange(32).view(2, 4, 4) % 3
    point, found = validate.collect(model, [(images, labels)])
    with torch.no_grad():
        answers = functional.interpolate(point.logits.view(2, 4, 4, 3).movedim(-1, 1), (32, 32), mode="bilinear")
        torch.testing.assert_close(model(images)["out"], answers, rtol=1e-4, atol=1e-4)
    assert torch.equal(found, labels.flatten())


def test_a_linear_layer_that_is_the_head_comes_before_a_convolution():
    class Both(Maps):
        def __init__(self):
            super().__init__(nn.Identity())
            self.fc = nn.Linear(6, CLASSES)

        def forward(self, x):
            seen = torch.relu(self.body(x))
            return self.fc(seen.mean((2, 3))), self.head(seen)

    model = Both()
    assert torch.equal(validate.collect(model, [(maps(2), torch.arange(6) % CLASSES)])[0].W, model.fc.weight)


def test_a_convolution_after_hidden_linear_layers():
    class Mixed(Maps):
        def __init__(self):
            super().__init__(nn.Identity())
            self.mix = nn.Linear(6, 6)

        def forward(self, x):
            return self.head(self.mix(torch.relu(self.body(x)).movedim(1, -1)).movedim(-1, 1))

    point, _ = validate.collect(Mixed(), [(maps(2), torch.zeros(6, 4, 5).long())])
    assert point.W.shape == (CLASSES, 6)


NO_HEADS = {
    "larger kernel": nn.Conv2d(6, 5, 3),
    "strides": nn.Conv2d(6, 5, 1, stride=2),
    "groups": nn.Conv2d(6, 6, 1, groups=2),
    "padding": nn.Conv2d(6, 5, 1, padding=1),
    "transposed": nn.ConvTranspose2d(6, 5, 1),
}


@pytest.mark.parametrize("layer", NO_HEADS.values(), ids=NO_HEADS)
def test_other_layers_are_refused_and_the_message_says_how_to_measure_by_hand(layer):
    assert not can_be_head(layer)
    with pytest.raises(InputError, match="head must be a Linear layer or a convolution of kernel 1, got Conv"):
        validate.collect(Maps(nn.Identity()), [(maps(2), torch.zeros(6).long())], head=layer)
    with pytest.raises(InputError, match=r"ran through no .*validate.neural_collapse\(ufm.Point\(W, H, b\), labels\)"):
        validate.collect(nn.Sequential(layer), [(torch.ones(2, 6, 4, 4), torch.zeros(2).long())])


def test_padding_by_name_is_none():
    assert can_be_head(nn.Conv2d(6, 5, 1, padding="same"))


def test_names_in_messages_are_few():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(20)), nn.Conv2d(1, 2, 1))
    with pytest.raises(InputError, match=r"the model has \.\.\., 12, .*, 19, and of convolutions of kernel 1 20$"):
        validate.collect(model, [batch(2)], head="fc")


def test_by_hand_and_by_the_model_are_the_same():
    model, images, labels = Maps(lambda z: z.mean((2, 3))), maps(2, 12), torch.arange(12) % CLASSES
    with torch.no_grad():
        H = torch.relu(model.body(images)).mean((2, 3))
        W, b = model.head.weight[:, :, 0, 0], model.head.bias
    by_hand = validate.neural_collapse(Point(W.detach(), H, b.detach()), labels)
    found = validate.neural_collapse(*validate.collect(model, [(images, labels)]))
    assert asdict(found) == pytest.approx(asdict(by_hand), rel=1e-5, abs=1e-6)


def test_a_stream_takes_a_convolution_for_its_head():
    model, images = Maps(nn.Identity()), maps(2)
    labels = torch.arange(6 * 20).view(6, 4, 5) % CLASSES
    point, found = validate.collect(model, [(images, labels)])
    metric = validate.NeuralCollapseMetric(CLASSES, head=model.head)
    metric.update(point.H, found)
    expected = asdict(validate.neural_collapse(point, found))
    assert {name: float(value) for name, value in metric.compute().items() if name in ("nc1", "nc2", "nc3", "nc4")} == {
        name: pytest.approx(expected[name], rel=1e-6) for name in ("nc1", "nc2", "nc3", "nc4")
    }


class Summed(nn.Module):
    """Logits that two heads make together."""

    def __init__(self):
        super().__init__()
        self.hidden, self.wide, self.deep = nn.Linear(8, 16), nn.Linear(8, 5), nn.Linear(16, 5)

    def forward(self, x):
        return self.wide(x) + self.deep(torch.relu(self.hidden(x)))


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_a_sum_of_two_heads_is_refused_at_every_batch_size(size):
    torch.manual_seed(0)
    batch = torch.randn(size, 8), torch.arange(size) % 5
    with pytest.raises(InputError, match="its logits come from elsewhere"):
        validate.collect(Summed(), [batch])
