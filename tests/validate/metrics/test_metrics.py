"""NC1 to NC4 against their definitions in numpy, on known points, and where naive routes break."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import ufm
from tests.cases import PROBLEMS, orthogonal, random_point
from ufm import InputError, Point
from validate import NeuralCollapseMetric, batch_neural_collapse, last_layer, neural_collapse, per_class
from validate.metrics.neural_collapse import collapse
from validate.statistics.classes import class_means_only, class_statistics
from validate.statistics.within import Scatter


def naive(point: Point, labels: torch.Tensor) -> dict[str, float]:
    """The definitions of Zhu et al. through d x d covariances and numpy's pseudo-inverse, by loops."""
    W, H, b, y = point.W.numpy(), point.H.numpy(), point.b.numpy(), labels.numpy()
    K, d = W.shape
    means = np.stack([H[y == k].mean(0) for k in range(K)])
    overall = H.mean(0)
    within, between = np.zeros((d, d)), np.zeros((d, d))
    for h, k in zip(H, y, strict=True):
        within += np.outer(h - means[k], h - means[k]) / len(H)
    for mean in means:
        between += np.outer(mean - overall, mean - overall) / K
    simplex = (np.eye(K) - 1 / K) / math.sqrt(K - 1)

    def distance(gram):
        return np.linalg.norm(gram / np.linalg.norm(gram) - simplex)

    def cosines(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.array([unit[i] @ unit[j] for i in range(K) for j in range(K) if i != j])

    def variation(rows):
        norms = np.linalg.norm(rows, axis=1)
        return np.std(norms) / np.mean(norms)

    centred = means - overall
    variances = [np.mean([np.sum((h - means[k]) ** 2) for h in H[y == k]]) for k in range(K)]
    pairs = [(i, j) for i in range(K) for j in range(K) if i != j]
    sizes = np.linalg.svd(centred, compute_uv=False)
    sizes = sizes[sizes > 1e-12 * sizes[0]]
    condition = (sizes[0] / sizes[-1]) ** 2
    sizes = sizes / sizes.sum()
    angles = {"w": cosines(W), "means": cosines(centred)}
    nearest = np.array([np.argmin(np.linalg.norm(means - h, axis=1)) for h in H])
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-12)) / K,
        "nc2": distance(W @ W.T),
        "nc3": distance(W @ (means - overall).T),
        "nc4": np.linalg.norm(b + W @ overall),
        "nearest_center_disagreement": np.mean((H @ W.T + b).argmax(1) != nearest),
        "nearest_center_accuracy": np.mean(nearest == y),
        "nc1_quotient": np.trace(within) / np.trace(between),
        "nc1_worst_class": max(variances) / np.trace(between),
        "cdnv": np.mean([(variances[i] + variances[j]) / 2 / np.sum((means[i] - means[j]) ** 2) for i, j in pairs]),
        "nc2_means": distance(centred @ centred.T),
        "self_duality": np.linalg.norm(W / np.linalg.norm(W) - centred / np.linalg.norm(centred)),
        "equinorm_w": variation(W),
        "equinorm_means": variation(centred),
        "condition": condition,
        "effective_rank": np.exp(-np.sum(sizes * np.log(sizes))),
        **{f"equiangularity_{name}": np.std(found) for name, found in angles.items()},
        **{f"simplex_angles_{name}": np.mean(np.abs(found + 1 / (K - 1))) for name, found in angles.items()},
        **{f"coherence_{name}": np.max(np.abs(found + 1 / (K - 1))) for name, found in angles.items()},
    }


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "two classes", "d < K - 1", "d = 1"])
@pytest.mark.parametrize("seed", range(3))
def test_equal_the_definitions(name, seed):
    problem = PROBLEMS[name]
    point = random_point(problem, seed)
    found = dataclasses.asdict(neural_collapse(point, problem.labels))
    expected = naive(point, problem.labels)
    assert set(found) - set(expected) == {"rank"}
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, rel=1e-9, abs=2e-14), metric
    assert found["rank"] == min(problem.num_classes - 1, problem.dim)


def test_zero_at_the_minimiser():
    problem = PROBLEMS["balanced"]
    point = ufm.minimize(problem, tol=1e-13, reduce=False).point
    metrics = neural_collapse(point, problem.labels)
    assert metrics.nc1 < 1e-20
    apart = {"nc1", "nc1_quotient", "rank", "condition", "effective_rank", "nearest_center_accuracy"}
    others = set(dataclasses.asdict(metrics)) - apart
    # cdnv and the worst class are variances over squared distances; all others are of first order.
    assert max(getattr(metrics, name) for name in others) < 1e-8 * math.sqrt(problem.num_classes)
    assert metrics.effective_rank == pytest.approx(3)
    assert metrics.nearest_center_disagreement == 0
    assert metrics.nearest_center_accuracy == 1
    assert metrics.condition == pytest.approx(1)


