"""Many classes: no K x K is formed, the routes agree, and what was sampled says by how much it may be off."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import ufm
from tests.cases import PROBLEMS
from ufm import Point
from validate import Estimate, NeuralCollapseMetric, last_layer, neural_collapse, per_class
from validate.metrics.nc2 import distance_to_simplex
from validate.statistics.blocks import LEAST, blocks
from validate.statistics.estimate import mean_of_rows
from validate.statistics.pairs import Pairs

SAMPLED = {
    "cdnv",
    "nearest_center_disagreement",
    "nearest_center_accuracy",
    *(f"{name}_{of}" for name in ("equiangularity", "simplex_angles", "coherence") for of in ("w", "means")),
}


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation returned, without repeats.

    A tensor may be a part of memory that an earlier call left.
    """

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                stored = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, min(stored, tensor.numel()))
        return result


def draw(K: int, d: int, per_class: int = 2, noise: float = 0.3) -> tuple[Point, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(K * per_class) % K
    means, W, other = (torch.randn(K, d, generator=generator) for _ in range(3))
    H = means[labels] + noise * torch.randn(len(labels), d, generator=generator)
    return Point(means + 0.3 * W, H, 0.1 * other[:, 0]), labels


@pytest.mark.parametrize("rows", [300, 10_000])
def test_no_k_by_k_is_formed(rows):
    K, d = 6000, 8
    point, labels = draw(K, d)
    with Largest() as largest:
        neural_collapse(point, labels, rows=rows)
        last_layer(point, labels)
        metric = NeuralCollapseMetric(K, rows=rows)
        metric.update(point.H, labels)
        metric.compute()
    assert largest.elements <= 2 * LEAST * K < K * K / 20


def test_the_largest_tensor_is_seen():
    with Largest() as largest:
        torch.ones(50, 3) @ torch.ones(3, 70)
    assert largest.elements == 3500


def test_blocks_cover_everything_in_order():
    for length, width in ((0, 5), (1, 10**9), (1000, 10**6), (10**5, 3)):
        found = [i for part in blocks(length, width) for i in (part.start, part.stop)]
        assert found == [] if not length else found[0] == 0 and found[-1] == length
        assert found[1:-1:2] == found[2:-1:2]


@pytest.mark.parametrize(("K", "d"), [(500, 20), (300, 400)])
def test_sampled_metrics_are_within_their_error_of_the_exact_ones(K, d):
    point, labels = draw(K, d, noise=1.0 if d > 100 else 0.6)
    exact = asdict(neural_collapse(point, labels))
    found = asdict(neural_collapse(point, labels, rows=150))
    assert not any(isinstance(value, Estimate) for value in exact.values())
    assert {name for name, value in found.items() if isinstance(value, Estimate)} == SAMPLED
    for name, value in found.items():
        if name not in SAMPLED:
            assert value == pytest.approx(exact[name], rel=1e-9), name
        elif math.isinf(value.error):
            assert value <= exact[name]
        else:
            decided = name in ("nearest_center_disagreement", "nearest_center_accuracy")
            assert value.error < 0.2 * exact[name] or decided
            assert abs(value - exact[name]) <= 4 * value.error, name
            assert value != exact[name] or decided


def test_the_truth_lies_within_three_standard_errors():
    """Of populations of classes that are drawn anew, 98 to 100 % of the time, with a spread of about one error."""
    away = []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        means, W = torch.randn(2, 200, 8, generator=generator, dtype=torch.float64)
        labels = torch.cat([torch.arange(200), torch.randint(20, (200,), generator=generator)])
        H = means[labels] + 0.7 * torch.randn(400, 8, generator=generator, dtype=torch.float64)
        point = Point(means + 0.5 * W, H, torch.zeros(200).double())
        exact, found = (asdict(neural_collapse(point, labels, rows=rows)) for rows in (200, 60))
        away += [
            (found[name] - exact[name]) / found[name].error for name in SAMPLED if not name.startswith("coherence")
        ]
    away = torch.tensor(away)
    assert float((away.abs() <= 3).double().mean()) > 0.98
    assert 0.8 < float(away.std()) < 1.2


def test_a_sample_of_everything_is_exact():
    point, labels = draw(50, 7)
    found = asdict(neural_collapse(point, labels, rows=50))
    assert found == asdict(neural_collapse(point, labels, rows=51))
    assert str(neural_collapse(point, labels, rows=20).cdnv).count("±") == 1
    assert str(neural_collapse(point, labels, rows=20).coherence_w).endswith("or more")


@pytest.mark.parametrize("overlap", [1.0, 0.1, 1e-3])
def test_both_routes_to_nc2_agree(overlap):
    """Deep into collapse the traces lose digits, as their docstring says."""
    K, d = 40, 60
    simplex = torch.eye(K, d, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    X, Y = (
        simplex - simplex.mean(0) + overlap * torch.randn(K, d, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    by_entries = distance_to_simplex(Pairs(X, K, Y))
    by_traces = distance_to_simplex(Pairs(X, K - 1, Y))
    assert by_traces == pytest.approx(by_entries, abs=1e-14 / by_entries)
    A = X.numpy() @ Y.numpy().T
    direct = A / np.linalg.norm(A) - (np.eye(K) - 1 / K) / math.sqrt(K - 1)
    assert by_entries == pytest.approx(np.linalg.norm(direct), rel=1e-12)


def test_a_collapsed_point_of_many_classes():
    problem = ufm.Problem.balanced(40, 3, 50, lambda_w=1e-4, lambda_h=1e-4)
    found = neural_collapse(ufm.global_minimizer(problem), problem.labels, rows=10)
    assert found.nc2 < 1e-6
    assert found.nearest_center_disagreement == 0
    assert found.nearest_center_disagreement.error > 0.01  # about ten of forty classes were looked at


def test_the_standard_error_is_that_of_the_mean():
    """Of many samples without replacement, the spread is what each says of itself."""
    generator = torch.Generator().manual_seed(0)
    population = torch.randn(60, generator=generator, dtype=torch.float64)
    found = [mean_of_rows(population[torch.randperm(60, generator=generator)[:40]], 60) for _ in range(2000)]
    spread = float(torch.tensor([float(value) for value in found]).std())
    typical = float(torch.tensor([value.error for value in found]).square().mean().sqrt())
    assert typical == pytest.approx(spread, rel=0.1)
    assert not isinstance(mean_of_rows(population, 60), Estimate)


def test_an_estimate_survives_asdict_and_json(tmp_path):
    from ufm.storage.files import read_json, write_json

    value = Estimate(0.25, 0.01)
    assert asdict(neural_collapse(*draw(9, 3), rows=4))["cdnv"].error > 0
    write_json(tmp_path / "x.json", {"value": value})
    assert read_json(tmp_path / "x.json") == {"value": 0.25}
    assert repr(value) == "0.25 ± 0.01"


@pytest.mark.parametrize("name", ["balanced", "imbalanced", "d < K - 1"])
def test_the_table_of_classes_adds_up(name):
    from tests.cases import random_point

    problem = PROBLEMS[name]
    point = random_point(problem)
    whole, table = neural_collapse(point, problem.labels), per_class(point, problem.labels)
    shares = [row["samples"] / problem.num_samples for row in table]
    assert [row["samples"] for row in table] == list(problem.class_counts)
    for column in ("nc1", "nc1_quotient", "nearest_center_disagreement"):
        seen = [0 if row["samples"] == 1 and column.startswith("nc1") else row[column] for row in table]
        total = sum(share * value for share, value in zip(shares, seen, strict=True))
        assert total == pytest.approx(getattr(whole, column), rel=1e-9), column
    worst = max(row["nc1_quotient"] for row in table if row["samples"] > 1)
    assert worst == pytest.approx(whole.nc1_worst_class)
    means = torch.stack([point.H[problem.labels == k].mean(0) for k in range(problem.num_classes)])
    centred = means - point.H.mean(0)
    for row in table:
        k = row["class"]
        others = [(float((means[k] - means[j]).norm()), j) for j in range(problem.num_classes) if j != k]
        assert row["closest"] == min(others)[1]
        cosine = float(point.W[k] @ centred[k] / point.W[k].norm() / centred[k].norm())
        assert row["alignment"] == pytest.approx(cosine)
        assert row["norm_mean"] == pytest.approx(float(centred[k].norm()))


def test_the_table_of_many_classes_leaves_out_what_needs_pairs():
    table = per_class(*draw(30, 4), rows=10)
    assert {row["closest"] for row in table} == {-1}
    assert all(math.isnan(row["nearest_center_disagreement"]) for row in table)
