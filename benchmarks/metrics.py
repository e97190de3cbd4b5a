"""Every collapse metric against one matrix product, against loops over samples, and at a vocabulary's size.

`neural_collapse` computes all of its metrics each time; the peers compute what the note says.
"""

import importlib
import math
import multiprocessing
import resource
from collections.abc import Iterator

import torch

import validate
from benchmarks.timing import Row, interleaved, seconds
from ufm import Point

PUBLIC = "neural_collapse"  # github.com/rhubarbwu/neural-collapse


def draw(K: int, d: int, N: int) -> tuple[Point, torch.Tensor]:
    """float32 features about random class means, with a random classifier."""
    generator = torch.Generator().manual_seed(0)
    means, W = (torch.randn(K, d, generator=generator) for _ in range(2))
    labels = torch.arange(N) % K
    H = torch.randn(N, d, generator=generator).mul_(0.5).add_(means[labels])
    return Point(W, H, torch.zeros(K)), labels


def rows() -> Iterator[Row]:
    yield from against_products()
    yield from against_peers()
    yield at_vocabulary_size()


def against_products(K: int = 1000, d: int = 2048, N: int = 50_000, repeats: int = 2) -> Iterator[Row]:
    """float64, as the metrics are computed in, and the features' own float32."""
    point, labels = draw(K, d, N)
    task = f"all metrics, K = {K:,}, d = {d:,}, N = {N:,}"
    for dtype in (torch.float64, torch.float32):
        H = point.H.to(dtype)
        ours, floor = interleaved(lambda: validate.neural_collapse(point, labels), lambda H=H: H.T @ H, repeats=repeats)
        name = f"one N x d x d product, {str(dtype).removeprefix('torch.')} (floor)"
        yield Row(task, "neural_collapse", ours, name, floor, f"{ours / floor:.2f} times the floor")


def against_peers(K: int = 10, d: int = 512, N: int = 10_000) -> Iterator[Row]:
    point, labels = draw(K, d, N)
    task = f"all metrics, K = {K}, d = {d}, N = {N:,}"
    expected = validate.neural_collapse(point, labels).nc1
    for ours in OURS.values():
        ours(Point(point.W, point.H[:100], point.b), labels[:100])  # to warm up
    spent, nc1 = seconds(lambda: loop_over_samples(point.double(), labels))
    note = f"peer: NC1 alone; they differ by {abs(nc1 / expected - 1):.0e}"
    for name, ours in OURS.items():
        yield Row(task, name, seconds(lambda ours=ours: ours(point, labels))[0], "loop over samples", spent, note)
    yield against_public(task, point, labels, expected)


def one_point(point: Point, labels: torch.Tensor) -> float:
    return validate.neural_collapse(point, labels).nc1


def streaming(point: Point, labels: torch.Tensor, batch: int = 256) -> float:
    metric = validate.NeuralCollapseMetric(point.num_classes)
    for H, y in zip(point.H.split(batch), labels.split(batch), strict=True):
        metric.update(H, y)
    return float(metric.compute()["nc1"])


OURS = {"neural_collapse": one_point, "NeuralCollapseMetric": streaming}


def loop_over_samples(point: Point, labels: torch.Tensor) -> float:
    """NC1 from its definition, an outer product for each sample, and numpy's pseudo-inverse."""
    K, d, N = point.num_classes, point.dim, len(labels)
    means = torch.stack([point.H[labels == k].mean(0) for k in range(K)])
    within, between = point.H.new_zeros(d, d), point.H.new_zeros(d, d)
    for h, k in zip(point.H, labels.tolist(), strict=True):
        within += torch.outer(h - means[k], h - means[k]) / N
    overall = point.H.mean(0)
    for mean in means:
        between += torch.outer(mean - overall, mean - overall) / K
    return float((within @ torch.linalg.pinv(between, rtol=1e-10, hermitian=True)).trace()) / K


def against_public(task: str, point: Point, labels: torch.Tensor, expected: float) -> Row:
    """The public package's accumulators and its NC1, where it is installed."""
    ours = seconds(lambda: one_point(point, labels))[0]
    try:
        accumulate, measure = (importlib.import_module(f"{PUBLIC}.{name}") for name in ("accumulate", "measure"))
    except ModuleNotFoundError:
        note = "not installed: pip install git+https://github.com/rhubarbwu/neural-collapse"
        return Row(task, "neural_collapse", ours, PUBLIC, math.nan, note)

    def theirs(batch: int = 256) -> float:
        size = (point.num_classes, point.dim, "cpu", torch.float64)
        batches = list(zip(point.H.split(batch), labels.split(batch), strict=True))
        means = accumulate.MeanAccumulator(*size)
        for H, y in batches:
            means.accumulate(H, y)
        M, overall = means.compute()
        covariance = accumulate.CovarAccumulator(*size, M=M)
        for H, y in batches:
            covariance.accumulate(H.double(), y, M)
        return float(measure.covariance_ratio(covariance.compute(), M, overall))

    spent, ratio = seconds(theirs)
    apart = min(abs(ratio / (scale * expected) - 1) for scale in (1, point.num_classes))
    return Row(task, "neural_collapse", ours, PUBLIC, spent, f"peer: NC1 alone; they differ by {apart:.0e}")


def at_vocabulary_size(K: int = 128_000, d: int = 1024, per_class: int = 2) -> Row:
    """In a process of its own, whose peak memory is told."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ours, floor, peak, errors = pool.apply(_vocabulary, (K, d, per_class * K, torch.get_num_threads()))
    sampled = ", ".join(f"{name} to {error:.0e}" for name, error in errors.items())
    return Row(
        f"all metrics, K = {K:,}, d = {d:,}, N = {per_class * K:,}",
        "neural_collapse",
        ours,
        "one N x d x d product, float32 (floor)",
        floor,
        f"peak memory {peak / 2**30:.1f} GiB; sampled, standard error over value: {sampled}",
    )


def _vocabulary(K: int, d: int, N: int, threads: int) -> tuple[float, float, int, dict[str, float]]:
    torch.set_num_threads(threads)
    point, labels = draw(K, d, N)
    ours, found = seconds(lambda: validate.neural_collapse(point, labels))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    floor = seconds(lambda: point.H.T @ point.H)[0]
    estimates = {name: value for name, value in vars(found).items() if isinstance(value, validate.Estimate)}
    return ours, floor, peak, {k: v.error / v for k, v in estimates.items() if v and not math.isinf(v.error)}
