"""Every layer in one go: the numbers of validate.neural_collapse on each layer's features, whatever the passes."""

from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.validate.layerwise.networks import Maps, Tokens, broad, cut, draw, perceptron, said
from ufm import InputError, Point
from ufm.results.table import WIDTH
from validate import Layer, Layers, NeuralCollapse, collect, layers, neural_collapse
from validate.metrics.neural_collapse import WITHIN

SHARED = {field.name for field in fields(Layer)} & {field.name for field in fields(NeuralCollapse)}
DATA = {
    "balanced": ((9, 9, 9, 9), 1.0, torch.float64),
    "imbalanced": ((30, 3, 7, 2), 1.0, torch.float64),
    "collapsed": ((9, 9, 9, 9), 1e-7, torch.float64),
    "classes of one sample": ((9, 1, 1, 5), 1.0, torch.float64),
    "single": ((9, 9, 9, 9), 1.0, torch.float32),
    "half": ((9, 9, 9, 9), 1.0, torch.bfloat16),
}


def equal(row: Layer, H: torch.Tensor, labels: torch.Tensor, rel: float = 1e-9, **asked) -> None:
    """That a row has the numbers of the features H."""
    K = int(labels.max()) + 1
    expected = asdict(neural_collapse(Point(H.new_zeros(K, H.shape[1]), H, H.new_zeros(K)), labels, **asked))
    found = asdict(row)
    assert row.dim == H.shape[1]
    assert row.samples == len(H)
    for name in SHARED:
        least = 0 if name in WITHIN else 1e-13
        assert found[name] == pytest.approx(expected[name], rel=rel, abs=least, nan_ok=True), name


@pytest.mark.parametrize("name", DATA)
def test_the_numbers_of_each_layers_features(name):
    counts, spread, dtype = DATA[name]
    model, (inputs, labels) = perceptron(dtype=dtype), draw(counts, spread=spread, dtype=dtype)
    found = layers(model, cut(inputs, labels, 5, 1, 7), names=["3", "1"])
    assert [row.name for row in found] == ["1", "3"]  # as they run
    for row, count in zip(found, (2, 4), strict=True):
        H = torch.cat([said(model, part, count) for part, _ in cut(inputs, labels, 5, 1, 7)])
        equal(row, H, labels, 1e-6 if name == "collapsed" else 1e-9)
    assert found[1].nc1 / found[0].nc1 != pytest.approx(1, rel=1e-3)


def test_the_shared_names_are_those_of_the_features():
    assert {"nc1", "cdnv", "nc2_means", "rank", "condition", "effective_rank", "nc1_worst_class"} < SHARED
    assert not any(name.endswith("_w") for name in SHARED)