LONGER = torch.tensor([[1.5, 1, 1, 1, 1, 1]], dtype=torch.float64)  # stretches the first feature

PLANTED = {
    "nc1": lambda p: dataclasses.replace(p, H=p.H + 0.1 * torch.randn(p.H.shape, dtype=torch.float64)),
    "nc2": lambda p: dataclasses.replace(p, W=p.W * torch.tensor([[1.0], [1.1], [1.0], [1.0]], dtype=torch.float64)),
    "nc3": lambda p: dataclasses.replace(p, H=p.H @ orthogonal(6)),
    "nc4": lambda p: dataclasses.replace(p, b=p.b + 0.01),
    "nearest_center_disagreement": lambda p: dataclasses.replace(p, W=p.W.roll(1, 0)),
    "nc1_quotient": lambda p: dataclasses.replace(p, H=p.H + 0.1 * torch.eye(len(p.H), 6).double()),
    "nc1_worst_class": lambda p: dataclasses.replace(p, H=p.H + 0.1 * torch.eye(len(p.H), 6).double()),
    "cdnv": lambda p: dataclasses.replace(p, H=p.H + 0.1 * torch.eye(len(p.H), 6).double()),
    "nc2_means": lambda p: dataclasses.replace(p, H=p.H * LONGER[0]),
    "equinorm_w": lambda p: dataclasses.replace(p, W=p.W * torch.tensor([[1.0], [1.1], [1.0], [1.0]]).double()),
    "equinorm_means": lambda p: dataclasses.replace(p, H=p.H + torch.arange(12)[:, None].double() // 3 * p.H),
    "equiangularity_w": lambda p: dataclasses.replace(p, W=p.W * LONGER),
    "equiangularity_means": lambda p: dataclasses.replace(p, H=p.H * LONGER),
    "simplex_angles_w": lambda p: dataclasses.replace(p, W=p.W * LONGER),
    "simplex_angles_means": lambda p: dataclasses.replace(p, H=p.H * LONGER),
    "coherence_w": lambda p: dataclasses.replace(p, W=p.W * LONGER),
    "coherence_means": lambda p: dataclasses.replace(p, H=p.H * LONGER),
    "self_duality": lambda p: dataclasses.replace(p, W=p.W @ orthogonal(6)),
}


@pytest.mark.parametrize("metric", PLANTED)
def test_planted_departures_are_seen(metric):
    problem = PROBLEMS["balanced"]
    point = PLANTED[metric](problem.expand(ufm.global_minimizer(problem)))
    assert getattr(neural_collapse(point, problem.labels), metric) > 1e-4


@pytest.mark.parametrize("scale", [1e-3, 1e-6, 1e-9])
def test_nc1_is_exact_deep_into_collapse(scale):
    """Features mean_k + scale * noise, noise orthogonal to the means' span: NC1 falls as scale^2, exactly."""
    K, n, d = 4, 5, 12
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(K, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(K, n, d, generator=generator, dtype=torch.float64)
    noise -= noise.mean(1, keepdim=True)
    labels = torch.arange(K).repeat_interleave(n)

    def nc1(size):
        H = (means[:, None] + size * noise).reshape(K * n, d)
        return neural_collapse(Point(torch.ones(K, d, dtype=torch.float64), H, torch.zeros(K).double()), labels).nc1

    # Rounding of mean + scale * noise itself, about 1e-16 / scale of each deviation, is all that is lost.
    assert nc1(scale) == pytest.approx(scale**2 * nc1(1.0), rel=1e-5 if scale < 1e-8 else 1e-7)


def test_invariances():
    problem = PROBLEMS["imbalanced"]
    point, labels = random_point(problem), problem.labels
    reference = dataclasses.asdict(neural_collapse(point, labels))
    shift = torch.full((problem.dim,), 3.0, dtype=torch.float64)
    for other in (point.rotated(orthogonal(problem.dim)), Point(point.W, point.H + shift, point.b - point.W @ shift)):
        assert dataclasses.asdict(neural_collapse(other, labels)) == pytest.approx(reference, rel=1e-9)


def test_collapsed_point_stands_for_its_samples():
    problem = PROBLEMS["imbalanced"]
    means = problem.class_means(random_point(problem))
    short = dataclasses.asdict(neural_collapse(means, problem.labels))
    full = dataclasses.asdict(neural_collapse(problem.expand(means), problem.labels))
    for name in ("nc2", "nc3", "nc4", "condition"):
        assert short[name] == pytest.approx(full[name], rel=1e-12)
    assert short["nc1"] == 0.0


def test_where_a_metric_has_no_value():
    zeros = Point(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3))
    metrics = neural_collapse(zeros)
    assert math.isnan(metrics.nc1)
    assert math.isnan(metrics.nc2)
    spread = Point(torch.ones(2, 1), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.zeros(2))
    assert neural_collapse(spread, torch.tensor([0, 0, 1, 1])).nc1 == math.inf


DEGENERATE = {
    "all features zero": (torch.zeros(6, 3), "nan"),
    "all features equal": (torch.full((6, 3), 0.1), "nan"),
    "all features equal, their means rounded": (torch.full((30, 3), 0.1, dtype=torch.float64), "nan"),
    "means equal, features not": (torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]] * 3), "inf"),
}


