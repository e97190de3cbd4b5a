"""What callers hand in: labels of any whole type, features that track gradients, and what is no point and no batch."""

import pytest
import torch
from torch import nn

import ufm
import validate
from ufm import InputError


def drawn(K=3):
    generator = torch.Generator().manual_seed(K)
    y = torch.arange(12) % K
    H, W, b = (torch.randn(*shape, generator=generator).double() for shape in ((12, 4), (K, 4), (K,)))
    return ufm.Point(W, H, b), y


def of_batches(point, y):
    return validate.batch_neural_collapse([(point.H[:5], y[:5]), (point.H[5:], y[5:])], point.W, point.b).nc1


def streamed(point, y):
    metric = validate.NeuralCollapseMetric(point.num_classes)
    metric.update(point.H, y)
    return float(metric.compute()["nc1"])


def of_layers(point, y):
    return validate.layers(nn.Sequential(nn.Identity()), [(point.H, y)], names=["0"])[0].nc1


ROUTES = (lambda point, y: validate.neural_collapse(point, y).nc1, of_batches, streamed, of_layers)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("K", "dtype"), [(2, torch.bool), (2, torch.uint8), (3, torch.uint8), (3, torch.int8)])
def test_labels_of_any_whole_type_are_numbers_and_no_masks(route, K, dtype):
    point, y = drawn(K)
    assert route(point, y.to(dtype)) == pytest.approx(route(point, y), rel=1e-9)


@pytest.mark.parametrize("route", ROUTES)
def test_features_that_track_gradients_are_measured_and_leave_nothing_behind(route):
    point, y = drawn()
    expected = route(point, y)
    tracked = ufm.Point(*(part.clone().requires_grad_() for part in (point.W, point.H, point.b)))
    assert route(tracked, y) == pytest.approx(expected, rel=1e-9)
    assert route(point, y) == pytest.approx(expected, rel=1e-9)


METRICS = {
    "neural_collapse": validate.neural_collapse,
    "per_class": validate.per_class,
    "by_group": validate.by_group,
    "last_layer": validate.last_layer,
    "hyperspherical": validate.hyperspherical,
    "alignment": validate.alignment,
    "frames": validate.frames,
    "generalized": validate.generalized_collapse,
    "multilabel": validate.multilabel_collapse,
    "regression": validate.regression_collapse,
    "detection": lambda point, y: validate.out_of_distribution(point, torch.zeros(2, 4), torch.zeros(2, 4), y),
    "compare": lambda point, y: validate.compare(point, y, lambda_w=1e-3),
    "spheres": validate.compare_on_spheres,
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("given", [torch.zeros(12, 4), nn.Linear(4, 3)], ids=["features", "a model"])
def test_what_is_no_point_is_refused(metric, given):
    with pytest.raises(InputError, match=rf"metrics are of a ufm.Point, got {type(given).__name__}"):
        metric(given, drawn()[1])


def test_tensors_in_the_place_of_batches_are_refused():
    point, y = drawn()
    with pytest.raises(InputError, match=r"got one of Tensor; of a single batch: \[\(features, labels\)\]"):
        validate.batch_neural_collapse((point.H, y), point.W, point.b)
    with pytest.raises(InputError, match=r"got one of \(ndarray, ndarray\)"):
        validate.batch_neural_collapse([(point.H.numpy(), y.numpy())], point.W, point.b)
    for reference in (point.H, (point.H, y), [point.H, y]):
        with pytest.raises(InputError, match=r"reference must be \(point, labels\).* of tensors"):
            validate.neural_collapse(point, y, reference=reference)


@pytest.mark.parametrize(
    "call",
    [validate.collect, validate.collect_tokens, lambda model, loader: validate.layers(model, loader, names=["0"])],
)
def test_what_is_no_model_is_refused(call):
    with pytest.raises(InputError, match=r"the model must be a torch.nn.Module, got function"):
        call(lambda x: x, [])