MODELS = {
    "perceptron": (lambda: perceptron().float(), lambda: torch.randn(30, 8)),
    "maps": (Maps, lambda: torch.randn(30, 2, 6, 6)),
    "tokens": (lambda: Tokens(mean=True), lambda: torch.randint(7, (30, 4))),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_last_row_is_what_the_head_sees(name):
    model, inputs = MODELS[name][0](), MODELS[name][1]()
    labels = torch.arange(30) % 3
    data = cut(inputs, labels, 11)
    found = layers(model, data)
    point, _ = collect(model, data)
    assert found[-1].name.endswith(":input")
    equal(found[-1], point.H, labels)
    assert len(found) == 2


@pytest.mark.parametrize("keep", [2**29, 4000, 0], ids=["one pass", "in between", "two passes"])
def test_the_passes_do_not_matter(keep):
    model, (inputs, labels) = perceptron(), draw((9, 4, 20, 8))
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    found = layers(model, cut(inputs, labels, 20, 1), names=["1", "3"], keep=keep)
    assert len(calls) == (3 if keep > 10**6 else 6)
    whole = layers(model, [(inputs, labels)], names=["1", "3"])
    for one, other in zip(found, whole, strict=True):
        assert _numbers(one) == pytest.approx(_numbers(other), rel=1e-9, abs=1e-12, nan_ok=True)
        assert one.principal_angles == pytest.approx(other.principal_angles, abs=1e-7)


def _numbers(row: Layer) -> dict[str, float]:
    plain = asdict(row)
    return {name: value for name, value in plain.items() if isinstance(value, int | float)}


def test_a_loader_that_comes_once_is_enough_while_features_are_kept():
    model, (inputs, labels) = perceptron(), draw((9, 9))
    data = cut(inputs, labels, 5)
    assert layers(model, iter(data), names=["1"])[0].nc1 == pytest.approx(layers(model, data, names=["1"])[0].nc1)
    with pytest.raises(InputError, match=r"gave 0 samples and the first 18: it must be iterable more than once"):
        layers(model, iter(data), names=["1"], keep=0)


POOLS = {
    "mean": lambda X: X.mean((2, 3)),
    "flatten": lambda X: X.flatten(1),
    "first": lambda X: X[:, :, 0, 0],
    "last": lambda X: X[:, :, -1, -1],
    "token": lambda X: X.permute(0, 2, 3, 1).reshape(-1, X.shape[1]),
}


@pytest.mark.parametrize("pool", POOLS)
def test_maps_are_pooled_as_asked(pool):
    model, images, labels = Maps().eval(), torch.randn(12, 2, 5, 5), torch.arange(12) % 3
    with torch.no_grad():
        H = POOLS[pool](model.norm(model.stem(images)).double())
    found = layers(model, cut(images, labels, 5), names=["norm"], pool=pool)  # what a ReLU then writes into
    assert found[0].pooling == pool
    equal(found[0], H, labels.repeat_interleave(9) if pool == "token" else labels, 1e-5)
    own = layers(model, cut(images, labels, 5), names=["norm"], pool=POOLS["mean"])
    assert own[0].pooling == "own"
    equal(own[0], POOLS["mean"](model.norm(model.stem(images)).detach()), labels, 1e-5)


def test_a_label_a_position_makes_each_position_a_sample():
    model, words = Tokens(mean=False), torch.randint(7, (10, 4), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40).reshape(10, 4) % 3
    labels[::3, 1] = -100
    found = layers(model, [(words, labels)], names=["embed", "mix", "head:input"])
    point, kept = collect(model, [(words, labels)])
    assert [row.pooling for row in found] == ["token"] * 3
    equal(found[-1], point.H, kept)
    with pytest.raises(InputError, match=r"embed: shape \(10, 4, 6\) gives features of shape \(10, 6\) by 'mean'"):
        layers(model, [(words, labels)], names=["embed"], pool="mean")


def test_samples_that_are_ignored_are_left_out():
    model, (inputs, labels) = perceptron(), draw((9, 9, 9))
    H, there = said(model, inputs, 2), torch.arange(27) % 4 > 0
    ignored = torch.where(there, labels, -100)
    none = inputs[:3], torch.full((3,), -100)  # a batch without any sample
    for data in ([(inputs, ignored)], [none, (inputs, ignored), none]):
        found = layers(model, data, names=["1", "3"])
        equal(found[0], H[there], labels[there])
        assert found[1].cka > 0.5


def test_absent_classes():
    model, (inputs, labels) = perceptron(5), draw((9, 0, 9, 6))
    with pytest.raises(InputError, match="no sample of class 1"):
        layers(model, [(inputs, labels)], names=["1"])
    found = layers(model, [(inputs, labels)], names=["1"], absent="drop", num_classes=5)[0]
    equal(found, said(model, inputs, 2), labels, absent="drop")
    compact = layers(model, [(inputs, torch.tensor([0, 9, 1, 2])[labels])], names=["1"])[0]
    assert _numbers(found) == pytest.approx(_numbers(compact), nan_ok=True)


def test_many_classes_are_sampled():
    model, (inputs, labels) = perceptron(30), draw((3,) * 30)
    found = layers(model, [(inputs, labels)], names=["1"], rows=5)[0]
    every = layers(model, [(inputs, labels)], names=["1"])[0]
    for name in ("cdnv", "nearest_center_accuracy"):
        estimate = getattr(found, name)
        assert abs(estimate - getattr(every, name)) < 4 * estimate.error


def test_the_model_is_left_as_it_was():
    model = Maps().train()
    model.norm.eval()
    modes = [module.training for module in model.modules()]
    images, labels = torch.randn(12, 2, 5, 5), torch.arange(12) % 3
    layers(model, [(images, labels)])
    with pytest.raises(RuntimeError):
        layers(model, [(images[:, :1], labels)], names=["norm"])
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("wide", [2048, 64])
def test_nothing_is_made_on_the_default_device(wide):
    """The default device is "meta", whose tensors have no numbers: what is made without saying where fails."""
    model, data = broad(), cut(*draw((9, 4, 9)), 11)
    expected = layers(model, data, wide=wide)
    with torch.device("meta"):
        found = layers(model, data, wide=wide)
    assert _numbers(found[-1]) == pytest.approx(_numbers(expected[-1]), nan_ok=True)


def nan_labels(model):
    inputs, labels = draw((5, 5))
    inputs[3, 2] = torch.nan
    return layers(model, [(inputs, labels)], names=["1"])


REFUSED = {
    "features have entries that are not finite": nan_labels,
    "1: labels must lie in 0 .. 2, got 0 .. 3": lambda model: layers(
        model, [draw((5, 5, 5, 5))], names=["1"], num_classes=3
    ),
    "collapse is of at least 2 classes": lambda model: layers(model, [draw((5,))], names=["1"]),
    "the loader yielded no batch": lambda model: layers(model, [], names=["1"]),
    "pool must be one of mean, flatten": lambda model: layers(model, [draw((5, 5))], pool="max"),
    "absent must be": lambda model: layers(model, [draw((5, 5))], absent="maybe"),
    'needs an entry "labels"': lambda model: layers(model, [{"input": draw((5, 5))[0]}], names=["1"]),
    "and there are 9 labels": lambda model: layers(model, [(draw((5, 5))[0], torch.zeros(9).long())], names=["1"]),
    "names lists no module": lambda model: layers(model, [draw((5, 5))], names=[]),
    "rows must be >= 2 classes": lambda model: layers(model, [draw((5, 5))], rows=1),
    "no samples: there is nothing": lambda model: layers(model, [(torch.ones(4, 8).double(), torch.full((4,), -100))]),
    "wide must be >= 64": lambda model: layers(model, [draw((5, 5))], wide=2),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refuses(message):
    with pytest.raises(InputError) as error:
        REFUSED[message](perceptron())
    assert message in str(error.value)


def test_a_module_that_does_not_run_is_refused():
    model = perceptron()
    model.add_module("idle", nn.Linear(4, 4))
    model.forward = lambda x: nn.Sequential(*list(model)[:-1])(x)
    with pytest.raises(InputError, match="did not run through idle"):
        layers(model, [draw((5, 5))], names=["1", "idle"])


def test_the_result_is_a_sequence_that_is_written_and_read():
    found = layers(broad(), [draw((9, 9, 9))], names=["1", "3"], wide=64)
    assert isinstance(found, Layers)
    assert len(found) == 2
    assert found["3"] is found[-1] is list(found)[1]
    assert found[:1] == (found[0],)
    with pytest.raises(InputError, match="no layer named '2'; there are 1, 3"):
        found["2"]
    again = Layers.from_plain(found.plain())
    assert again[1].cka.error == found[1].cka.error > 0
    unknown = {"cka": 0, "rank_features": 0, "stable_rank_features": 0}  # NaN of a wide layer, which equals nothing
    assert replace(again[0], **unknown) == replace(found[0], **unknown)


def test_a_table_has_a_row_a_layer():
    found = layers(perceptron(), [draw((9, 9, 9))], names=["1", "3"])
    lines = repr(found).splitlines()
    assert [line.split()[0] for line in lines] == ["2", "name", "1", "3", "a"]
    assert max(map(len, lines)) <= WIDTH
    frame = found.to_pandas()
    assert list(frame["name"]) == ["1", "3"]
    assert {one.name for one in fields(Layer)} - set(frame) == {"principal_angles"}
    np.testing.assert_array_equal(frame["largest_angle"], [row.largest_angle for row in found])
    assert f"a layer multiplies D by {found.law.rate:.6g}" in found._repr_html_()