@pytest.mark.parametrize(("H", "value"), DEGENERATE.values(), ids=DEGENERATE)
def test_features_without_class_structure(H, value):
    point = Point(torch.eye(3).to(H), H, torch.zeros(3).to(H))
    found = dataclasses.asdict(neural_collapse(point, torch.arange(len(H)) // (len(H) // 3)))
    assert str(found["nc1"]) == value
    assert found["rank"] == 0
    undefined = {name for name, number in found.items() if math.isnan(number)}
    assert {"nc2_means", "nc3", "condition", "effective_rank", "equinorm_means", "self_duality"} <= undefined
    assert "nearest_center_disagreement" in undefined  # no centre is nearer than another
    assert math.isnan(per_class(point, torch.arange(len(H)) // (len(H) // 3))[0]["nearest_center_disagreement"])
    assert not {"nc2", "nc4", "equinorm_w", "coherence_w"} & undefined


WITHIN = {"nc1", "nc1_quotient", "nc1_worst_class", "cdnv", "nearest_center_accuracy"}


def of_point(point, labels, **settings):
    return dataclasses.asdict(neural_collapse(point, labels, **settings))


def of_batches(point, labels, **settings):
    labels = torch.arange(len(point.H)) if labels is None else labels
    return dataclasses.asdict(batch_neural_collapse([(point.H, labels)], point.W, point.b, **settings))


def streamed(point, labels, **settings):
    metric = NeuralCollapseMetric(point.num_classes, **settings)
    metric.update(point.H, torch.arange(len(point.H)) if labels is None else labels)
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("route", [of_point, of_batches, streamed])
@pytest.mark.parametrize("labels", [None, torch.arange(5), torch.arange(5).flip(0)])
@pytest.mark.parametrize("rows", [5, 3])
def test_class_means_alone_say_nothing_of_what_varies_within_a_class(route, labels, rows):
    """Whatever the means are: 0 would be said of every network, collapsed or not."""
    point = random_point(PROBLEMS["one sample each"])
    found = route(point, labels, rows=rows)
    undefined = {name for name, value in found.items() if math.isnan(value)}
    no_classifier = {name for name in streamed(point, labels) if "_w" in name[-2:]} | {"nc2", "nc3", "nc4"}
    allowed = no_classifier | {"self_duality", "nearest_center_disagreement"} if route is streamed else set()
    assert undefined - allowed == WITHIN
    assert found["rank"] == 4


def test_one_class_of_two_samples_is_enough_to_see_within():
    problem = PROBLEMS["imbalanced"]  # 1, 2 and 5 samples
    point, labels = random_point(problem), problem.labels
    few = torch.tensor([0, 1, 2, 3])
    found = of_point(Point(point.W, point.H[few], point.b), labels[few])
    assert all(found[name] > 0 for name in WITHIN)
    single, *others = per_class(point, labels)
    assert math.isnan(single["nc1"])
    assert math.isnan(single["nc1_quotient"])
    assert all(row["nc1"] > 0 and row["nc1_quotient"] > 0 for row in others)


def test_classes_that_are_there_decide_whether_within_is_seen():
    point = random_point(PROBLEMS["one sample each"])
    kept = Point(point.W, point.H[:3], point.b)
    found = of_point(kept, torch.tensor([0, 2, 3]), absent="drop")
    assert {name for name, value in found.items() if math.isnan(value)} == WITHIN
    assert class_means_only(kept, torch.tensor([0, 2, 3]))
    assert not class_means_only(kept, torch.tensor([0, 2, 2]))


def test_an_absent_class_can_be_dropped():
    problem = PROBLEMS["imbalanced"]
    point, labels = random_point(problem), problem.labels
    there = labels != 1
    without = Point(point.W, point.H[there], point.b)
    renumbered = torch.where(labels[there] == 2, 1, 0)
    kept = Point(point.W[[0, 2]], point.H[there], point.b[[0, 2]])
    dropped = neural_collapse(without, labels[there], absent="drop")
    assert dataclasses.asdict(dropped) == pytest.approx(dataclasses.asdict(neural_collapse(kept, renumbered)))
    with pytest.raises(InputError, match=r'no sample of class 1 .*absent="drop"'):
        neural_collapse(without, labels[there])
    with pytest.raises(InputError, match="at least 2 classes, got 1"):
        neural_collapse(without, torch.zeros(len(renumbered)).long(), absent="drop")
    with pytest.raises(InputError, match="absent must be"):
        neural_collapse(without, labels[there], absent="ignore")


def test_a_collapsed_point_can_stand_for_samples_that_lack_a_class():
    point = random_point(ufm.Problem.balanced(4, 1, 6, lambda_w=1, lambda_h=1))
    labels = torch.tensor([0, 0, 0, 2, 3])
    found = dataclasses.asdict(neural_collapse(point, labels, absent="drop"))
    kept = Point(point.W, point.H[labels], point.b)
    expected = dataclasses.asdict(neural_collapse(kept, labels, absent="drop"))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("K", [4, 9])
def test_means_in_fewer_dimensions_than_there_are(K):
    """Along two of five dimensions; the rounding in the others is no between-class direction. K - 1 <= d and above."""
    problem = ufm.Problem.balanced(K, 5, 5, lambda_w=1, lambda_h=1)
    point = random_point(problem)
    means = point.W[:, :2] @ torch.tensor([[1.0, 2, 3, 4, 5], [5, 0, 1, 2, 1]], dtype=torch.float64)
    deviations = point.H - problem.class_means(point).H[problem.labels]
    flat = Point(point.W, means[problem.labels] + 0.1 * deviations, point.b)
    found = neural_collapse(flat, problem.labels)
    assert found.rank == 2
    assert found.nc1 == pytest.approx(naive(flat, problem.labels)["nc1"], rel=1e-8)
    assert found.condition < 100


def test_rounding_below_zero_is_zero():
    problem = PROBLEMS["balanced"]
    statistics = class_statistics(random_point(problem), problem.labels)
    scatter = Scatter(-1e-20 * torch.eye(problem.dim, dtype=torch.float64))
    assert collapse(dataclasses.replace(statistics, within=scatter)).nc1 == 0


def test_nc1_is_never_negative_and_its_condition_is_told():
    """Means along two directions, one 1e-5 of the other; features spread along a third alone."""
    means = torch.tensor([[1.0, 0, 0], [-1.0, 1e-5, 0], [0, -1e-5, 0]], dtype=torch.float64)
    H = means.repeat_interleave(2, 0)
    H[::2, 2], H[1::2, 2] = 3.0, -3.0
    found = neural_collapse(Point(means, H, torch.zeros(3).double()), torch.arange(6) // 2)
    assert 0 <= found.nc1 < 1e-12
    assert found.nc1_quotient > 1
    assert found.rank == 2
    assert 1e9 < found.condition < 1e11


LABELS = {
    "none for samples": (None, "pass the labels"),
    "too few": (torch.zeros(5, dtype=torch.int64), "5 labels for 8 rows"),
    "out of range": (torch.full((8,), 3), r"must lie in 0 \.\. 2"),
    "negative": (torch.full((8,), -1), r"must lie in 0 \.\. 2"),
    "not whole": (torch.zeros(8), "vector of integers"),
    "an empty class": (torch.zeros(8, dtype=torch.int64), "no sample of class 1"),
}


@pytest.mark.parametrize(("labels", "message"), LABELS.values(), ids=LABELS)
def test_refuses_labels(labels, message):
    with pytest.raises(InputError, match=message):
        neural_collapse(random_point(PROBLEMS["imbalanced"]), labels)


def test_float32_features_are_measured_in_float64():
    problem = PROBLEMS["balanced"]
    point = random_point(problem).to(torch.float32)
    ours = dataclasses.asdict(neural_collapse(point, problem.labels))
    assert ours == dataclasses.asdict(neural_collapse(point.double(), problem.labels))


def test_everything_is_computed_where_the_point_is():
    """Not on torch's default device: here one whose tensors hold no numbers."""
    problem = PROBLEMS["imbalanced"]
    point, labels = random_point(problem), problem.labels
    expected = dataclasses.asdict(neural_collapse(point, labels)), per_class(point, labels), last_layer(point, labels)
    with torch.device("meta"):
        found = dataclasses.asdict(neural_collapse(point, labels)), per_class(point, labels), last_layer(point, labels)
        sampled = neural_collapse(point, labels, rows=2)
    assert repr(found) == repr(expected)  # a class of one sample has no nc1: NaN both times
    assert sampled.nc1 == pytest.approx(expected[0]["nc1"])
