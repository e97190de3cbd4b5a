"""One pass in any batches, any order and any split over ranks: the same numbers as from all features at once."""

import copy
import math
import warnings
from dataclasses import asdict

import pytest
import torch
import torchmetrics
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.cases import PROBLEMS, random_point
from tests.validate.loops.ranks import leave
from ufm import InputError, Point
from validate import NeuralCollapseMetric, batch_neural_collapse, neural_collapse

UNSEEN = {"nearest_center_disagreement", "nearest_center_accuracy"}
SIZES = {"K <= d": (4, 7), "K - 1 = d": (4, 3), "K > d": (6, 3), "d = 1": (3, 1)}


def layer_of(point: Point) -> nn.Linear:
    layer = nn.Linear(point.dim, point.num_classes, dtype=torch.float64)
    layer.weight.data, layer.bias.data = point.W.clone(), point.b.clone()
    return layer


def draw(K: int, d: int, seed: int = 0, N: int = 40) -> tuple[Point, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(K), torch.randint(K, (N - K,), generator=generator)])
    W, H, b = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((K, d), (N, d), (K,)))
    return Point(W, H + 2 * W[labels], b), labels


def numbers(metric: NeuralCollapseMetric) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def streamed(point: Point, labels: torch.Tensor, cuts: list[int], order: torch.Tensor) -> NeuralCollapseMetric:
    metric = NeuralCollapseMetric(point.num_classes, head=layer_of(point))
    for part in torch.tensor_split(order, cuts):
        metric.update(point.H[part], labels[part])
    return metric


def agree(found: dict[str, float], expected: dict[str, float], rel: float = 1e-9) -> None:
    for name, value in expected.items():
        if name not in UNSEEN:
            assert found[name] == pytest.approx(value, rel=rel, abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@given(seed=st.integers(0, 1000), data=st.data())
def test_batches_and_order_do_not_matter(size, seed, data):
    point, labels = draw(*size, seed)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(labels)), max_size=6)))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    found = numbers(streamed(point, labels, cuts, order))
    agree(found, asdict(neural_collapse(point, labels)))
    assert all(math.isnan(found[name]) for name in UNSEEN)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@settings(max_examples=30)
