"""validate.collect on models that nobody here wrote, and on the shapes in which they come."""

from dataclasses import asdict, dataclass

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import validate
from ufm import InputError
from validate.models.tracing import to_device

IMAGES = torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3

ZOO = {
    "resnet18": "fc",
    "mobilenet_v3_small": "classifier.3",
    "efficientnet_b0": "classifier.1",
    "shufflenet_v2_x0_5": "fc",
    "regnet_y_400mf": "fc",
    "swin_t": "head",
    "vit_b_32": "heads.head",
}


def batches(images=IMAGES, labels=LABELS):
    return DataLoader(TensorDataset(images, labels), batch_size=4)


def expect(model, point, labels, output):
    """The point's logits are what the model answered, and every metric can be had."""
    torch.testing.assert_close(point.logits, output, rtol=1e-4, atol=1e-4)
    assert len(labels) == len(point.H)
    found = asdict(validate.neural_collapse(point, labels, absent="drop"))
    assert found["nc1"] >= 0
    assert not any(module._forward_pre_hooks for module in model.modules())


CASES = {name: (name, torch.contiguous_format) for name in ZOO}
CASES["resnet18, channels last"] = ("resnet18", torch.channels_last)


@pytest.mark.parametrize(("name", "layout"), CASES.values(), ids=CASES)
def test_torchvision(name, layout):
    torch.manual_seed(0)
    size = {"image_size": 64} if name.startswith("vit") else {}
    model = getattr(torchvision.models, name)(num_classes=3, **size).eval().to(memory_format=layout)
    images = IMAGES.to(memory_format=layout)
    point, labels = validate.collect(model, batches(images))
    with torch.no_grad():
        expect(model, point, labels, model(images))
    named, _ = validate.collect(model, batches(images), head=ZOO[name])
    assert torch.equal(named.H, point.H)
    assert torch.equal(named.W, point.W)


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "convnext_atto"])
def test_timm(name):
    timm = pytest.importorskip("timm", reason='needs pip install -e ".[test]"')
    torch.manual_seed(0)
    size = {"img_size": 64} if name.startswith("vit") else {}
    model = timm.create_model(name, num_classes=3, **size).eval()
    point, labels = validate.collect(model, batches())
    assert torch.equal(point.W, model.get_classifier().weight)
    with torch.no_grad():
        expect(model, point, labels, model(IMAGES))


class Named(nn.Module):
    """A language model in Hugging Face's manner: keyword arguments in, a mapping or tuple out, logits a token."""

    def __init__(self, out: type):
        super().__init__()
        self.out = out
        self.embedding = nn.Embedding(11, 6)
        self.body = nn.Linear(6, 6)
        self.lm_head = nn.Linear(6, 11, bias=False)

    def forward(self, input_ids, attention_mask=None):
        hidden = torch.relu(self.body(self.embedding(input_ids)))
        if attention_mask is not None:
            hidden = hidden * attention_mask[..., None]
        logits = self.lm_head(hidden)
        return {"logits": logits, "hidden": hidden} if self.out is dict else (logits, hidden)


TOKENS = torch.randint(11, (4, 9), generator=torch.Generator().manual_seed(0))
MASK = torch.ones(4, 9)
FORMS = {
    "mappings with labels": [{"input_ids": TOKENS, "attention_mask": MASK, "labels": TOKENS}],
    "keyword arguments and labels": [({"input_ids": TOKENS, "attention_mask": MASK}, TOKENS)],
    "a tuple of arguments": [((TOKENS, MASK), TOKENS)],
    "a tensor": [(TOKENS[:2], TOKENS[:2]), (TOKENS[2:], TOKENS[2:])],
}


@pytest.mark.parametrize("out", [dict, tuple])
@pytest.mark.parametrize("loader", FORMS.values(), ids=FORMS)
def test_every_position_of_a_sequence_is_a_sample(loader, out):
    torch.manual_seed(0)
    model = Named(out)
    point, labels = validate.collect(model, loader)
    answer = model(TOKENS)
    logits = answer["logits"] if out is dict else answer[0]
    expect(model, point, labels, logits.detach().flatten(0, 1))
    assert point.H.shape == (36, 6)
    assert torch.equal(labels, TOKENS.flatten())
    assert not point.b.any()


def test_ignored_positions_are_left_out():
    model, labels = Named(tuple), TOKENS.clone()
    labels[:, 5:] = -100
    point, kept = validate.collect(model, [(TOKENS, labels)])
    assert torch.equal(kept, TOKENS[:, :5].flatten())
    assert len(point.H) == 20


def test_a_head_that_is_called_by_keyword():
    class Keyword(Loose):
        def forward(self, x):
            return self.used(input=x)

    point, _ = validate.collect(Keyword(), [(torch.ones(3, 2), torch.zeros(3).long())])
    assert torch.equal(point.H, torch.ones(3, 2))