@given(seed=st.integers(0, 1000), ranks=st.lists(st.integers(0, 2), min_size=40, max_size=40))
def test_the_split_over_ranks_does_not_matter(size, seed, ranks):
    """torchmetrics' own synchronisation, with what each rank would send. One rank may have nothing."""
    point, labels = draw(*size, seed)
    ranks, layer = torch.tensor(ranks), layer_of(point)
    metrics = [
        NeuralCollapseMetric(
            point.num_classes,
            head=layer,
            distributed_available_fn=lambda: True,
            dist_sync_fn=lambda mine, group=None: [getattr(metric, name_of(mine)) for metric in metrics],
        )
        for _ in range(3)
    ]

    def name_of(state):
        return next(name for name in metrics[0]._defaults if getattr(metrics[0], name) is state)

    for rank, metric in enumerate(metrics):
        metric.update(point.H[ranks == rank], labels[ranks == rank])
    expected = asdict(neural_collapse(point, labels))
    agree(numbers(metrics[0]), expected)
    assert metrics[0].means.ndim == 2  # its own state again
    merged = NeuralCollapseMetric(point.num_classes, head=layer)
    merged.merge_state(metrics[0])
    for metric in metrics[1:]:
        merged.merge_state(metric.metric_state)
    agree(numbers(merged), expected)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_two_passes_see_single_samples_too(size, seed, cuts):
    point, labels = draw(*size, seed)
    parts = torch.tensor_split(torch.arange(len(labels)), sorted(cuts))
    batches = [(point.H[part], labels[part]) for part in parts]
    found = asdict(batch_neural_collapse(batches, point.W, point.b))
    assert found == pytest.approx(asdict(neural_collapse(point, labels)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("batch", [7, 1000, 4000])
def test_a_spread_of_1e_7_of_the_norm_keeps_nc1(batch):
    """Where the sum of squares less the square of the sum has no digit left."""
    K, d, n = 4, 6, 1000
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(K, d, generator=generator, dtype=torch.float64)
    labels = torch.arange(K * n) % K
    noise = torch.randn(K * n, d, generator=generator, dtype=torch.float64)
    H = means[labels] + 1e-7 * noise
    metric = NeuralCollapseMetric(K)
    for part in torch.randperm(K * n, generator=generator).split(batch):
        metric.update(H[part], labels[part])
    between = (means - means.mean(0)).T @ (means - means.mean(0)) / K
    expected = 1e-14 * torch.linalg.pinv(between, rtol=1e-12).trace() / K
    assert numbers(metric)["nc1"] == pytest.approx(float(expected), rel=0.05)  # of the drawn noise
    centred = H.view(n, K, d) - H.view(n, K, d).mean(0)
    exact = torch.linalg.pinv(between, rtol=1e-12) @ torch.einsum("nki,nkj->ij", centred, centred) / (K * n)
    assert numbers(metric)["nc1"] == pytest.approx(float(exact.trace()) / K, rel=1e-3)


def test_it_is_a_torchmetrics_metric():
    point, labels = draw(4, 5)
    layer = layer_of(point)
    metric = NeuralCollapseMetric(4, head=layer)
    assert isinstance(metric, torchmetrics.Metric)
    assert not list(metric.parameters())
    metric.update(point.H[:9], labels[:9])
    first = metric(point.H[9:20], labels[9:20])  # forward: of this batch, and into the state
    assert float(first["nc1"]) == pytest.approx(
        neural_collapse(Point(point.W, point.H[9:20], point.b), labels[9:20]).nc1
    )
    metric.update(point.H[20:].view(4, 5, 5), labels[20:].view(4, 5))  # every position a sample
    agree(numbers(metric), asdict(neural_collapse(point, labels)))
    again = metric.clone()
    assert again._head.layer is layer
    again.reset()
    assert int(again.counts.sum()) == 0
    with pytest.raises(InputError, match="no sample of class 0"), pytest.warns(UserWarning, match="before"):
        again.compute()
    assert int(metric.counts.sum()) == 40
    collection = torchmetrics.MetricCollection({"collapse": metric})
    assert "nc1" in {name.removeprefix("collapse_") for name in collection.compute()}


def test_features_of_any_type_are_measured_in_float64():
    point, labels = draw(3, 4)
    low = point.H.to(torch.bfloat16)
    metric = NeuralCollapseMetric(3)
    metric.update(low, labels.int())
    expected = asdict(neural_collapse(Point(point.W, low.double(), point.b), labels))
    found = numbers(metric)
    agree(
        {k: v for k, v in found.items() if not math.isnan(v)}, {k: expected[k] for k in found if found[k] == found[k]}
    )
    assert metric.means.dtype == torch.float64


def test_merging_metrics_of_unknown_dimension():
    point, labels = draw(4, 5)
    full, merged = NeuralCollapseMetric(4), NeuralCollapseMetric(4)
    full.update(point.H, labels)
    merged.merge_state(full)
    merged.merge_state(NeuralCollapseMetric(4))
    assert numbers(merged) == pytest.approx(numbers(full), nan_ok=True)
    merged.merge_state(streamed(*draw(4, 5, seed=1), [], torch.arange(40)))  # what was computed is out of date
    assert numbers(merged)["nc1"] != numbers(full)["nc1"]


def test_absent_classes():
    point, labels = draw(4, 5)
    there = labels != 2
    metric = NeuralCollapseMetric(4, absent="drop", head=layer_of(point))
    metric.update(point.H[there], labels[there])
    part = Point(point.W, point.H[there], point.b)
    agree(numbers(metric), asdict(neural_collapse(part, labels[there], absent="drop")))


BAD = {
    "NaN": (torch.tensor([[1.0, torch.nan]]), torch.tensor([0]), "features have entries that are not finite"),
    "infinity": (torch.tensor([[1.0, torch.inf]]), torch.tensor([0]), "features have entries that are not finite"),
    "label too large": (torch.ones(1, 2), torch.tensor([3]), r"labels must lie in 0 \.\. 2, got 3 \.\. 3"),
    "label negative": (torch.ones(1, 2), torch.tensor([-1]), r"labels must lie in 0 \.\. 2"),
    "labels not whole": (torch.ones(1, 2), torch.tensor([0.5]), "labels must be 1 integers"),
    "another d": (torch.ones(1, 5), torch.tensor([0]), r"of shape \(m, 2\), got torch.float32 of shape \(1, 5\)"),
    "whole features": (torch.ones(1, 2).long(), torch.tensor([0]), "features must be floating point"),
    "shapes apart": (torch.ones(2, 2), torch.tensor([0]), r"need labels \(2,\); got \(1,\)"),
}


@pytest.mark.parametrize(("features", "labels", "message"), BAD.values(), ids=BAD)
def test_refuses(features, labels, message):
    metric = NeuralCollapseMetric(3, dim=2)
    metric.update(torch.ones(1, 2), torch.tensor([1]))
    with pytest.raises(InputError, match=message):
        metric.update(features, labels)
    assert int(metric.counts.sum()) == 1


def test_refuses_settings():
    with pytest.raises(InputError, match="num_classes must be >= 2, got 1"):
        NeuralCollapseMetric(1)
    with pytest.raises(InputError, match="the head has 5 outputs for 3 classes"):
        NeuralCollapseMetric(3, head=nn.Linear(2, 5))
    with pytest.raises(InputError, match="absent must be"):
        NeuralCollapseMetric(3, absent="maybe")


def test_batches_that_are_gone_in_the_second_pass_are_refused():
    point, labels = random_point(PROBLEMS["balanced"]), PROBLEMS["balanced"].labels
    with pytest.raises(InputError, match="gave 0 samples and the first 12: they must be iterable more than once"):
        batch_neural_collapse(iter([(point.H, labels)]), point.W)
    with pytest.raises(InputError, match="no batch of features came"):
        batch_neural_collapse([], point.W)


@pytest.mark.parametrize(("W", "b"), [((4, 5), (4,)), ((4, 6), (3,)), ((4,), (4,))])
def test_a_classifier_of_other_features_is_refused(W, b):
    problem = PROBLEMS["balanced"]
    with pytest.raises(InputError, match=r"features of 6 dimensions need W of shape \(K, 6\) and b of shape \(K,\)"):
        batch_neural_collapse([(random_point(problem).H, problem.labels)], torch.ones(W), torch.ones(b))


def two_ranks(rank: int, port: int, folder: str) -> None:
    warnings.simplefilter("ignore")  # of a metric that has seen nothing
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    point, labels = draw(4, 7)
    metric = NeuralCollapseMetric(4, head=layer_of(point))
    metric.update(point.H[rank::2], labels[rank::2])
    from ufm.storage.files import write_json

    lopsided = NeuralCollapseMetric(4)  # rank 1 gets no sample, and was told no dimension
    if rank == 0:
        lopsided.update(point.H, labels)
    write_json(f"{folder}/{rank}.json", [numbers(metric), numbers(lopsided)])
    assert lopsided.means.shape == (4, 0 if rank else 7)  # its own state again
    leave()


def test_two_processes_reduce_to_the_same_numbers(tmp_path):
    import socket

    from ufm.storage.files import read_json

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(two_ranks, (port, str(tmp_path)), nprocs=2, start_method="fork")
    expected = asdict(neural_collapse(*draw(4, 7)))
    for rank in range(2):
        both, lopsided = (
            {name: math.nan if value is None else value for name, value in found.items()}
            for found in read_json(tmp_path / f"{rank}.json")
        )
        agree(both, expected)
        agree(lopsided, {name: expected[name] for name in lopsided if not math.isnan(lopsided[name])})
        assert not math.isnan(lopsided["nc1"])


def test_copies_are_independent():
    metric = NeuralCollapseMetric(2, dim=1)
    other = copy.deepcopy(metric)
    other.update(torch.ones(1, 1), torch.tensor([0]))
    assert int(metric.counts.sum()) == 0


def test_the_example_runs():
    import doctest

    from validate.loops import streaming

    assert doctest.testmod(streaming) == (0, 4)


@pytest.mark.parametrize("layer", [torch.nn.Conv2d(5, 3, 3), torch.nn.ReLU(), torch.nn.Embedding(3, 5)], ids=repr)
def test_a_layer_that_is_no_head_is_refused(layer):
    with pytest.raises(InputError, match="head must be a Linear layer or a convolution of kernel 1"):
        NeuralCollapseMetric(num_classes=3, head=layer)