def test_a_map_of_positions():
    """Channels-last features, a class for each pixel."""

    class PerPixel(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 5, 1), nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.body(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    images, labels = torch.randn(2, 3, 4, 4), torch.arange(32).view(2, 4, 4) % 2
    point, found = validate.collect(PerPixel(), [(images, labels)])
    assert point.H.shape == (32, 5)
    assert torch.equal(found, labels.flatten())


def test_features_are_made_anew_in_each_pass():
    model = Named(tuple).train()
    stream = validate.Features(model, FORMS["a tensor"])
    assert stream.head is model.lm_head
    point, labels = validate.collect(model, FORMS["a tensor"])
    for features, found in stream:
        assert torch.is_grad_enabled()  # between batches, the caller's own work is not touched
        assert model.training
        assert not any(module._forward_pre_hooks for module in model.modules())
        assert len(features) == len(found) == 18
    expected = asdict(validate.neural_collapse(point, labels, absent="drop"))
    streamed = validate.batch_neural_collapse(stream, stream.W, stream.b, absent="drop")
    assert asdict(streamed) == pytest.approx(expected, rel=1e-9)


class Loose(nn.Module):
    """Has a Linear layer that it does not use."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x)


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.body(x))


VECTORS, CLASSES = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 3


@dataclass
class Output:
    hidden: tuple
    logits: dict


class Nested(Base):
    """Tensors deep inside of what goes in and what comes out."""

    def forward(self, x):
        hidden = self.body(x["a"][0])
        return Output((hidden,), {"main": [self.head(hidden)]})


class Tied(Base):
    """Logits with the embedding's weights, by a function: no layer makes them."""

    def forward(self, x):
        return {"logits": [nn.functional.linear(self.body(x), torch.ones(11, 5))]}


class Overwriting(Base):
    def forward(self, x):
        hidden = self.body(x)
        logits = self.head(hidden)
        hidden.zero_()
        return logits


class Twice(Base):
    """A second view of the same samples, and the samples themselves."""

    def forward(self, x):
        return super().forward(-x), super().forward(x)


def test_tensors_deep_inside():
    model = Nested()
    point, _ = validate.collect(model, [({"x": {"a": [VECTORS]}}, CLASSES)])
    assert torch.equal(point.W, model.head.weight)
    moved = to_device({"a": [VECTORS, 1], "b": (CLASSES, "text")}, torch.device("meta"))
    assert moved["a"][0].is_meta
    assert moved["b"][0].is_meta
    assert (moved["a"][1], moved["b"][1]) == (1, "text")


@pytest.mark.parametrize("kind", [Overwriting, Twice])
def test_features_are_what_the_head_saw_last(kind):
    model = kind()
    point, _ = validate.collect(model, [(VECTORS, CLASSES)])
    torch.testing.assert_close(point.logits, Base.forward(model, VECTORS))


WRAPPED = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "data parallel": nn.DataParallel,
    "in a sequence": lambda model: nn.Sequential(nn.Identity(), nn.Sequential(model)),
    "frozen": lambda model: model.requires_grad_(False),
    "scripted by fx": torch.fx.symbolic_trace,
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_models(wrap):
    base = Base().train()
    model = wrap(base)
    batches = [(VECTORS, CLASSES), (2 * VECTORS, CLASSES)]
    expected = base(torch.cat([VECTORS, 2 * VECTORS])).detach()
    point, labels = validate.collect(model, batches)
    expect(model, point, labels, expected)
    assert base.head.weight.requires_grad == (wrap is not WRAPPED["frozen"])


def test_a_compiled_model_that_has_run_already():
    """What was compiled without hooks does not run them."""
    base = Base().eval()
    model = torch.compile(base, backend="eager")
    with torch.no_grad():
        expected = model(VECTORS)
    point, labels = validate.collect(model, [(VECTORS, CLASSES)])
    expect(model, point, labels, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_formats(dtype):
    point, labels = validate.collect(Base().to(dtype), [(VECTORS.to(dtype), CLASSES)])
    assert point.H.dtype == point.W.dtype == dtype
    assert asdict(validate.neural_collapse(point, labels)) == asdict(validate.neural_collapse(point.double(), labels))
    assert validate.compare(point, labels, lambda_w=1e-2).certificate.verdict == "not critical"


LABELS = {
    "int32": CLASSES.int(),
    "uint8": CLASSES.to(torch.uint8),
    "a list": CLASSES.tolist(),
    "numpy": CLASSES.numpy(),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(labels):
    model = Base()
    found, expected = (validate.collect(model, [(VECTORS, given)]) for given in (labels, CLASSES))
    assert validate.neural_collapse(*found) == validate.neural_collapse(*expected)


REFUSED_HEADS = {
    "tied by a function": (Tied, r"'body', has 5 outputs, and the model's have shapes \(7, 11\): its logits come from"),
    "one-hot labels": (Base, r"need labels of shape \(7,\), class numbers; got \(7, 3\).*pass argmax"),
}


@pytest.mark.parametrize(("kind", "message"), REFUSED_HEADS.values(), ids=REFUSED_HEADS)
def test_what_would_be_measured_wrongly_is_refused(kind, message):
    labels = nn.functional.one_hot(CLASSES) if kind is Base else CLASSES
    model = kind()
    with pytest.raises(InputError, match=message):
        validate.collect(model, [(VECTORS, labels)])
    assert not any(module._forward_pre_hooks for module in model.modules())


REFUSED = {
    "no labels": ([{"x": torch.ones(1, 2)}], None, 'needs an entry "labels"'),
    "a data set": ([(torch.ones(2), 1)], None, "yields samples, and must yield batches of them"),
    "a number": (3, None, r"the loader must yield batches \(inputs, labels\), got int"),
    "no pairs": ([torch.ones(2, 2, 2)], None, "must yield pairs"),
    "one label a sequence": ([(torch.ones(3, 4, 2), torch.zeros(3).long())], None, r"need labels of shape \(3, 4\)"),
    "a layer that is not used": ([(torch.ones(3, 2), torch.zeros(3).long())], "unused", "did not run through the head"),
    "all ignored": ([(torch.ones(1, 2), torch.tensor([-100]))], None, "no batch with samples"),
}


@pytest.mark.parametrize(("loader", "head", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(loader, head, message):
    with pytest.raises(InputError, match=message):
        validate.collect(Loose(), loader, head=head)
